"""What the channel and the level add to an utterance, taken away: cepstral normalisation.

Over a second or more, an utterance's own mean and variance tell of its speaker and microphone.
Over the 0.4 s of "no" they tell mostly of its vowel, which normalising would then take away too. A
prior mends that: the statistics are those of the utterance and of some frames of average speech
together, which weigh much beside a word and next to nothing beside a sentence. The mean of
coefficient 0, loudness, stays the utterance's own: how loud a recording is says nothing of speech.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.blocks import blocks

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Normalisation = Literal["mean-variance", "mean", "none"]

_BLOCK_FRAMES = 256
_MIN_DEVIATION = 1e-5


class Prior(NamedTuple):
    """Average speech, as if some frames of it had been heard with every utterance.

    Attributes:
        frames: How many; above 0.
        mean: Of each coefficient, float64 [n]; that of coefficient 0 is not used.
        deviation: Of each coefficient, float64 [n].
    """

    frames: float
    mean: Floats
    deviation: Floats


def normalise(
    features: npt.ArrayLike,
    *,
    kind: Normalisation,
    prior: Prior | None = None,
    counted: Bools | None = None,
) -> Array:
    """Gives each coefficient mean 0 and variance 1 over an utterance (Atal, 1974), or near it.

    Args:
        features: float [num_frames, n].
        kind: "mean-variance" for mean 0 and variance 1 over the frames, "mean", or "none". A
            coefficient whose deviation is below 1e-5 is a constant: it is centred, never divided.
        prior: Frames of average speech that count as if they belonged to the utterance: its mean
            and variance then lie between its own and theirs (the maximum a posteriori of Gauvain
            and Lee, 1994). None for the utterance's own.
        counted: bool [num_frames], the frames whose mean and variance it is; None for all.

    Returns:
        float32 [num_frames, n].
    """
    values = np.array(features, np.float32)
    normalise_in_place(values, kind, prior, counted)
    return values


def normalise_in_place(
    values: Array,
    kind: Normalisation,
    prior: Prior | None = None,
    counted: Bools | None = None,
) -> None:
    """As `normalise`, over float32 [num_frames, n] itself, by two passes: first centred."""
    if kind == "none" or not len(values):
        return
    count = len(values) if counted is None else int(counted.sum())
    total = np.zeros(values.shape[1])
    for block in blocks(len(values), _BLOCK_FRAMES):
        total += _of(values, block, counted).sum(axis=0, dtype=np.float64)
    mean = total / count
    if prior is not None:
        mean[1:] = (total + prior.frames * prior.mean)[1:] / (count + prior.frames)
    squares = np.zeros(values.shape[1])
    for block in blocks(len(values), _BLOCK_FRAMES):
        values[block] -= mean.astype(np.float32)
        own = _of(values, block, counted)
        squares += np.einsum("ij,ij->j", own, own)
    if kind == "mean":
        return
    variance = squares / count
    if prior is not None:
        around = prior.deviation**2
        around[1:] += (prior.mean - mean)[1:] ** 2
        variance = (squares + prior.frames * around) / (count + prior.frames)
    deviation = np.sqrt(variance)
    scale = np.where(deviation < _MIN_DEVIATION, 1.0, 1 / np.maximum(deviation, _MIN_DEVIATION))
    for block in blocks(len(values), _BLOCK_FRAMES):
        values[block] *= scale.astype(np.float32)


def _of(values: Array, block: slice, counted: Bools | None) -> Array:
    return values[block] if counted is None else values[block][counted[block]]
