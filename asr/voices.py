"""How a speaker sounds through their microphone, learnt from all there is of them.

A word of half a second does not tell a channel's colour from its own sounds; many words do. So
where it is known who speaks, what normalisation counts with an utterance can be the average of that
speaker's recordings in place of everybody's. It needs no texts. Kaldi's recipes normalise by
speaker too.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from asr.features import FeatureOptions, frame_features
from asr.pauses import counted_frames

_MOST_FRAMES = 60_000
"""Ten minutes at the usual hop: more would change nothing that can be heard."""


def accustomed(
    options: FeatureOptions, recordings: Iterable[npt.NDArray[np.float32]]
) -> FeatureOptions:
    """Returns feature settings whose prior is a speaker's average instead of everybody's.

    The fewer frames there are, the nearer it stays to the average of all speech, which counts as
    `prior_frames` of them (maximum a posteriori; Gauvain and Lee, 1994). Long pauses do not count.

    Args:
        options: The settings; those without a prior are returned as they are.
        recordings: Of one speaker, float32 [num_samples] each at `options.sample_rate`; the first
            ten minutes of them are looked at.

    Raises:
        AudioError: One of them is not one row of finite floating-point numbers.
    """
    prior = options.prior
    if prior is None:
        return options
    plain = dataclasses.replace(options, normalise="none", prior_frames=0.0)
    count = 0
    total = prior.frames * prior.mean
    squares = prior.frames * (prior.deviation**2 + prior.mean**2)
    for samples in recordings:
        values = frame_features(samples, plain).astype(np.float64)
        values = values[counted_frames(samples, len(values), options.hop_length, plain.sample_rate)]
        count += len(values)
        total = total + values.sum(axis=0)
        squares = squares + (values**2).sum(axis=0)
        if count >= _MOST_FRAMES:
            break
    mean = total / (count + prior.frames)
    deviation = np.sqrt(np.maximum(squares / (count + prior.frames) - mean**2, 0.0))
    return dataclasses.replace(
        options, prior_mean=tuple(mean.tolist()), prior_deviation=tuple(deviation.tolist())
    )
