"""A batch run of `asr transcribe`: what its journal and files cost, its memory, and its resumption.

    python -m benchmarks.batch [--quick] [--model NAME]

10,000 recordings of 5 s lie in a hundred folders, under names of their own though only few differ.
They are transcribed to a folder and to nowhere (JSON both times), in turns: the difference is the
journal's and the files'. The network is far smaller than a useful one unless a model is named, so
that this difference is a larger share than it will be. Memory is that of the program and of each of
its processes, against the recordings done; its slope is taken after the first quarter.
"""

import argparse
import contextlib
import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE, write_wav
from asr.bundle import open_bundle, write_settings
from asr.features import FeatureOptions
from asr.options import to_table
from asr.vocabulary import Vocabulary
from benchmarks.results import write_results
from benchmarks.timing import compare

ROOT = Path(__file__).resolve().parent.parent
DURATION_S = 5.0
NUM_DIFFERENT = 20
LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
_INTERVAL_S = 0.25


def make_recordings(folder: Path, count: int) -> None:
    """Writes noises that come and go as speech does, and links to them."""
    rng = np.random.default_rng(5)
    num_samples = round(DURATION_S * SAMPLE_RATE)
    loudness = np.abs(np.sin(np.linspace(0, 40, num_samples)))
    for number in range(count):
        path = folder / f"{number % 100:02}/{number:05}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < NUM_DIFFERENT:
            noise = rng.normal(0, 0.1, num_samples) * loudness
            write_wav(path, noise.astype(np.float32))
        else:
            first = number % NUM_DIFFERENT
            os.link(folder / f"{first:02}/{first:05}.wav", path)


def make_model(folder: Path) -> None:
    """Writes an exported model with random weights."""
    from pipelines.export import export
    from pipelines.network import import_backend

    import_backend()
    from models.bilstm import BiLSTMOptions, build_bilstm

    features, vocabulary = FeatureOptions(stack=3), Vocabulary.from_characters(LETTERS)
    recipe = {"features": to_table(features), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=vocabulary, card="")
    network = build_bilstm(
        BiLSTMOptions(units=64, num_layers=2),
        num_features=features.num_features,
        vocab_size=len(vocabulary),
    )
    network.save(folder / "model.keras")
    export(open_bundle(folder), quiet=True)


def command(model: str, recordings: Path, *more: str) -> list[str]:
    """Returns the command line of a run."""
    asr = [sys.executable, "-m", "pipelines.cli", "transcribe", str(recordings)]
    return [*asr, "--model", model, "--output-format", "json", "--quiet", *more]


def transcribe(words: Sequence[str]) -> float:
    """Runs a command, and returns the seconds of processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Watch(threading.Thread):
    """Notes the memory of a process and of those it has started, while it runs."""

    def __init__(self, pid: int, journal: Path) -> None:
        super().__init__(daemon=True)
        self._pid, self._journal = pid, journal
        self.seen: list[tuple[int, dict[int, float]]] = []
        """The journal's bytes, and MiB by process."""

    def run(self) -> None:
        """Looks until the process is gone."""
        while Path(f"/proc/{self._pid}/statm").exists():
            size = self._journal.stat().st_size if self._journal.exists() else 0
            memory = {pid: _memory_mib(pid) for pid in (self._pid, *_children(self._pid))}
            self.seen.append((size, {pid: mib for pid, mib in memory.items() if mib}))
            time.sleep(_INTERVAL_S)

    def slopes(self, count: int) -> dict[str, float]:
        """Returns MiB per 1,000 recordings: of the program, and of its steepest process."""
        whole = max(size for size, _ in self.seen)
        later = [(size / whole * count, memory) for size, memory in self.seen if size > whole / 4]
        found = {}
        for pid in later[0][1]:
            points = [(done, memory[pid]) for done, memory in later if pid in memory]
            if len(points) > 2:
                found[pid] = 1_000 * statistics.linear_regression(*zip(*points, strict=True)).slope
        others = [slope for pid, slope in found.items() if pid != self._pid]
        return {"program": found[self._pid], "process": max(others, default=0.0)}

    def peak_mib(self) -> float:
        """Returns the most that all of them had together."""
        return max(sum(memory.values()) for _, memory in self.seen)


def _memory_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):  # each thread may have some
        with contextlib.suppress(OSError):
            children += map(int, path.read_text().split())
    return children


def watched(words: Sequence[str], journal: Path, count: int) -> dict[str, float]:
    """Runs a command and returns what its memory did."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        watch = Watch(process.pid, journal)
        watch.start()
        # Its memory is looked at for as long as it has any: only then may it be forgotten.
        process.wait()
        watch.join()
    if process.returncode:
        raise SystemExit(f"asr transcribe ended with {process.returncode}")
    slopes = {f"{name}_mib_per_1000": slope for name, slope in watch.slopes(count).items()}
    return slopes | {"peak_mib": watch.peak_mib()}


def measure(model: str, folder: Path, count: int, rounds: int) -> dict[str, float]:
    """Returns all figures of one set of recordings."""
    recordings = folder / "in"
    outputs = (str(folder / f"out{n}") for n in range(1_000))
    processor_s: dict[str, list[float]] = {"kept": [], "shown": []}

    def kept() -> None:
        words = command(model, recordings, "--output-dir", next(outputs))
        processor_s["kept"].append(transcribe(words))

    def shown() -> None:
        processor_s["shown"].append(transcribe(command(model, recordings)))

    found = compare(kept, shown, rounds=rounds)
    pairs = list(zip(processor_s["kept"], processor_s["shown"], strict=True))[1:]
    finished = command(model, recordings, "--output-dir", str(folder / "out0"))
    resumed = [_seconds(functools.partial(transcribe, finished)) for _ in range(5)]
    again = command(model, recordings, "--output-dir", str(folder / "watched"))
    return {
        "kept_s": found.ours_s,
        "shown_s": found.theirs_s,
        "ratio": found.ratio,
        "ratio_low": found.low,
        "ratio_high": found.high,
        "processor_ratio": statistics.median(with_ / without for with_, without in pairs),
        "processor_ms": 1_000
        / count
        * statistics.median(with_ - without for with_, without in pairs),
        "resume_s": statistics.median(resumed),
        **watched(again, folder / "watched/.asr/journal.jsonl", count),
    }


def _seconds(call: functools.partial[float]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def table(figures: Mapping[str, float], count: int) -> str:
    """Returns the figures as Markdown."""
    audio_s = count * DURATION_S
    low, high = 100 * (figures["ratio_low"] - 1), 100 * (figures["ratio_high"] - 1)
    rows = [
        (
            f"{count:,} recordings of {DURATION_S:.0f} s to a folder",
            f"{figures['kept_s']:.1f} s, {audio_s / figures['kept_s']:,.0f} × real time",
        ),
        ("the same to nowhere", f"{figures['shown_s']:.1f} s"),
        (
            "journal and files, of the run's time",
            f"{100 * (figures['ratio'] - 1):+.1f} % (quartiles {low:+.1f} to {high:+.1f} %)",
        ),
        (
            "the same, of its processor time",
            f"{100 * (figures['processor_ratio'] - 1):+.1f} %, "
            f"{figures['processor_ms']:.2f} ms a recording",
        ),
        ("the finished run once more", f"{figures['resume_s']:.2f} s"),
        (
            "memory after the first quarter, for each 1,000 more",
            f"{figures['program_mib_per_1000']:+.2f} MiB in the program, "
            f"{figures['process_mib_per_1000']:+.2f} MiB in a process at most",
        ),
        ("peak memory of all together", f"{figures['peak_mib']:,.0f} MiB"),
    ]
    return "\n".join(["| what | figure |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def main(argv: Sequence[str] = ()) -> None:
    """Prints the table and writes it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch")
    parser.add_argument("--quick", action="store_true", help="1,000 recordings")
    parser.add_argument("--model", help="an exported model, in place of a small random one")
    parser.add_argument("--rounds", type=int, help="default: 5, or 2 if quick")
    arguments = parser.parse_args(argv)
    if not sys.platform.startswith("linux"):
        print("  needs /proc, as Linux has it")
        return
    count, rounds = (1_000, 2) if arguments.quick else (10_000, 5)
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_recordings(folder / "in", count)
        if not arguments.model:
            make_model(folder / "model")
        model = arguments.model or str(folder / "model")
        figures = measure(model, folder, count, arguments.rounds or rounds)
    shown = table(figures, count)
    print(shown)
    if arguments.model:
        figures |= {"model": arguments.model}
    write_results("batch", figures, shown, quick=arguments.quick)


if __name__ == "__main__":
    main(sys.argv[1:])
