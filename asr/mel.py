"""The constant matrices of MFCCs: window, mel filters, cosine transform; each made once."""

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.errors import OptionsError

Matrix = npt.NDArray[np.float64]

SERIAL_PRODUCT = 1 << 18
"""Multiplications up to which OpenBLAS computes a product of matrices in the calling thread.

Products this small gain nothing from more threads, and wait long for them where cores are busy.
"""

_GROUP_SIZE = 1024  # numbers in a group of filters: a block of 256 frames makes a serial product
_LINEAR_HZ, _LINEAR_MELS = 1000.0, 15.0  # Slaney's scale: 66.7 Hz a mel up to here,
_LOG_STEP = math.log(6.4) / 27  # and so much in the logarithm of the frequency above


class FilterGroup(NamedTuple):
    """Neighbouring mel filters, cut to the frequencies where one of them is not zero."""

    bands: slice
    """Which filters."""
    bins: slice
    """Which frequencies of the transform."""
    weights: Matrix
    """float64 [bins, bands]."""


def centres_hz(*, n_mels: int, fmin: float, fmax: float) -> Matrix:
    """Returns the frequencies at which the filters are widest open, in Hz, float64 [n_mels]."""
    return _corners_hz(n_mels, fmin, fmax)[1:-1]


@functools.lru_cache(maxsize=8)
def filters(*, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Matrix:
    """Returns librosa's mel filters: Slaney's scale, area-normalised triangles.

    Slaney, "Auditory Toolbox", version 2, 1998. Not librosa's own function, whose import takes
    longer than the transcription of a file.

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
    corners_hz = _corners_hz(n_mels, fmin, fmax)
    left, peak, right = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    bins_hz = np.fft.rfftfreq(n_fft, 1 / sample_rate)[:, np.newaxis]
    triangles = np.minimum((bins_hz - left) / (peak - left), (right - bins_hz) / (right - peak))
    bank = np.maximum(0.0, triangles) * 2 / (right - left)
    num_empty = int((bank.max(axis=0) == 0).sum())
    if num_empty:
        raise OptionsError(
            f"expected every mel band to hold a frequency of the transform, but {num_empty} of "
            f"n_mels = {n_mels} lie between those of n_fft = {n_fft}: "
            "lower n_mels, raise n_fft or widen fmin to fmax"
        )
    return bank


@functools.lru_cache(maxsize=8)
def filter_groups(
    *, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float
) -> tuple[FilterGroup, ...]:
    """Returns the same filters without most of their zeros: a quarter of the multiplications.

    Args:
        sample_rate: As `filters`, and so are the rest.
        n_fft: Samples per Fourier transform.
        n_mels: Bands.
        fmin: Lower edge of the lowest band, in Hz.
        fmax: Upper edge of the highest band, in Hz.

    Raises:
        OptionsError: As `filters`.
    """
    bank = filters(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    starts = (bank > 0).argmax(axis=0).tolist()
    stops = (len(bank) - (bank[::-1] > 0).argmax(axis=0)).tolist()
    groups = []
    first = 0
    for last in range(n_mels):
        size = (stops[min(last + 1, n_mels - 1)] - starts[first]) * (last + 2 - first)
        if last == n_mels - 1 or size > _GROUP_SIZE:
            bands, bins = slice(first, last + 1), slice(starts[first], stops[last])
            groups.append(FilterGroup(bands, bins, bank[bins, bands]))
            first = last + 1
    return tuple(groups)


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


def _corners_hz(n_mels: int, fmin: float, fmax: float) -> Matrix:
    """Returns where the triangles begin, peak and end, each at its neighbours' peaks."""
    mels = np.linspace(_hz_to_mel(fmin), _hz_to_mel(fmax), n_mels + 2)
    return np.asarray(_mel_to_hz(mels), np.float64)


def _hz_to_mel(frequency_hz: float) -> float:
    if frequency_hz < _LINEAR_HZ:
        return frequency_hz * _LINEAR_MELS / _LINEAR_HZ
    return _LINEAR_MELS + math.log(frequency_hz / _LINEAR_HZ) / _LOG_STEP


def _mel_to_hz(mels: Matrix) -> Matrix:
    logarithmic = _LINEAR_HZ * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    return np.where(mels < _LINEAR_MELS, mels * _LINEAR_HZ / _LINEAR_MELS, logarithmic)
