"""Recordings read through libsndfile: wav, flac, ogg, mp3, aiff and a few more."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr import containers
from asr.errors import AudioError

SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".nist", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".sph", ".w64", ".wav", ".wave"),
)
_CHUNK_SAMPLES = 1 << 15  # of all channels together; small, since errors are placed by chunks
# By content alone libsndfile also takes headerless formats, by which any bytes are sound.
_CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "NIST")
_UNKNOWN_LENGTH = 1 << 40  # a streamed flac claims 2**63 - 1 samples, a broken one up to 2**36
_SLACK_S = 0.1  # shorter by this much than promised is a careless writer, not a truncated file


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SoundFileSource:
    """A recording that libsndfile can decode, closed again after each use.

    `num_frames` (samples per channel) is None where only decoding can tell.
    """

    path: Path
    sample_rate: int
    num_channels: int
    num_frames: int | None
    container: str
    encoding: str

    def blocks(self, start: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yields the samples from frame `start` on, float32 [num_frames, num_channels] in -1..1.

        The header is not believed: blocks come until the decoder has no more. Each is a view that
        the next overwrites.

        Raises:
            AudioError: The data cannot be decoded, or end clearly before the header says.
        """
        if self.num_frames is not None and start >= self.num_frames:
            return
        with _opened(self.path) as file:
            position = self._seek(file, start)
            skip = start - position
            buffer = np.empty((self._chunk_frames(), self.num_channels), np.float32)
            while len(block := self._read(file, buffer, position)):
                position += len(block)
                yield block[skip:]
                skip = max(0, skip - len(block))
        self._check_end(position)

    def _chunk_frames(self) -> int:
        return max(1, _CHUNK_SAMPLES // self.num_channels)

    def _seek(self, file: Any, start: int) -> int:
        """Moves to frame `start`, or to one before it that can be reached; returns which."""
        if self.num_frames is None:
            return 0
        if self.encoding == "VORBIS":
            # libsndfile misses by what the encoder padded if it seeks into the last page.
            start = min(start, max(0, containers.last_ogg_page_start(self.path) - 1))
        if start:
            at = f"{start / self.sample_rate:.2f} s"
            with _described(self.path, f"is truncated or corrupt: it cannot be read at {at}"):
                file.seek(start)
        return start

    def _read(self, file: Any, buffer: Any, position: int) -> npt.NDArray[np.float32]:
        after = f"is truncated or corrupt: decoding fails after {position / self.sample_rate:.2f} s"
        with _described(self.path, after + self._promise()):
            block: npt.NDArray[np.float32] = file.read(out=buffer)
        return block

    def _check_end(self, position: int) -> None:
        # An mp3's header is a guess, and wav and aiff were checked by their bytes when opened.
        if self.container not in ("FLAC", "OGG") or self.num_frames is None:
            return
        if position < self.num_frames - _SLACK_S * self.sample_rate:
            seconds = position / self.sample_rate
            raise AudioError(
                f"{self.path}: is truncated or corrupt: it holds {seconds:.2f} s{self._promise()}"
            )

    def _promise(self) -> str:
        if self.num_frames is None:
            return ""
        return f" of the {self.num_frames / self.sample_rate:.2f} s its header promises"


def open_source(path: Path) -> SoundFileSource:
    """Reads a recording's headers.

    Raises:
        AudioError: The file is not sound that libsndfile knows, or its headers cannot be true.
    """
    with _opened(path) as file:
        container, num_frames = str(file.format), int(file.frames)
        source = SoundFileSource(
            path=path,
            sample_rate=int(file.samplerate),
            num_channels=int(file.channels),
            num_frames=num_frames if num_frames < _UNKNOWN_LENGTH else None,
            container=container,
            encoding=str(file.subtype),
        )
    if container not in _CONTAINERS:
        raise AudioError(f"{path}: is of a kind that is not supported here ({container})")
    _check_length(source)
    return source


def duration_s(source: SoundFileSource) -> float:
    """Returns a recording's length in seconds.

    Believed are the headers of wav and aiff (bounded by the bytes there), ogg and flac (whose last
    sample must be there); an mp3's frames are counted; a streamed flac, which says nothing, is
    decoded.

    Raises:
        AudioError: A flac ends before its header says.
    """
    num_frames = source.num_frames
    if source.container == "FLAC" and num_frames:
        for _ in source.blocks(num_frames - 1):
            break
    if source.container == "MP3" and num_frames is not None:
        frames = containers.count_mp3_frames(source.path)
        if frames is not None:
            num_frames = min(num_frames, frames.num_samples)
    if num_frames is None:
        num_frames = sum(len(block) for block in source.blocks(0))
    return num_frames / source.sample_rate


def _check_length(source: SoundFileSource) -> None:
    if source.container == "OGG" and (problem := containers.ogg_problem(source.path)):
        raise AudioError(f"{source.path}: {problem}")
    if source.container not in ("WAV", "WAVEX", "AIFF") or source.num_frames is None:
        return
    chunk = containers.find_data_chunk(source.path)
    if chunk is None or chunk.share_present == 1.0:
        return
    present_s = source.num_frames / source.sample_rate
    promised_s = present_s / chunk.share_present if chunk.share_present else float("inf")
    if promised_s - present_s > _SLACK_S:
        raise AudioError(
            f"{source.path}: is truncated: it holds {present_s:.2f} s "
            f"({chunk.present} bytes) of the {chunk.promised} bytes its header promises"
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a file with soundfile, its header corrected where libsndfile would be led astray."""
    import soundfile

    reading = "cannot be read as sound (wav, flac, ogg, mp3 or aiff)"
    with contextlib.ExitStack() as stack:
        with _described(path, reading):
            file = stack.enter_context(soundfile.SoundFile(_name(path)))
            patched = _patched(path, str(file.format), int(file.frames))
            if patched is not None:
                stack.callback(patched.close)
                file = stack.enter_context(soundfile.SoundFile(patched))
        # soundfile seeks after every read, which fails at the end of a streamed flac.
        file.seekable = lambda: False
        yield file


def _name(path: Path) -> str | bytes:
    """Returns a path as soundfile takes it, which encodes no name that is not text itself."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def _patched(path: Path, container: str, num_frames: int) -> containers.PatchedFile | None:
    if container in ("WAV", "WAVEX") and num_frames == 0:
        chunk = containers.find_data_chunk(path)
        if chunk is not None and chunk.promised == 0 and chunk.present > 0:
            until_the_end = (0xFFFF_FFFF).to_bytes(4, "little")
            return containers.PatchedFile(path, {chunk.size_at: until_the_end})
    if container == "MP3":
        return _patched_mp3(path, num_frames)
    return None


def _patched_mp3(path: Path, num_frames: int) -> containers.PatchedFile | None:
    """Returns the file with a length libmpg123 will not stop short of, if its own is too short."""
    frames = containers.count_mp3_frames(path)
    # A decoder drops its delay and the encoder's padding, together under four frames.
    if frames is None or frames.num_samples - num_frames <= 4 * frames.samples_per_frame:
        return None
    if frames.count_at is not None:
        return containers.PatchedFile(path, {frames.count_at: frames.num_frames.to_bytes(4, "big")})
    # Without a tag the length is guessed from the bytes and the first bit rate, of 8 to 320 kbit/s.
    return containers.PatchedFile(path, {}, extra_length=40 * path.stat().st_size)


@contextlib.contextmanager
def _described(path: Path, what: str) -> Iterator[None]:
    """Turns soundfile's errors into an AudioError that names the file and what failed."""
    import soundfile

    try:
        yield
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        # soundfile asks for the rate of a file called .raw with a TypeError.
        reason = str(getattr(error, "error_string", "") or "").strip(" :.")
        # What libsndfile says of an mp3 without a single frame would send the user astray.
        known = reason and "regular file" not in reason
        raise AudioError(f"{path}: {what}" + (f" ({reason})" if known else "")) from None
