"""Recordings in, samples out: float32, mono, at the recognizer's rate, checked.

Any container that libsndfile decodes (wav, flac, ogg vorbis and opus, mp3, aiff) or, where it is
installed, ffmpeg (m4a, aac, video). One path serves whole files, parts of files and files longer
than memory: blocks are decoded, checked, mixed down and resampled one after another, so nothing is
ever allocated by what a header claims. Resampling is libsoxr's at its "HQ" setting (20 bits).
"""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from asr import ffmpeg, files, soundfiles, spans
from asr.errors import AudioError

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000

SUFFIXES = frozenset((*soundfiles.SUFFIXES, *ffmpeg.SUFFIXES))
"""What recordings are called, in small letters; a recording of any other name is read as well."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What a recording is, by its headers: rate in Hz, length in seconds, container, encoding."""

    sample_rate: int
    num_channels: int
    duration_s: float
    container: str
    encoding: str


def audio_info(path: Path | str) -> AudioInfo:
    """Describes a recording without decoding it, where its headers can be trusted.

    wav and aiff lengths are held against the bytes there, an mp3's frames are counted (its header
    is not believed), ogg and flac are believed, a streamed flac that states no length is decoded.

    Raises:
        AudioError: The file is missing, empty, truncated or not a recording.
    """
    source = spans.open_source(Path(path))
    if isinstance(source, soundfiles.SoundFileSource):
        duration_s = soundfiles.duration_s(source)
    else:
        duration_s = ffmpeg.duration_s(source)
    if duration_s == 0:
        raise AudioError(f"{path}: holds no samples")
    return AudioInfo(
        sample_rate=source.sample_rate,
        num_channels=source.num_channels,
        duration_s=duration_s,
        container=source.container,
        encoding=source.encoding,
    )


def count_channels(path: Path | str) -> int:
    """Returns how many channels a recording has, by its headers.

    Raises:
        AudioError: The file is missing, empty, truncated or not a recording.
    """
    return spans.open_source(Path(path)).num_channels


def load_audio(
    path: Path | str,
    *,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    channels: int | Literal["mix"] = "mix",
) -> Samples:
    """Reads a recording, or a part of it, which equals the same slice of the whole.

    Equal means to 1e-4; in opus, whose decoder never quite forgets, to some 50 dB below the speech.

    Args:
        path: The file.
        offset_s: Where to begin, in seconds; reached by seeking, not by decoding what lies before.
        duration_s: How much to read, in seconds; None, or more than there is, reads to the end.
        sample_rate: The rate to deliver, in Hz.
        channels: "mix" for the mean of all channels, or the 0-based number of one.

    Returns:
        Samples, float32 [num_samples], in -1..1 (a float file or the resampler may exceed it).

    Raises:
        AudioError: The file is missing, empty, truncated, corrupt, needs an ffmpeg that is not
            there, holds NaN or infinity, or nothing but digital silence in the part asked for.
    """
    span = spans.Span.checked(path, offset_s, duration_s, sample_rate)
    return np.concatenate(list(spans.read(Path(path), span, channels)))


def stream_audio(
    path: Path | str,
    *,
    block_s: float = 60.0,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    channels: int | Literal["mix"] = "mix",
) -> Iterator[Samples]:
    """Reads a recording of any length in bounded memory; the blocks joined equal `load_audio`.

    Args:
        path: The file.
        block_s: Length of a block in seconds; the last may be shorter.
        offset_s: Where to begin, in seconds.
        duration_s: How much to read, in seconds; None, or more than there is, reads to the end.
        sample_rate: The rate to deliver, in Hz.
        channels: "mix" for the mean of all channels, or the 0-based number of one.

    Yields:
        Samples, float32 [block_s * sample_rate].

    Raises:
        AudioError: As `load_audio`. What only the end can tell (a truncated file, or silence from
            beginning to end) is raised at the end.
    """
    size = round(block_s * sample_rate) if math.isfinite(block_s) else 0
    if size < 1:
        raise AudioError(f"{path}: expected blocks of some length, received block_s={block_s}")
    span = spans.Span.checked(path, offset_s, duration_s, sample_rate)
    waiting: list[Samples] = []
    num_waiting = 0
    for piece in spans.read(Path(path), span, channels):
        waiting.append(piece)
        num_waiting += len(piece)
        if num_waiting >= size:
            joined = np.concatenate(waiting)
            whole = num_waiting // size * size
            yield from (joined[at : at + size] for at in range(0, whole, size))
            waiting, num_waiting = [joined[whole:]], num_waiting - whole
    if num_waiting:
        yield np.concatenate(waiting)


def resample(samples: npt.ArrayLike, *, from_rate: int, to_rate: int) -> Samples:
    """Changes the rate of a whole signal.

    Args:
        samples: float [num_samples].
        from_rate: Its rate, in Hz.
        to_rate: The rate wanted, in Hz.

    Returns:
        float32 [round(num_samples * to_rate / from_rate)].
    """
    signal = np.ascontiguousarray(samples, np.float32)
    if min(from_rate, to_rate) < 1 or signal.ndim != 1:
        raise AudioError(
            f"expected samples [num_samples] and positive rates, received shape {signal.shape}, "
            f"{from_rate} Hz and {to_rate} Hz"
        )
    if from_rate == to_rate or not len(signal):
        return signal.copy()
    import soxr

    return np.asarray(soxr.resample(signal, from_rate, to_rate, quality="HQ"), np.float32)


def write_wav(path: Path | str, samples: npt.ArrayLike, *, sample_rate: int = SAMPLE_RATE) -> None:
    """Writes a mono wav of 16 bits, whole or not at all, replacing what is there.

    Args:
        path: The file.
        samples: float [num_samples] in -1..1; +1 becomes 32767, all else round(32768 * sample).
        sample_rate: Their rate, in Hz.

    Raises:
        AudioError: A sample is NaN or outside -1..1, which would be clipped: scale it first.
    """
    signal = np.asarray(samples, np.float64)
    peak = float(np.max(np.abs(signal), initial=0.0))
    if signal.ndim != 1 or not peak <= 1.0:
        raise AudioError(
            f"{path}: expected samples [num_samples] in -1..1, received shape {signal.shape} "
            f"with a peak of {peak:.4g}"
        )
    import soundfile

    integers = np.minimum(np.rint(signal * 32768.0), 32767).astype(np.int16)
    with files.replacing(path) as aside:
        soundfile.write(str(aside), integers, sample_rate, subtype="PCM_16", format="WAV")
