"""A stranger's recording, read no further than the service allows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr import spans
from asr.audio import SAMPLE_RATE, audio_info, stream_audio
from asr.errors import AudioError

Samples = npt.NDArray[np.float32]


class TooLongError(AudioError):
    """A recording is longer than the service allows."""

    def __init__(self, *, max_audio_s: float) -> None:
        super().__init__(f"expected at most {max_audio_s:g} s of audio, received more")


def stated_duration_s(path: Path, *, max_audio_s: float) -> float | None:
    """Returns how long a recording says it is, in seconds; None where only decoding can tell.

    Raises:
        AudioError: It is no recording.
        TooLongError: By its headers it is longer than allowed; nothing was decoded to know.
    """
    if spans.open_source(path).num_frames is None:
        return None
    duration_s = audio_info(path).duration_s
    if duration_s > max_audio_s:
        raise TooLongError(max_audio_s=max_audio_s)
    return duration_s


def read_blocks(path: Path, *, max_audio_s: float) -> Iterator[Samples]:
    """Yields a recording in blocks, float32 [num_samples] at 16 kHz, whatever its headers said.

    Raises:
        AudioError: It cannot be read.
        TooLongError: There is more of it than allowed.
    """
    num_samples = 0
    # A little more than is allowed, so that what is too long is seen to be.
    for block in stream_audio(path, duration_s=max_audio_s + 1.0):
        num_samples += len(block)
        if num_samples > max_audio_s * SAMPLE_RATE:
            raise TooLongError(max_audio_s=max_audio_s)
        yield block
