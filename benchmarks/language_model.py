"""Our language models against KenLM: the same scores, the same perplexity, time and memory.

Estimated from a text made here, or better from a real one:

    python -m benchmarks.language_model --text books.txt.xz --heldout heldout.txt

KenLM's estimator `lmplz` is found on the path or in the folder KENLM; its reader is
the package `kenlm`. What is not installed is left out, and said so. Times are of processor seconds,
of all threads, since the two do not wait for the disk alike.
"""

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.lm import (
    Corpus,
    EstimationOptions,
    NgramModel,
    estimate_model,
    open_binary,
    open_model,
    perplexity,
    read_arpa,
    write_arpa,
    write_binary,
)
from asr.lm.arpa import unpacked
from benchmarks.timing import compare

ORDER = 4
PRUNINGS = ((0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 2, 2))
NUM_SENTENCES = 100_000
NUM_HELDOUT = 10_000
NUM_SCORED = 2_000
MEGABYTE = 1e6


class Text(NamedTuple):
    """What models are made of, and what they are scored on."""

    train: list[str]
    heldout: list[str]


def made_up(num_sentences: int, *, seed: int = 0) -> Iterator[str]:
    """Yields sentences of a made-up language: each word has a few followers, Zipf-distributed."""
    rng = np.random.default_rng(seed)
    followers = rng.integers(20_000, size=(20_000, 50))
    for length in rng.integers(3, 30, num_sentences):
        word, words = int(rng.zipf(1.4)) % 20_000, []
        for rank in rng.zipf(1.5, length):
            words.append(f"w{word}")
            word = int(followers[word, rank % 50] if rank < 200 else rng.integers(20_000))
        yield " ".join(words)


def read(path: Path) -> list[str]:
    """Returns the lines of a text, unpacked."""
    with path.open("rb") as file:
        return [line.decode() for line in unpacked(file, path)]


def estimated(sentences: Sequence[str], options: EstimationOptions) -> NgramModel:
    """Estimates a model as `asr lm` does."""
    with Corpus() as corpus:
        for sentence in sentences:
            corpus.add(sentence)
        return estimate_model(corpus, options).model


def find_lmplz() -> str | None:
    """Returns KenLM's estimator, if it is installed."""
    places = os.pathsep.join([os.environ.get("KENLM", ""), os.environ.get("PATH", "")])
    return shutil.which("lmplz", path=places)


def lmplz(program: str, text: Path, arpa: Path, prune: Sequence[int]) -> float:
    """Runs it; returns the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Made-up text has odd counts of counts; both sides then take the same discounts.
    command = [program, "-o", str(len(prune)), "-S", "2G", "--discount_fallback", "--prune"]
    with text.open("rb") as source, arpa.open("wb") as target:
        subprocess.run(
            [*command, *map(str, prune)],
            stdin=source,
            stdout=target,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def against_lmplz(text: Text, folder: Path) -> None:
    """Prints, for each pruning, size, time and perplexity of both models."""
    program = find_lmplz()
    if program is None:
        print("  lmplz is not installed: no comparison of estimates (KENLM=folder of its programs)")
    (folder / "text.txt").write_text("".join(f"{line.strip()}\n" for line in text.train), "utf-8")
    for prune in PRUNINGS:
        start = time.process_time()
        model = estimated(text.train, EstimationOptions(order=ORDER, prune=prune))
        spent_s = time.process_time() - start
        ours = perplexity(model, text.heldout)
        print(f"  prune {' '.join(map(str, prune))}: {sum(model.num_ngrams):,} n-grams")
        print(f"    ours   {spent_s:6.1f} s   perplexity {ours.value:9.4f}")
        if program is not None:
            spent_s = lmplz(program, folder / "text.txt", folder / "lmplz.arpa", prune)
            theirs = perplexity(read_arpa(folder / "lmplz.arpa"), text.heldout)
            difference = ours.value / theirs.value - 1
            print(
                f"    lmplz  {spent_s:6.1f} s   perplexity {theirs.value:9.4f}   {difference:+.4%}"
            )


def against_reader(text: Text, folder: Path) -> None:
    """Prints the largest difference of sentence scores, and the time that a text takes."""
    model = estimated(text.train, EstimationOptions(order=ORDER, prune=PRUNINGS[1]))
    write_arpa(folder / "lm.arpa", model)
    try:
        import kenlm
    except ImportError:
        print("  the package kenlm is not installed: no comparison of scores (pip install kenlm)")
        return
    theirs = kenlm.Model(str(folder / "lm.arpa"))
    lines = [line.strip() for line in text.heldout[:NUM_SCORED]]
    words = sum(len(line.split()) + 1 for line in lines)
    worst = max(
        abs(model.score(line) / np.log(10) - theirs.score(line)) / (len(line.split()) + 1)
        for line in lines
    )
    print(f"  {len(lines):,} sentences: scores differ by {worst:.1e} a word at most (log10)")
    ids = np.concatenate(
        [[model.begin_id, *model.ids(line.split()), model.end_id] for line in lines]
    )
    result = compare(lambda: model.score_ids(ids), lambda: [theirs.score(line) for line in lines])
    print(
        f"  a word: ours, ids given {result.ours_s / words * 1e9:.0f} ns, KenLM from Python "
        f"{result.theirs_s / words * 1e9:.0f} ns, ratio {result.ratio:.2f} "
        f"({result.low:.2f} to {result.high:.2f})"
    )


def sizes(text: Text, folder: Path) -> None:
    """Prints what each form takes, how it scores and how long it takes to open."""
    model = estimated(text.train, EstimationOptions(order=ORDER, prune=PRUNINGS[1]))
    whole = perplexity(model, text.heldout).value
    print(f"  {sum(model.num_ngrams):,} n-grams, {len(model.words):,} words")
    for bits in (None, 16, 12, 8, 6, 4):
        path = folder / "lm.ngram"
        write_binary(path, model, bits=bits)
        opening = compare(lambda: open_binary(path), lambda: None, rounds=5)  # noqa: B023
        size = path.stat().st_size
        change = perplexity(model_of(path), text.heldout).value / whole - 1
        print(
            f"    {'plain' if bits is None else f'{bits} bits':8} {size / MEGABYTE:8.2f} MB   "
            f"{size / sum(model.num_ngrams):5.2f} bytes an n-gram   perplexity {change:+.3%}   "
            f"opened in {opening.ours_s * 1e3:.1f} ms"
        )


def model_of(path: Path) -> NgramModel:
    """Opens a model of ours."""
    model = open_model(path)
    if not isinstance(model, NgramModel):
        raise TypeError(f"{path} is not of ours")
    return model


def main(argv: Sequence[str] = ()) -> None:
    """Prints the comparisons."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language_model")
    parser.add_argument(
        "--text", type=Path, help="a sentence a line, normalised (default: made up)"
    )
    parser.add_argument("--heldout", type=Path, help="what to score")
    arguments = parser.parse_args(argv)
    if (arguments.text is None) != (arguments.heldout is None):
        parser.error("expected --text and --heldout together")
    if arguments.text is None:
        lines = list(made_up(NUM_SENTENCES + NUM_HELDOUT))
        text = Text(lines[NUM_HELDOUT:], lines[:NUM_HELDOUT])
    else:
        text = Text(read(arguments.text), read(arguments.heldout))
    with tempfile.TemporaryDirectory() as name:
        against_lmplz(text, Path(name))
        against_reader(text, Path(name))
        sizes(text, Path(name))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
