"""A journal where nothing can be added to a file: an object for each record, joined now and then.

An object holds the records of a range of numbers, one a line, behind its number; its name says the
range: `0000000007-0000000007.jsonl` is one record, `0000000000-0000000063.jsonl` was joined of 64.
What is joined is put before its parts are removed, so that at any moment all is there.
"""

import bisect
import contextlib
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from asr.addresses import joined
from pipelines.journal import VERSION, Record, check_version
from pipelines.locks import lock
from pipelines.remote import Place, below, each, put, read, remove
from pipelines.usage import UsageError

NUM_JOINED = 64
"""Records that are joined: so many requests at most are for records that say the most."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

_Range = tuple[int, int]


class RemoteJournal:
    """A journal that this program alone writes to, until it is closed.

    Programs of one user on one machine are kept from writing to the same one; others are not.

    Args:
        folder: The address of its objects; there need be none.
        settled: Returns a record without what it says only until what it tells of is done.

    Raises:
        OSError: It cannot be read.
        UsageError: Another program is writing to it, or it is of another version.
    """

    def __init__(self, folder: str, settled: Callable[[Record], Record]) -> None:
        self._folder = folder
        self._settled = settled
        self._lock = _Lock(folder)
        self._next = 0
        self._ranges: list[_Range] = []
        """Of all objects that count, in order."""
        self._loose: dict[int, Record] = {}
        """Settled records that are to be joined, by number."""
        self._has_more = False
        """Whether an object of one record says more than the record does when it is settled."""
        self._idle: set[_Range] = set()
        """Objects that another one has joined, or that are torn."""
        self._lines = functools.lru_cache(maxsize=8)(self._read)

    def begin(self) -> None:
        """Makes the first object, if there is none, which shows whether one may be made.

        Raises:
            OSError: It cannot be made.
        """
        if self._next == 0:
            self.append({"journal": VERSION})

    def records(self) -> Iterator[tuple[int, Record]]:
        """Yields all records in their order, each with its number.

        Raises:
            OSError: They cannot be read.
        """
        names = (path.rpartition("/")[2] for path in below(self._folder))
        # The longer of two that begin with the same record has joined the shorter.
        ranges = sorted(filter(None, map(_range, names)), key=lambda one: (one[0], -one[1]))
        self._next = 1 + max((last for _, last in ranges), default=-1)
        joined_to = -1
        contents = each(read, [self._address(one) for one in ranges])
        for one, (_, content) in zip(ranges, contents, strict=True):
            if isinstance(content, OSError):
                raise content
            lines = {} if one[1] <= joined_to else _parsed(content, one)
            if not lines:
                self._idle.add(one)
                continue
            joined_to = one[1]
            self._ranges.append(one)
            for number, record in lines.items():
                check_version(record, self._folder)
                if one[0] == one[1]:
                    self._keep(number, record)
                yield number, record

    def append(self, record: Record) -> int:
        """Adds a record; it is there when this returns.

        What all records before it tell of is done.

        Returns:
            Its number, for `at`.

        Raises:
            OSError: It could not be written; it may be there all the same.
        """
        if len(self._loose) >= NUM_JOINED:
            self._join()
        number = self._next
        self._next += 1
        self._put((number, number), {number: record})
        self._keep(number, record)
        self._ranges.append((number, number))
        return number

    def at(self, place: int) -> Record:
        """Returns the record of a certain number.

        Raises:
            OSError: It cannot be read.
        """
        if place in self._loose:
            return self._loose[place]
        return self._lines(self._ranges[bisect.bisect(self._ranges, (place, self._next)) - 1])[
            place
        ]

    def settle(self) -> None:
        """Joins what is left; what all records tell of is done.

        Raises:
            OSError: It could not be written; nothing is lost by it.
        """
        if len(self._loose) == 1 and self._has_more:
            self.append({})  # one alone would be written over itself, and might be torn
        if len(self._loose) > 1:
            self._join()
        elif self._idle:
            self._remove_idle()

    def close(self) -> None:
        """Lets go of it; others may write to it now."""
        self._lock.close()

    def _keep(self, number: int, record: Record) -> None:
        self._loose[number] = self._settled(record)
        self._has_more = self._has_more or self._loose[number] != record

    def _join(self) -> None:
        parts = {(number, number) for number in self._loose}
        whole = (min(self._loose), max(self._loose))
        self._put(whole, self._loose)
        self._ranges = sorted([*(one for one in self._ranges if one not in parts), whole])
        self._loose, self._has_more = {}, False
        self._idle = (self._idle | parts) - {whole}  # which may have been torn before
        self._remove_idle()

    def _remove_idle(self) -> None:
        idle = sorted(self._idle)
        removed = each(remove, [self._address(one) for one in idle])
        # What cannot be removed is in nobody's way; the next time, it may be.
        self._idle = {one for one, (_, left) in zip(idle, removed, strict=True) if left is not None}

    def _put(self, one: _Range, records: dict[int, Record]) -> None:
        lines = (json.dumps([*pair], separators=(",", ":")) for pair in sorted(records.items()))
        put(self._address(one), "".join(f"{line}\n" for line in lines).encode())

    def _read(self, one: _Range) -> dict[int, Record]:
        return _parsed(read(self._address(one)), one)

    def _address(self, one: _Range) -> str:
        return joined(self._folder, f"{one[0]:010}-{one[1]:010}.jsonl")


def _range(name: str) -> _Range | None:
    first, _, last = name.removesuffix(".jsonl").partition("-")
    if name.endswith(".jsonl") and first.isdecimal() and last.isdecimal():
        return int(first), int(last)
    return None


def _parsed(content: bytes, one: _Range) -> dict[int, Record]:
    """Returns an object's records by number; none if it is not whole."""
    lines = content.split(b"\n")
    if lines.pop():
        return {}
    with contextlib.suppress(ValueError, TypeError):
        records: dict[int, Record] = dict(map(json.loads, lines))
        if records and (min(records), max(records)) == one:
            return records
    return {}


class _Lock:
    """Keeps other programs of this user on this machine from an address, until it is closed.

    Raises:
        UsageError: One of them is writing there.
    """

    def __init__(self, folder: str) -> None:
        place = "/".join(Place(folder).parts)
        digest = hashlib.sha256(place.encode(errors="replace")).hexdigest()[:32]
        user = os.getuid() if hasattr(os, "getuid") else 0
        self._path = Path(tempfile.gettempdir()) / f"asr-{user}-{digest}.lock"
        self._handle: int | None = None
        while self._handle is None:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
            if lock(handle) is False:
                os.close(handle)
                raise UsageError(f"{folder}: another program is writing to it; let it end first")
            # Whoever had it before may have removed the file in between.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self._path.stat()):
                    self._handle = handle
                    continue
            os.close(handle)

    def close(self) -> None:
        """Lets others there."""
        if self._handle is not None:
            with contextlib.suppress(OSError):  # where an open file cannot be removed
                self._path.unlink()
            os.close(self._handle)
            self._handle = None
