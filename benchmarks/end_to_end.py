"""The whole program: recordings on the disk to text, with a model and recordings of one's own.

    python -m benchmarks.end_to_end --model runs/mine --manifest data/dev.jsonl

`asr transcribe` runs in a process of its own, so that starting it, reading the audio and writing
the results all count, and the peak of its memory is its own. One run is not counted: it fills the
disk's caches.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from asr.interchange import read_utterances
from pipelines.machine import this_machine


def transcribe(model: str, manifest: Path, engine: str, output: Path) -> float:
    """Returns the seconds that the program took."""
    command = [
        *(sys.executable, "-m", "pipelines.cli", "transcribe", str(manifest)),
        *("--model", model, "--engine", engine, "-o", str(output), "--quiet"),
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(argv: Sequence[str] = ()) -> None:
    """Prints one line for each engine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end")
    parser.add_argument("--model", help="a model's name, its folder, or a run's")
    parser.add_argument("--manifest", type=Path, help="recordings, with their durations")
    parser.add_argument("--engine", default="auto", help="as for asr transcribe")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    if not arguments.model or not arguments.manifest:
        print("  needs a model and recordings: python -m benchmarks.end_to_end --help")
        return
    utterances = read_utterances(arguments.manifest)
    audio_s = sum(utterance.duration_s or 0.0 for utterance in utterances)
    print(f"  {len(utterances)} recordings, {audio_s / 60:.1f} minutes, on {this_machine()}")
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory() as name:
        outputs = [Path(name) / f"heard{number}.jsonl" for number in range(arguments.rounds + 1)]
        seconds = [
            transcribe(arguments.model, arguments.manifest, arguments.engine, output)
            for output in outputs  # what is in one already would not be done again
        ][1:]
    # Of all processes the largest, in KiB (macOS: bytes).
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak_mib = peak / (2**20 if sys.platform == "darwin" else 2**10)
    median_s = statistics.median(seconds)
    print(
        f"  {arguments.engine}: {median_s:.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), "
        f"{audio_s / median_s:,.0f} x real time, peak memory of a process "
        f"{peak_mib:,.0f} MiB"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
