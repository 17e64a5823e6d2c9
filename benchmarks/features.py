"""Our features against librosa called by hand with the same settings, at several lengths.

Both give 13 MFCCs with deltas and delta-deltas, normalised to mean 0 and variance 1; they must
agree to 1e-4 before either is timed. The last line is what the first second of sound costs in a new
process, imports included.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

import librosa
import numpy as np
import numpy.typing as npt

from asr.features import FeatureOptions, extract
from benchmarks.timing import Comparison, compare
from pipelines.machine import this_machine

OPTIONS = FeatureOptions(deltas=2)
ROUNDS = {1: 101, 10: 51, 3600: 7}
"""Rounds by the seconds of sound."""
QUICK_S = 10

OURS = """
import numpy as np
from asr.features import FeatureOptions, extract
extract(np.ones(16_000, np.float32), FeatureOptions(deltas=2))
"""
THEIRS = """
import librosa
import numpy as np
coefficients = librosa.feature.mfcc(y=np.ones(16_000, np.float32), sr=16_000, n_mfcc=13)
librosa.feature.delta(coefficients)
"""

Floats = npt.NDArray[np.float32]


def by_hand(samples: Floats) -> Floats:
    """The same features [num_frames, 39] from librosa's functions."""
    coefficients = librosa.feature.mfcc(
        y=samples,
        sr=OPTIONS.sample_rate,
        n_mfcc=OPTIONS.n_mfcc,
        n_mels=OPTIONS.n_mels,
        n_fft=OPTIONS.n_fft,
        win_length=OPTIONS.win_length,
        hop_length=OPTIONS.hop_length,
        fmin=OPTIONS.fmin,
        fmax=OPTIONS.fmax,
        center=True,
        pad_mode="constant",
    )
    deltas = [librosa.feature.delta(coefficients, order=order, mode="nearest") for order in (1, 2)]
    stacked = np.concatenate([coefficients, *deltas]).T
    normalised: Floats = (stacked - stacked.mean(axis=0)) / stacked.std(axis=0)
    return normalised


def noise(duration_s: int) -> Floats:
    """White noise, float32 [num_samples]."""
    rng = np.random.default_rng(1997)
    size = duration_s * OPTIONS.sample_rate
    return 0.1 * rng.standard_normal(size, dtype=np.float32)


def measure(duration_s: int) -> Comparison:
    """Compares the two on noise of some length, after comparing what they give."""
    samples = noise(duration_s)
    np.testing.assert_allclose(extract(samples, OPTIONS), by_hand(samples), atol=1e-4)
    return compare(
        lambda: extract(samples, OPTIONS), lambda: by_hand(samples), rounds=ROUNDS[duration_s]
    )


def main(argv: Sequence[str] = ()) -> None:
    """Prints one line per length."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features")
    parser.add_argument("--quick", action="store_true", help="no long recording")
    longest_s = QUICK_S if parser.parse_args(argv).quick else max(ROUNDS)
    print(f"  {this_machine()}")
    print(f"  {'audio':>6}  {'ours':>9}  {'librosa':>10}  librosa ÷ ours (quartiles)")
    for duration_s in filter(lambda seconds: seconds <= longest_s, ROUNDS):
        result = measure(duration_s)
        print(
            f"  {duration_s:4d} s  {result.ours_s * 1e3:6.2f} ms  {result.theirs_s * 1e3:7.2f} ms"
            f"  {1 / result.ratio:.2f} ({1 / result.high:.2f} to {1 / result.low:.2f})"
        )
    result = compare(lambda: _run(OURS), lambda: _run(THEIRS), rounds=3)
    print(f"  first 1 s in a new process: {result.ours_s:.2f} s, librosa {result.theirs_s:.2f} s")


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)
