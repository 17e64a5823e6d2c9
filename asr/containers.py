"""What an audio file's own headers say about its length, where that differs from what is there.

libsndfile believes headers that are often wrong: it shortens a truncated wav without a word,
takes a wav that was never closed for an empty one, guesses the length of an mp3 from its first
frame and stops there, and reads only the first of several Ogg streams laid end to end. The
functions here look at the bytes, never at the sound, and cost a few reads (for mp3 one step per
frame, not a decode).
"""

import dataclasses
import functools
import io
import mmap
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

# Writers that cannot seek back leave a length such as 0x7FFFF000 (sox), 0x80000000 or 0xFFFFFFFF
# (ffmpeg). A file truly that long has the bytes to show for it, so the two cannot be confused.
PLACEHOLDER_LENGTH = 0x7FFF_0000
_OGG_PAGE_LENGTH = 65_307  # the longest an Ogg page can be (RFC 3533, section 6)
# kbit/s by index, MPEG-1 and MPEG-2/2.5 layer III (ISO 11172-3 2.4.2.3, ISO 13818-3 2.4.2.3).
_BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Of layer III, the bytes that `_frame_length` takes for a header, but for the rate's two bits.
_FRAME_START = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", re.DOTALL)
_MAX_TRIES = 100_000
_SAMPLE_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataChunk:
    """The sound of a wav or aiff file: bytes promised by the chunk's header, and bytes there.

    `size_at` is where in the file the promise is written.
    """

    promised: int
    present: int
    size_at: int

    @property
    def is_open_ended(self) -> bool:
        """Whether the promise is a placeholder that means "until the end of the file"."""
        return self.promised == 0 or self.promised >= PLACEHOLDER_LENGTH

    @property
    def share_present(self) -> float:
        """The part of the promised bytes that is there, at most 1."""
        return 1.0 if self.is_open_ended else min(1.0, self.present / self.promised)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mp3Frames:
    """The frames of a layer-III file, counted one by one.

    `count_at` is where the Xing or Info tag keeps its own count, None without such a tag.
    """

    num_frames: int
    samples_per_frame: int
    count_at: int | None

    @property
    def num_samples(self) -> int:
        """Samples per channel, encoder delay and padding included."""
        return self.num_frames * self.samples_per_frame


class PatchedFile(io.RawIOBase):
    """A file open for reading, with some bytes replaced and, if asked, a longer length claimed."""

    def __init__(self, path: Path, patches: Mapping[int, bytes], *, extra_length: int = 0) -> None:
        self._file = path.open("rb")
        self._patches = patches
        self._length = path.stat().st_size
        self._extra_length = extra_length

    def readinto(self, buffer: object) -> int:
        """Reads as `io.RawIOBase.readinto` does."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        start = self._file.tell()
        count = self._file.readinto(view)
        if start > self._length:
            # Looking for a tag at the claimed end: it must find something there, but no tag. A
            # decoder arrives at the true end itself, and must find that nothing follows.
            count = min(len(view), max(0, self._length + self._extra_length - start))
            view[:count] = bytes(count)
        for at, patch in self._patches.items():
            first, last = max(at, start), min(at + len(patch), start + count)
            if first < last:
                view[first - start : last - start] = patch[first - at : last - at]
        return int(count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves as `io.IOBase.seek` does; the end lies `extra_length` bytes further on."""
        if whence == os.SEEK_END:
            whence, offset = os.SEEK_SET, self._length + self._extra_length + offset
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Returns the position in bytes."""
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()


def find_data_chunk(path: Path) -> DataChunk | None:
    """Returns the sound chunk of a RIFF (wav) or FORM (aiff) file; None if it has none.

    A chunk of length 0 whose following bytes are well-formed chunks up to the end of the file is
    truly empty; one followed by anything else was left open by its writer.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">", b"FORM": ">"}.get(file.read(4))
        if order is None:
            return None
        for name, start, length in _chunks(file, order, 12, size):
            if name in (b"data", b"SSND"):
                empty = length == 0 and _are_chunks(file, order, start, size)
                present = 0 if empty else size - start
                return DataChunk(promised=length, present=present, size_at=start - 4)
    return None


def _chunks(
    file: io.BufferedReader, order: str, start: int, size: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, start of contents and length of each chunk from `start` on."""
    while start + 8 <= size:
        file.seek(start)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        yield name, start + 8, length
        start += 8 + length + length % 2  # chunks start at even addresses


def _are_chunks(file: io.BufferedReader, order: str, start: int, size: int) -> bool:
    end = start
    for name, begin, length in _chunks(file, order, start, size):
        if not name.isascii() or begin + length > size:
            return False
        end = begin + length
    return size - end < 2  # a last pad byte may be there or not


def ogg_problem(path: Path) -> str | None:
    """Returns why only the start of an Ogg file would be heard; None if there is no such reason.

    An Ogg file that merely stops early (a recorder was killed) is whole up to its last page and is
    no problem: nothing in it promises more.
    """
    with path.open("rb") as file:
        head = file.read(_OGG_PAGE_LENGTH)
        if not head.startswith(b"OggS"):
            return None
        file.seek(max(0, path.stat().st_size - _OGG_PAGE_LENGTH))
        tail = file.read()
    last = tail.rfind(b"OggS\0")
    if last < 0:
        return "is corrupt: its last 64 KiB hold no Ogg page"
    # Streams side by side (sound and pictures) all begin on the first pages, one after another.
    serials = {head[at + 14 : at + 18] for at in _first_pages(head)}
    if len(tail) >= last + 18 and tail[last + 14 : last + 18] not in serials:
        return "holds several Ogg streams laid end to end, of which only the first can be read"
    return None


def last_ogg_page_start(path: Path) -> int:
    """Returns the sample with which a Vorbis file's last page begins; 0 if it has but one page."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2 * _OGG_PAGE_LENGTH))
        tail = file.read()
    starts, at = [], tail.find(b"OggS\0")
    while at >= 0:
        position = tail[at + 6 : at + 14]  # of the page's end; all ones if no packet ends in it
        starts.append(0 if position == b"\xff" * 8 else int.from_bytes(position, "little"))
        at = tail.find(b"OggS\0", at + 1)
    return max(starts[:-1], default=0)


def _first_pages(head: bytes) -> Iterator[int]:
    """Yields where the pages that begin a stream start."""
    at = 0
    while head[at : at + 4] == b"OggS" and len(head) > at + 27 and head[at + 5] & 2:
        yield at
        num_segments = head[at + 26]
        at += 27 + num_segments + sum(head[at + 27 : at + 27 + num_segments])


def count_mp3_frames(path: Path) -> Mp3Frames | None:
    """Counts an mp3 file's frames by stepping from header to header, in bounded memory.

    Args:
        path: A file that holds MPEG layer III; tags and damaged stretches are stepped over.

    Returns:
        The frames; None where the file is not layer III of a fixed set of bit rates.
    """
    status = path.stat()
    return _count_mp3_frames(path, status.st_size, status.st_mtime_ns) if status.st_size else None


# A long mp3 is opened for each of its utterances in turn, and counting an hour takes a while.
@functools.lru_cache(maxsize=64)
def _count_mp3_frames(path: Path, _size: int, _mtime_ns: int) -> Mp3Frames | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        frames = _Frames(data)
        at = frames.find(_after_id3(data), None)
        if at is None:
            return None
        kind, is_mpeg1 = data[at : at + 4], bool(data[at + 1] & 8)
        tag = _xing(data, at, is_mpeg1=is_mpeg1)
        num_frames = frames.count(at, kind) - (tag is not None)
        has_count = tag is not None and bool(data[tag + 7] & 1)
        return Mp3Frames(
            num_frames=num_frames,
            samples_per_frame=1152 if is_mpeg1 else 576,
            count_at=tag + 8 if tag is not None and has_count else None,
        )


def _after_id3(data: mmap.mmap) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    high, second, third, low = data[6:10]  # seven bits each (id3.org, ID3v2.4 section 6.2)
    return 10 + (high << 21 | second << 14 | third << 7 | low)


class _Frames:
    """The frames of a file, and how often more something may look like one without being one.

    A damaged file has some such places; one that was made to be nothing else would take minutes.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._tries_left = _MAX_TRIES

    def count(self, at: int, kind: bytes) -> int:
        """Returns how many frames of a kind there are from `at` on."""
        data, num_frames = self._data, 0
        while True:
            length = _frame_length(data[at : at + 4], kind)
            if length == 0:
                following = self.find(at, kind)
                if following is None:
                    return num_frames
                at = following
            elif at + length > len(data):
                return num_frames
            else:
                num_frames += 1
                at += length

    def find(self, start: int, kind: bytes | None) -> int | None:
        """Returns where the next frame begins; it counts if another follows it or the end."""
        data = self._data
        for match in _FRAME_START.finditer(data, start):
            at = match.start()
            length = _frame_length(data[at : at + 4], kind)
            after = at + length
            if length and (
                after == len(data) or _frame_length(data[after : after + 4], data[at:after])
            ):
                return at
            self._tries_left -= 1
            if self._tries_left < 0:
                return None
        return None


def _frame_length(header: bytes, kind: bytes | None) -> int:
    """Returns a frame's length in bytes; 0 if this is no header, or none of the same kind."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return 0
    if kind is not None and (version != kind[1] >> 3 & 3 or rate != kind[2] >> 2 & 3):
        return 0
    is_mpeg1 = version == 3
    bits = _BITRATES[is_mpeg1][bitrate] * 1000 * (144 if is_mpeg1 else 72)
    return bits // _SAMPLE_RATES[version][rate] + (header[2] >> 1 & 1)


def _xing(data: mmap.mmap, at: int, *, is_mpeg1: bool) -> int | None:
    """Returns where the first frame's Xing or Info tag starts; it follows the side information."""
    is_mono = data[at + 3] >> 6 == 3
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    tag = at + 4 + side[is_mpeg1, is_mono]
    return tag if data[tag : tag + 4] in (b"Xing", b"Info") else None
