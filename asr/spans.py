"""Parts of recordings: opened, decoded, checked, mixed down and resampled block by block."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from asr import ffmpeg, soundfiles
from asr.errors import AudioError

Samples = npt.NDArray[np.float32]
Source = soundfiles.SoundFileSource | ffmpeg.FfmpegSource

_MIN_RATE, _MAX_RATE = 4_000, 768_000  # Hz; half of telephone speech, and the fastest converters
# Sound around a part of a file that is decoded and dropped: the resampler looks tens of samples
# both ways, and a seek leaves opus and mp3 decoders unsettled. RFC 7845, section 4.6, asks for
# 80 ms; after 1 s opus speech was within -50 dB of an unbroken decode, and hardly closer after 8 s.
_MARGIN_S = 1.0
_SILENCE = 1e-7  # less than the last bit of 24: all that a lossy codec makes of zeros
_LOUDEST = 1e6  # a float file in units of int16 is merely loud; beyond this nothing is sound


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a recording in samples of the delivered rate; `stop` is None for "to the end"."""

    sample_rate: int
    start: int
    stop: int | None

    @classmethod
    def checked(
        cls, path: Path | str, offset_s: float, duration_s: float | None, sample_rate: int
    ) -> Self:
        """Makes a span from seconds; refuses what is negative, not finite or without length."""
        if not (math.isfinite(offset_s) and offset_s >= 0):
            raise AudioError(f"{path}: expected an offset from 0 s on, received {offset_s}")
        if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
            raise AudioError(f"{path}: expected a duration above 0 s, received {duration_s}")
        if sample_rate < 1:
            raise AudioError(f"{path}: expected a sample rate above 0 Hz, received {sample_rate}")
        start = round(offset_s * sample_rate)
        # Rounded apart from the offset, so that equal durations give equal numbers of samples.
        stop = None if duration_s is None else start + max(1, round(duration_s * sample_rate))
        return cls(sample_rate=sample_rate, start=start, stop=stop)

    @property
    def is_whole(self) -> bool:
        """Whether the span is all of a recording."""
        return self.start == 0 and self.stop is None

    def meeting(self, source_rate: int) -> tuple[int, int]:
        """Returns where to begin decoding: one instant, as a frame and as a delivered sample.

        The grids of two rates meet every `rate / gcd` samples; only from such a point on do the
        resampled samples of a part fall on those of the whole.
        """
        common = math.gcd(self.sample_rate, source_rate)
        early = max(0, self.start - math.ceil(_MARGIN_S * self.sample_rate))
        count = early // (self.sample_rate // common)
        return count * (source_rate // common), count * (self.sample_rate // common)

    def frames(self, source_rate: int) -> tuple[int, float]:
        """Returns the part's first frame and the one after its last, in samples of the source."""
        stop = math.inf if self.stop is None else math.ceil(self._scaled(self.stop, source_rate))
        return math.floor(self._scaled(self.start, source_rate)), stop

    def _scaled(self, position: int, source_rate: int) -> float:
        return position * source_rate / self.sample_rate


def open_source(path: Path) -> Source:
    """Opens a recording with the decoder that reads it, and refuses impossible headers.

    Raises:
        AudioError: The path is no file, an empty one, or nothing any decoder here can read.
    """
    try:
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        if not path.is_file():
            raise AudioError(f"{path}: expected a file, received a folder or a device")
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: is empty (0 bytes)")
        source: Source = (ffmpeg if ffmpeg.is_needed(path) else soundfiles).open_source(path)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from None
    if not _MIN_RATE <= source.sample_rate <= _MAX_RATE or source.num_channels < 1:
        raise AudioError(
            f"{path}: expected at least one channel of {_MIN_RATE} to {_MAX_RATE} Hz, but its "
            f"header says {source.num_channels} of {source.sample_rate} Hz"
        )
    return source


def read(path: Path, span: Span, channels: int | Literal["mix"]) -> Iterator[Samples]:
    """Yields a span in pieces, float32 [num_samples] at the span's rate; at least one.

    Raises:
        AudioError: The recording cannot be read, or holds nothing to hear in the span.
    """
    source = open_source(path)
    first_frame, position = span.meeting(source.sample_rate)
    blocks = _mono(source, span, channels, first_frame)
    num_given = 0
    for piece in _resampled(blocks, source.sample_rate, span.sample_rate):
        stop = len(piece) if span.stop is None else max(0, span.stop - position)
        wanted = piece[max(0, span.start - position) : stop]
        position += len(piece)
        num_given += len(wanted)
        if len(wanted):
            yield wanted
    if num_given == 0:
        after = f" after {span.start / span.sample_rate:.2f} s" if span.start else ""
        raise AudioError(f"{path}: holds no samples{after}")


def _resampled(blocks: Iterator[Samples], from_rate: int, to_rate: int) -> Iterator[Samples]:
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _mono(
    source: Source, span: Span, channels: int | Literal["mix"], position: int
) -> Iterator[Samples]:
    """Yields one channel, or the mean of all, from frame `position` to a margin after the span."""
    _check_channel(source, channels)
    start, stop = span.frames(source.sample_rate)
    end = stop + math.ceil(_MARGIN_S * source.sample_rate)
    loudest = {"mono": 0.0, "any": 0.0}  # within the span, after and before mixing down
    for whole_block in source.blocks(position):
        block = whole_block[: int(min(len(whole_block), end - position))]
        _check_finite(source, block, position)
        # Copied in either case: the next block overwrites this one.
        mono = block.mean(axis=1) if channels == "mix" else block[:, channels].copy()
        wanted = slice(max(0, start - position), int(min(len(mono), max(0, stop - position))))
        loudest["mono"] = max(loudest["mono"], _peak(mono[wanted]))
        loudest["any"] = max(loudest["any"], _peak(block[wanted]))
        position += len(mono)
        yield mono
        if position >= end:
            break
    if position > start and loudest["mono"] < _SILENCE:
        cancels = channels == "mix" and loudest["any"] >= _SILENCE
        what = "channels that cancel each other" if cancels else "digital silence"
        part = "" if span.is_whole else " in the part asked for"
        channel = "" if channels == "mix" else f" in channel {channels}"
        raise AudioError(f"{source.path}: holds only {what}{channel}{part}")


def _check_channel(source: Source, channels: int | Literal["mix"]) -> None:
    if channels != "mix" and not 0 <= channels < source.num_channels:
        count = "1 channel" if source.num_channels == 1 else f"{source.num_channels} channels"
        raise AudioError(
            f"{source.path}: has {count}: expected a channel from 0 to {source.num_channels - 1}, "
            f"received {channels!r}"
        )


def _check_finite(source: Source, block: Samples, position: int) -> None:
    if not _peak(block) <= _LOUDEST:  # NaN compares as false
        bad = np.flatnonzero(~(np.abs(block) <= _LOUDEST).all(axis=1))[0]
        value = block[bad][~(np.abs(block[bad]) <= _LOUDEST)][0]
        raise AudioError(
            f"{source.path}: expected samples in -1..1, received {value} after "
            f"{(position + int(bad)) / source.sample_rate:.2f} s"
        )


def _peak(samples: Samples) -> float:
    return float(np.max(np.abs(samples), initial=0.0))
