"""Who is going to speak, from recordings of theirs: what `--voice` names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, resample
from asr.errors import AudioError
from asr.features import FeatureOptions
from asr.manifest import Utterance
from asr.voices import accustomed
from pipelines.inputs import gather
from pipelines.speech import load_speech
from pipelines.usage import UsageError


def accustomed_to(options: FeatureOptions, place: Path | str) -> FeatureOptions:
    """Returns feature settings that normalise by one speaker's recordings.

    Args:
        options: A model's settings.
        place: A recording of the speaker, a folder of them, or a list (JSON lines, CSV, Kaldi).

    Raises:
        UsageError: The model's normalisation cannot make use of it, or there are several speakers.
        ManifestError: The list cannot be read.
        AudioError: None of the recordings can be read.
    """
    if options.prior is None:
        raise UsageError(
            "--voice: expected a model that was trained with prior_frames, received one that "
            "normalises each recording by itself"
        )
    utterances = [one.utterance for one in gather([str(place)])]
    speakers = {one.speaker for one in utterances} - {None}
    if len(speakers) > 1:
        raise UsageError(
            f"--voice: expected recordings of one speaker, received those of {len(speakers)} in "
            f"{place}"
        )
    return accustomed(options, _readable(utterances, options.sample_rate))


def _readable(
    utterances: Sequence[Utterance], sample_rate: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Yields the recordings that can be read, float32 [num_samples]; at least one."""
    failures: list[AudioError] = []
    for utterance in utterances:
        try:
            yield resample(load_speech(utterance), from_rate=SAMPLE_RATE, to_rate=sample_rate)
        except AudioError as error:
            failures.append(error)
    if len(failures) == len(utterances):
        raise AudioError(f"--voice: none of {len(failures)} recordings can be read: {failures[0]}")
