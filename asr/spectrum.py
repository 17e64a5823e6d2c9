"""Band powers of a recording in decibels: where the time of feature extraction goes.

Blocks of some hundred frames pass through every step while they lie in the processor's cache:
windowed, transformed, squared, summed by the mel filters, all in the precision of the samples. A
long recording is shared among the cores, in whole blocks, so that its values are the same bits.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from asr.cores import available_cores
from asr.mel import FilterGroup, Matrix

Samples = npt.NDArray[np.floating]

BLOCK_FRAMES = 256  # half a megabyte at 512 samples each: a part of what a core's cache holds
_SHARED_FRAMES = 8192  # an utterance is left to the thread that asks; there may be many of both
_MIN_POWER = 1e-10  # librosa.power_to_db's amin


def decibels(
    signal: Samples,
    *,
    num_frames: int,
    hop_length: int,
    window: Matrix,
    filters: Sequence[FilterGroup],
) -> npt.NDArray[np.float32]:
    """Returns 10 log10 of the power in every band of every frame.

    Args:
        signal: float32 or float64 [num_samples], in zeros before and after.
        num_frames: Frames to compute, centred on samples 0, hop_length, 2 hop_length, …
        hop_length: Samples from one frame to the next.
        window: [n_fft], n_fft even.
        filters: The bands, as `asr.mel.filter_groups` gives them.

    Returns:
        float32 [num_frames, n_mels].
    """
    found = np.empty((num_frames, filters[-1].bands.stop), np.float32)
    window = window.astype(signal.dtype)
    filters = [group._replace(weights=group.weights.astype(signal.dtype)) for group in filters]

    def fill(frames: range) -> None:
        _fill(found, frames, signal, hop_length, window, filters)

    if num_frames < _SHARED_FRAMES:
        fill(range(num_frames))
    else:
        num_cores = available_cores()
        with ThreadPoolExecutor(num_cores) as pool:
            list(pool.map(fill, _shares(num_frames, 4 * num_cores)))
    return found


def _shares(num_frames: int, count: int) -> list[range]:
    """Divides frames into about equal runs of whole blocks."""
    size = -(-num_frames // (count * BLOCK_FRAMES)) * BLOCK_FRAMES
    return [range(at, min(at + size, num_frames)) for at in range(0, num_frames, size)]


def _fill(
    found: npt.NDArray[np.float32],
    share: range,
    signal: Samples,
    hop_length: int,
    window: Samples,
    filters: Sequence[FilterGroup],
) -> None:
    """Computes the rows `share` of `found`, block by block."""
    from scipy.fft import rfft  # twice as fast as numpy's: four frames at once

    size = min(BLOCK_FRAMES, len(share))
    # Made once: to get and give back megabytes for every block costs as much as a transform.
    windowed = np.empty((size, len(window)), signal.dtype)
    power, imaginary = np.empty((2, size, len(window) // 2 + 1), signal.dtype)
    for start in range(share.start, share.stop, BLOCK_FRAMES):
        rows = found[start : min(start + BLOCK_FRAMES, share.stop)]
        count = len(rows)
        frames = _frames(signal, start, count, hop_length, len(window))
        spectra = rfft(np.multiply(frames, window, out=windowed[:count]))
        np.square(spectra.real, out=power[:count])
        np.square(spectra.imag, out=imaginary[:count])
        power[:count] += imaginary[:count]
        for group in filters:
            np.matmul(power[:count, group.bins], group.weights, out=rows[:, group.bands])
        np.maximum(rows, _MIN_POWER, out=rows)
        np.log10(rows, out=rows)
        rows *= 10


def _frames(signal: Samples, first: int, count: int, hop_length: int, n_fft: int) -> Samples:
    """Returns a view of `count` frames from `first` on, [count, n_fft], in zeros at the edges."""
    start = first * hop_length - n_fft // 2
    stop = start + (count - 1) * hop_length + n_fft
    samples = signal[max(0, start) : stop]
    if start < 0 or stop > len(signal):
        padded = np.zeros(stop - start, signal.dtype)
        left = max(0, -start)
        padded[left : left + len(samples)] = samples
        samples = padded
    return np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop_length]
