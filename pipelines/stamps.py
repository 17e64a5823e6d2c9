"""Which file it was: seen at a glance where nothing has touched it, else told by its bytes."""

import contextlib
import functools
import hashlib
import os
from pathlib import Path
from typing import NamedTuple, Self


class Stamp(NamedTuple):
    """What a file was at one moment.

    Attributes:
        size: In bytes.
        mtime_ns: When it was last written, in nanoseconds.
        inode: Its number in the file system.
        sha256: Digest of its bytes, in hexadecimal digits.
        tag: Of an object at an address, what its file system knows its content by; empty of a file,
            and where nothing is known.
    """

    size: int
    mtime_ns: int
    inode: int
    sha256: str
    tag: str = ""

    @classmethod
    def of(cls, path: Path) -> Self:
        """Returns the stamp of a file.

        Raises:
            OSError: It cannot be read.
        """
        status = path.stat()
        return cls(*_look(status), _digest(path, *_look(status)))

    def fits(self, path: Path) -> bool:
        """Whether a file is this one still, or holds the same bytes."""
        with contextlib.suppress(OSError):
            return _look(path.stat()) == self[:3] or self.is_of(path)
        return False

    def is_of(self, path: Path) -> bool:
        """Whether a file holds these bytes, whatever it looks like."""
        with contextlib.suppress(OSError):
            look = _look(path.stat())
            return look[0] == self.size and _digest(path, *look) == self.sha256
        return False


def file_digest(path: Path) -> str:
    """Returns a file's SHA-256 in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    """Reads a file once for all its stretches and channels: the look is there for the cache."""
    del size, mtime_ns, inode
    return file_digest(path)
