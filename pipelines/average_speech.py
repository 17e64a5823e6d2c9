"""What average speech sounds like: the prior that normalisation counts with each utterance."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from asr.errors import AudioError, TrainingError
from asr.features import FeatureOptions, frame_features
from asr.manifest import Utterance
from pipelines.progress import Progress
from pipelines.speech import load_speech

MOST_UTTERANCES = 300
"""Evenly from all: half an hour of speech or more, of which more would tell no more."""


def with_average_speech(
    options: FeatureOptions, utterances: Iterable[Utterance], *, quiet: bool = False
) -> FeatureOptions:
    """Returns the feature settings with their prior measured, if they ask for one and have none.

    Args:
        options: The settings.
        utterances: The training speech; not looked at if nothing is to be measured.
        quiet: Show no progress.

    Raises:
        TrainingError: None of the recordings can be read.
    """
    if not options.prior_frames or options.prior_mean:
        return options
    plain = replace(options, normalise="none", prior_frames=0.0)
    width = options.num_coefficients
    count, total, squares = 0, np.zeros(width), np.zeros(width)
    speech = list(utterances)
    chosen = speech[:: -(-len(speech) // MOST_UTTERANCES) or 1]
    with Progress(len(chosen), unit="utterances", label="average speech", quiet=quiet) as progress:
        for utterance in chosen:
            try:
                values = frame_features(load_speech(utterance), plain).astype(np.float64)
            except AudioError:
                continue  # said where the corpus is read, with all others
            finally:
                progress.advance()
            count += len(values)
            total += values.sum(axis=0)
            squares += (values**2).sum(axis=0)
    if not count:
        raise TrainingError("no recording of the training speech can be read")
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return replace(options, prior_mean=_rounded(mean), prior_deviation=_rounded(deviation))


def _rounded(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, ...]:
    """Four decimals of decibels: what a person can read in the recipe kept with the run."""
    return tuple(round(float(value), 4) for value in values)
