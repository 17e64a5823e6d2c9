"""What a recording's statistics should be made of: its speech, and of a pause no more than usual.

Networks learn from utterances, in which a pause seldom lasts half a second. In a talk, on the phone
or where utterances are joined there are longer ones, and mean and variance over all of it tell how
long they are: a network hears the same speech as another, and makes more errors. So of a long pause
its two ends count and the rest does not.
"""

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]

LONGEST_PAUSE_S = 0.5
_END_S = 0.2
"""What counts of each end of a pause that is longer than that."""
_LEAST_SPEECH_S = 3.0
"""Statistics of less than this would be those of its few sounds."""
_QUIET_SHARE = 0.03
"""Of the mean power, what a pause has at most: 15 dB less."""
_SMOOTHED_S = 0.05


def counted_frames(
    samples: npt.ArrayLike, num_frames: int, hop_length: int, sample_rate: int
) -> Bools:
    """Returns which frames count in the statistics of a recording.

    Args:
        samples: Finite floats [num_samples].
        num_frames: How many frames there are, each `hop_length` samples after the one before.
        hop_length: In samples.
        sample_rate: In Hz.

    Returns:
        bool [num_frames]. False within pauses of more than 0.5 s, but for 0.2 s at either end; all
        True if less than 3 s would be left.
    """
    counted = np.ones(num_frames, np.bool_)
    quiet = _quiet_frames(np.asarray(samples, np.float64), num_frames, hop_length, sample_rate)
    rate = sample_rate / hop_length  # frames a second
    least, end = round(LONGEST_PAUSE_S * rate), round(_END_S * rate)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if last - first >= least:
            counted[first + end : last - end] = False
    if counted.sum() < _LEAST_SPEECH_S * rate:
        counted[:] = True
    return counted


def _quiet_frames(
    samples: npt.NDArray[np.float64], num_frames: int, hop_length: int, sample_rate: int
) -> Bools:
    """Returns in which frames the power, a little smoothed, is far below the mean."""
    size = num_frames * hop_length
    power = np.square(np.pad(samples[:size], (0, max(0, size - len(samples))), mode="edge"))
    levels = power.reshape(num_frames, hop_length).mean(axis=1)
    width = max(1, round(_SMOOTHED_S * sample_rate / hop_length))
    sums = np.cumsum(np.concatenate([[0.0], np.pad(levels, (width // 2, width - 1 - width // 2))]))
    smoothed = (sums[width:] - sums[:-width]) / width
    return np.asarray(smoothed < _QUIET_SHARE * levels.mean())
