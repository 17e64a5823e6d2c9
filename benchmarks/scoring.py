"""Scoring and reporting a large corpus, and our counts against NIST's sclite where it is there.

100,000 made-up utterances of 5 to 29 words from 400 speakers are scored, analysed and reported: the
aim is 2 minutes and 2 GB. `python -m benchmarks.scoring --quick` takes 5,000.

sclite and sc_stats (Debian's package sctk keeps them in /usr/lib/sctk/bin) are looked for on the
PATH and in $SCTK. sclite weighs a substitution 4, a deletion or insertion 3, where WER and jiwer
count each error as 1: among alignments of equally many errors it prefers others, and it may take
six deletions and insertions (18) rather than five substitutions (20).
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from asr.manifest import Utterance
from asr.scoring import score
from asr.significance import compare, matched_pairs
from asr.text import TextOptions
from pipelines.evaluate import evaluate
from pipelines.machine import peak_memory_bytes, this_machine
from pipelines.report import write_report

NUM_UTTERANCES = 100_000
NUM_QUICK = 5_000
NUM_SPEAKERS = 400
AS_IS = TextOptions(case="keep", punctuation="keep")

_Result = TypeVar("_Result")


class Corpus(NamedTuple):
    """Made-up references, and the transcripts of two systems."""

    utterances: list[Utterance]
    first: dict[str, str]
    second: dict[str, str]

    @property
    def references(self) -> dict[str, str]:
        """Texts by id."""
        return {item.id: item.text or "" for item in self.utterances}


def make(num_utterances: int, *, seed: int = 0) -> Corpus:
    """Makes a corpus with Zipf's words, errors of every kind, and speakers who differ."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(5_000)]
    difficulty = rng.gamma(4, 0.25, NUM_SPEAKERS)
    utterances: list[Utterance] = []
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    for n in range(num_utterances):
        said = [words[k] for k in rng.zipf(1.3, rng.integers(5, 30)) % len(words)]
        speaker, key = n % NUM_SPEAKERS, f"u{n:06d}"
        for heard, rate in ((first, 0.12), (second, 0.11)):
            heard[key] = " ".join(_spoilt(said, words, rate * difficulty[speaker], rng))
        utterances.append(
            Utterance(
                id=key,
                audio=Path(f"clips/{key}.wav"),
                duration_s=round(len(said) / rng.uniform(1.5, 4), 2),
                text=" ".join(said),
                speaker=f"s{speaker:03d}",
                extra={"gender": "fm"[speaker % 2], "device": f"d{speaker % 7}"},
            )
        )
    return Corpus(utterances, first, second)


def _spoilt(
    said: Sequence[str], words: Sequence[str], rate: float, rng: np.random.Generator
) -> list[str]:
    luck, others = rng.random(len(said)) / rate, rng.integers(len(words), size=len(said))
    heard = []
    for word, chance, other in zip(said, luck, others, strict=True):
        if chance < 0.6:
            heard.append(words[other])
        elif chance > 0.8:
            heard.append(word)
            if chance < 1:
                heard.append(words[other])
    return heard


def timed(label: str, work: Callable[[], _Result]) -> _Result:
    """Does the work and prints how long it took, and the memory held at most so far."""
    start = time.perf_counter()
    result = work()
    peak = (peak_memory_bytes() or 0) / 2**20
    print(f"  {label:34} {time.perf_counter() - start:7.1f} s   peak {peak:6,.0f} MiB", flush=True)
    return result


def measure(corpus: Corpus) -> None:
    """Scores, analyses, reports and compares, and prints the times."""
    text, rng = TextOptions(), np.random.default_rng(2)
    confidences = {key: rng.random(len(one.split())).tolist() for key, one in corpus.first.items()}
    start = time.perf_counter()
    found = timed(
        "scored and analysed",
        lambda: evaluate(corpus.utterances, corpus.first, text=text, confidences=confidences),
    )
    with tempfile.TemporaryDirectory() as folder:
        timed("report written", lambda: write_report(found, Path(folder) / "report"))
    print(f"  {'together':34} {time.perf_counter() - start:7.1f} s")
    other = timed(
        "second system scored", lambda: score(corpus.references, corpus.second, text=text)
    )
    speakers = [item.speaker for item in corpus.utterances]
    comparison = timed("compared", lambda: compare(found.score, other, speakers=speakers))
    print(f"  {found.score.kaldi_line()}")
    print(f"  {comparison.verdict()}")


def against_sclite(corpus: Corpus, tools: Path) -> None:
    """Prints both counts, and NIST's matched pairs test beside ours."""
    ours = [score(corpus.references, heard, text=AS_IS) for heard in (corpus.first, corpus.second)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_trn(folder / "ref.trn", corpus.references)
        _write_trn(folder / "a.trn", corpus.first)
        _write_trn(folder / "b.trn", corpus.second)
        for system, found in zip("ab", ours, strict=True):
            theirs = _sclite(tools, folder, system)
            words = found.words
            print(
                f"  {system}: S D I errors   ours {words.substitutions} {words.deletions} "
                f"{words.insertions} {words.errors}   sclite {' '.join(map(str, theirs))}"
            )
        print(f"  {_sc_stats(tools, folder)}")
    test = matched_pairs(ours[0].rows, ours[1].rows)
    print(f"  ours: {test.num_segments} segments, mean {test.mean:.3f}, z {test.z:.3f}")


def _write_trn(path: Path, texts: dict[str, str]) -> None:
    lines = [f"{text} (s{int(key[1:]) % 9}-{key})\n" for key, text in texts.items()]
    path.write_text("".join(lines), "utf-8")


def _run(folder: Path, *command: str, given: str | None = None) -> str:
    return subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, check=True
    ).stdout


def _sclite(tools: Path, folder: Path, system: str) -> tuple[int, int, int, int]:
    """Returns substitutions, deletions, insertions and all errors."""
    sides = ("-r", "ref.trn", "trn", "-h", f"{system}.trn", "trn", "-i", "rm")
    report = _run(folder, str(tools / "sclite"), *sides, "-o", "rsum", "stdout")
    line = next(line for line in report.splitlines() if re.search(r"\|\s*Sum\s", line))
    _, _, _, s, d, i, errors, _ = map(int, re.findall(r"\d+", line))
    return s, d, i, errors


def _sc_stats(tools: Path, folder: Path) -> str:
    """Returns NIST's line on its matched pairs test."""
    alignments = "".join(
        _run(
            folder,
            *(str(tools / "sclite"), "-r", "ref.trn", "trn", "-h", f"{system}.trn", "trn", system),
            *("-i", "rm", "-o", "sgml", "stdout"),
        )
        for system in "ab"
    )
    command = (str(tools / "sc_stats"), "-p", "-t", "mapsswe", "-v", "-n", "-")
    report = _run(folder, *command, given=alignments)
    found = re.search(r"# segs: (\d+)\).*mean: (\S+)\).*Z Stat: (\S+)\)", report)
    if found is None:
        return "sc_stats: said nothing"
    return f"sc_stats: {found[1]} segments, mean {found[2]}, z {found[3]}"


def find_tools() -> Path | None:
    """Returns the folder of sclite, if it is installed."""
    places = [os.environ.get("SCTK", ""), "/usr/lib/sctk/bin"]
    found = shutil.which("sclite", path=os.pathsep.join([os.environ.get("PATH", ""), *places]))
    return Path(found).parent if found else None


def main(argv: Sequence[str] = ()) -> None:
    """Prints the times, then the comparison with sclite."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring")
    parser.add_argument("--quick", action="store_true", help=f"only {NUM_QUICK:,} utterances")
    size = NUM_QUICK if parser.parse_args(argv).quick else NUM_UTTERANCES
    print(f"  {size:,} utterances on {this_machine()}")
    measure(timed("corpus made", lambda: make(size)))
    tools = find_tools()
    if tools is None:
        print("  sclite is not installed: no comparison (Debian: apt-get install sctk)")
        return
    against_sclite(make(1_000, seed=1), tools)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
