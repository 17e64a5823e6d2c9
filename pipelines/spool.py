"""Audio from elsewhere, kept in private files for as long as it is needed.

A decoder looks back and forth in a recording, which neither a pipe nor an object store allows.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pipelines.locks import lock
from pipelines.usage import UsageError

_PREFIX = "asr-fetched-"
_LOCK = "in-use"


def spooled(stream: TextIO) -> Path:
    """Copies a stream of bytes to a file that its owner alone can read.

    It is removed when the program ends.

    Args:
        stream: Standard input, whose bytes are read to their end.

    Raises:
        UsageError: The stream is a terminal.
    """
    if stream.isatty():
        raise UsageError("-: expected audio on standard input, received a terminal")
    folder = Path(tempfile.mkdtemp(prefix="asr-"))
    atexit.register(_remove, folder, os.getpid())
    path = folder / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(stream.buffer, file)
    return path


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Yields a folder that its owner alone can read; it goes with the context.

    Where the process is killed in it, `remove_abandoned` finds the folder.
    """
    folder, handle = _locked_folder()
    try:
        yield folder
    finally:
        _empty_and_remove(folder)
        os.close(handle)


def _locked_folder() -> tuple[Path, int]:
    while True:
        # Resolved, since the messages of decoders name files so.
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        # Another process may take the folder for an abandoned one until it is locked.
        try:
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        if lock(handle) is not False and (folder / _LOCK).exists():
            return folder, handle
        os.close(handle)


def remove_abandoned() -> None:
    """Removes the private folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or one that has just gone
            try:
                handle = os.open(folder / _LOCK, os.O_RDWR)
            except FileNotFoundError:  # killed before it locked the folder, or after the lock went
                folder.rmdir()
                continue
            try:
                if lock(handle):  # None tells nothing about its process
                    _empty_and_remove(folder)
            finally:
                os.close(handle)


def _empty_and_remove(folder: Path) -> None:
    """Removes a private folder, the lock last: without it nobody could tell whose the rest is."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        (folder / _LOCK).unlink()
        folder.rmdir()


def _remove(folder: Path, owner: int) -> None:
    """Removes the folder, unless the process is a copy of the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
