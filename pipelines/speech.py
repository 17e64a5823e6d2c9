"""An utterance's stretch of its recording, read the same way by every program."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, load_audio, resample, stream_audio
from asr.manifest import Utterance

Samples = npt.NDArray[np.float32]


class Stretch(NamedTuple):
    """Where an utterance's speech is: of all an utterance says, what can go to other processes."""

    audio: Path
    offset_s: float
    duration_s: float | None
    channel: int | None = None

    @classmethod
    def of(cls, utterance: Utterance) -> Self:
        """Returns an utterance's stretch."""
        return cls(utterance.audio, utterance.offset_s, utterance.duration_s, utterance.channel)


def load_speech(utterance: Utterance | Stretch, *, speed: float = 1.0) -> Samples:
    """Reads an utterance's samples, float32 [num_samples] at 16 kHz, played at a given speed.

    Raises:
        AudioError: The recording cannot be read.
    """
    samples = load_audio(
        utterance.audio,
        offset_s=utterance.offset_s,
        duration_s=utterance.duration_s,
        channels=_channels(utterance),
    )
    return at_speed(samples, speed)


def stream_speech(utterance: Utterance) -> Iterator[Samples]:
    """Reads the same samples block by block, for recordings of any length.

    Raises:
        AudioError: The recording cannot be read; what only its end can tell, at the end.
    """
    return stream_audio(
        utterance.audio,
        offset_s=utterance.offset_s,
        duration_s=utterance.duration_s,
        channels=_channels(utterance),
    )


def at_speed(samples: Samples, speed: float) -> Samples:
    """Plays samples at another speed: float32 [num_samples / speed] of [num_samples].

    Speed changes tempo and pitch together, by resampling (Ko et al., "Audio augmentation for
    speech recognition", 2015).
    """
    if speed == 1.0:
        return samples
    return resample(samples, from_rate=round(SAMPLE_RATE * speed), to_rate=SAMPLE_RATE)


def _channels(utterance: Utterance | Stretch) -> int | Literal["mix"]:
    return "mix" if utterance.channel is None else utterance.channel
