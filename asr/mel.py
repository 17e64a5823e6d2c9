"""The constant matrices of MFCCs: window, mel filters, cosine transform."""

import functools
import math
import warnings

import numpy as np
import numpy.typing as npt

from asr.errors import OptionsError

Matrix = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=8)
def filters(*, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Matrix:
    """Returns librosa's mel filters: Slaney's scale, area-normalised triangles.

    Args:
        sample_rate: Of the samples, in Hz.
        n_fft: Samples per Fourier transform.
        n_mels: Bands.
        fmin: Lower edge of the lowest band, in Hz.
        fmax: Upper edge of the highest band, in Hz.

    Returns:
        float64 [1 + n_fft // 2, n_mels].

    Raises:
        OptionsError: A band is so narrow that no frequency of the transform lies in it.
    """
    from librosa import filters as librosa_filters

    with warnings.catch_warnings(action="ignore"):  # about the empty bands refused below
        bank = librosa_filters.mel(
            sr=sample_rate,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
            htk=False,
            norm="slaney",
            dtype=np.float64,
        )
    num_empty = int((bank.max(axis=1) == 0).sum())
    if num_empty:
        raise OptionsError(
            f"expected every mel band to hold a frequency of the transform, but {num_empty} of "
            f"n_mels = {n_mels} lie between those of n_fft = {n_fft}: "
            "lower n_mels, raise n_fft or widen fmin to fmax"
        )
    return np.ascontiguousarray(bank.T)


@functools.lru_cache(maxsize=8)
def window(win_length: int, *, n_fft: int) -> Matrix:
    """Returns a periodic Hann window in the middle of zeros, float64 [n_fft]."""
    angles = 2 * np.pi * np.arange(win_length) / win_length
    left = (n_fft - win_length) // 2
    return np.pad(0.5 - 0.5 * np.cos(angles), (left, n_fft - win_length - left))


@functools.lru_cache(maxsize=8)
def cosines(n_mels: int, *, n_mfcc: int, lifter: int) -> Matrix:
    """Returns the orthonormal DCT-II with the lifter applied, float64 [n_mels, n_mfcc].

    Args:
        n_mels: Bands it is given.
        n_mfcc: Coefficients it keeps.
        lifter: Cepstral liftering as librosa defines it; 0 leaves it out.
    """
    band = np.arange(n_mels)[:, np.newaxis]
    order = np.arange(n_mfcc)
    basis = np.cos(np.pi * order * (2 * band + 1) / (2 * n_mels))
    basis *= np.where(order == 0, math.sqrt(1 / n_mels), math.sqrt(2 / n_mels))
    if lifter:
        basis *= 1 + lifter / 2 * np.sin(np.pi * (order + 1) / lifter)
    return basis
