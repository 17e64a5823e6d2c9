"""An utterance's stretch of its recording, read the same way by every program."""

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, load_audio, resample
from asr.manifest import Utterance


def load_speech(utterance: Utterance, *, speed: float = 1.0) -> npt.NDArray[np.float32]:
    """Reads an utterance's samples, float32 [num_samples] at 16 kHz, played at a given speed.

    Speed changes tempo and pitch together, by resampling (Ko et al., "Audio augmentation for
    speech recognition", 2015).

    Raises:
        AudioError: The recording cannot be read.
    """
    samples = load_audio(
        utterance.audio, offset_s=utterance.offset_s, duration_s=utterance.duration_s
    )
    if speed == 1.0:
        return samples
    return resample(samples, from_rate=round(SAMPLE_RATE * speed), to_rate=SAMPLE_RATE)
