"""Our features against librosa called by hand with the same settings, at several lengths.

Both give 13 MFCCs with deltas and delta-deltas, normalised to mean 0 and variance 1; they must
agree before either is timed.
"""

import librosa
import numpy as np
import numpy.typing as npt

from asr.features import FeatureOptions, extract
from benchmarks.timing import compare

OPTIONS = FeatureOptions(deltas=2)
DURATIONS_S = (1, 10, 100)

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


def main() -> None:
    """Prints one line per length."""
    rng = np.random.default_rng(1997)
    print(f"  {'audio':>6}  {'ours':>9}  {'librosa':>9}  ours ÷ librosa (quartiles)")
    for duration_s in DURATIONS_S:
        samples = rng.normal(0, 0.1, duration_s * OPTIONS.sample_rate).astype(np.float32)
        np.testing.assert_allclose(extract(samples, OPTIONS), by_hand(samples), atol=2e-3)
        result = compare(lambda: extract(samples, OPTIONS), lambda: by_hand(samples))  # noqa: B023
        print(
            f"  {duration_s:4d} s  {result.ours_s * 1e3:6.2f} ms  {result.theirs_s * 1e3:6.2f} ms"
            f"  {result.ratio:.2f} ({result.low:.2f} to {result.high:.2f})"
        )
