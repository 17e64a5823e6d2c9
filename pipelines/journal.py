"""A file that says what has been done, line by line, and is believed after any kind of end.

A line is a JSON object that counts as a whole or not at all. It is on the disk before `append`
returns. What a killed program leaves of a line, or a loss of power of several, is cut off by the
next one that writes.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.locks import lock
from pipelines.usage import UsageError

VERSION = 1

Record = Mapping[str, Any]


class Journal:
    """A journal that this process alone writes to, until it is closed.

    Nothing is made before `begin`: a run that is refused leaves no trace.

    Args:
        path: The file; it need not be there.

    Raises:
        UsageError: Another program is writing to it, or it is of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0
        self._handle: int | None = None
        self._reader: BinaryIO | None = None
        if path.exists():
            self._handle = self._open()

    def begin(self) -> None:
        """Makes the file, with its folder, if it is not there, and cuts off a torn end.

        Raises:
            UsageError: Another program has made it meanwhile.
        """
        if self._handle is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._open()
            if os.fstat(self._handle).st_size:
                raise UsageError(f"{self._path}: another program has just written to it")
        if os.fstat(self._handle).st_size > self._end:
            os.truncate(self._handle, self._end)
        if self._end == 0:
            self.append({"journal": VERSION})

    def records(self) -> Iterator[tuple[int, Record]]:
        """Yields all lines in their order, each with where it begins."""
        self._end = 0
        if self._handle is None:
            return
        with self._path.open("rb") as file:
            for line in file:
                record = _parsed(line)
                if record is None:  # torn, and so is all behind it
                    return
                check_version(record, self._path)
                place, self._end = self._end, self._end + len(line)
                yield place, record

    def append(self, record: Record) -> int:
        """Adds a line, and waits until the disk has it.

        Returns:
            Where it begins, for `at`.

        Raises:
            OSError: It could not be written; then nothing of it is there.
        """
        assert self._handle is not None  # noqa: S101 - begin has opened it
        place = self._end
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        os.lseek(self._handle, place, os.SEEK_SET)
        try:
            _write(self._handle, line)
            os.fsync(self._handle)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._handle, place)
            error.filename = error.filename or str(self._path)
            raise
        self._end += len(line)
        return place

    def at(self, place: int) -> Record:
        """Returns the line that begins at a certain place."""
        if self._reader is None:
            self._reader = self._path.open("rb")
        self._reader.seek(place)
        record = _parsed(self._reader.readline())
        assert record is not None  # noqa: S101 - it was whole when it was read or written
        return record

    def settle(self) -> None:
        """Does nothing: here, no record says what is of use only for a while."""

    def close(self) -> None:
        """Lets go of the file; others may write to it now."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        if lock(handle) is False:
            os.close(handle)
            raise UsageError(f"{self._path}: another program is writing to it; let it end first")
        return handle


def check_version(record: Record, place: Path | str) -> None:
    """Refuses a record of another version's journal.

    Raises:
        UsageError: It is one.
    """
    if record.get("journal", VERSION) != VERSION:
        raise UsageError(
            f"{place}: expected a journal of version {VERSION}, received one of version "
            f"{record['journal']}"
        )


def _parsed(line: bytes) -> Record | None:
    """Returns a line's object; None if the line is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _write(handle: int, data: bytes) -> None:
    while data:  # a disk that fills up takes a part
        data = data[os.write(handle, data) :]
