"""Recordings at addresses as files, for as long as something reads them."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from asr.addresses import name_of, parent_of
from asr.audio import SUFFIXES, count_channels
from asr.errors import AudioError, ManifestError
from asr.interchange import read_utterances
from asr.manifest import Utterance
from pipelines.names import safe_name
from pipelines.remote import each, fetch
from pipelines.spool import private_folder, remove_abandoned
from pipelines.stamps import file_digest

Told = TypeVar("Told")


@contextlib.contextmanager
def fetched(utterances: Sequence[Utterance]) -> Iterator[list[Utterance | OSError]]:
    """Yields utterances whose recordings are files of this machine until the context ends.

    An object that several are about is fetched once.

    Args:
        utterances: Where the recordings are.

    Yields:
        For each the utterance to read, or why its recording could not be fetched.
    """
    addresses = {one.address: None for one in utterances if one.address is not None}
    if not addresses:
        yield list(utterances)
        return
    _sweep_once()
    with private_folder() as folder:
        paths = {address: folder / f"{n}{_suffix(address)}" for n, address in enumerate(addresses)}
        outcomes = dict(each(lambda address: fetch(address, paths[address]), addresses))

        def readable(one: Utterance) -> Utterance | OSError:
            if one.address is None:
                return one
            outcome = outcomes[one.address]
            if outcome is not None:
                return outcome
            return dataclasses.replace(one, audio=paths[one.address], address=None)

        yield [readable(one) for one in utterances]


def fetched_list(address: str, *, root: Path | str | None) -> list[Utterance]:
    """Returns the utterances of a list at an address, whose relative paths begin beside it.

    Args:
        address: Where it is.
        root: Where relative paths begin instead.

    Raises:
        OSError: It cannot be read.
        ManifestError: It cannot be understood.
    """
    with private_folder() as folder:
        path = folder / safe_name(name_of(address))
        fetch(address, path)
        try:
            return read_utterances(path, root=parent_of(address) if root is None else root)
        except ManifestError as error:
            raise ManifestError(str(error).replace(os.fspath(path), address)) from None


def digests(addresses: Iterable[str]) -> dict[str, str]:
    """Returns the SHA-256 of objects, by address; of those that cannot be read, none."""
    found = each(functools.partial(_of_copy, file_digest), addresses)
    return {address: digest for address, digest in found if isinstance(digest, str)}


def channel_counts(addresses: Iterable[str]) -> dict[str, int]:
    """Returns how many channels recordings have, by address; 1 for what cannot be read."""
    found = each(functools.partial(_of_copy, num_channels), addresses)
    return {address: count if isinstance(count, int) else 1 for address, count in found}


def _of_copy(function: Callable[[Path], Told], address: str) -> Told:
    with private_folder() as folder:
        path = folder / f"0{_suffix(address)}"
        fetch(address, path)
        return function(path)


def num_channels(path: Path) -> int:
    """Returns how many channels a recording has; 1 if it cannot be read."""
    try:
        return count_channels(path)
    except AudioError:
        return 1  # why, it says when it is heard


def _suffix(address: str) -> str:
    suffix = os.path.splitext(address)[1].lower()
    return suffix if suffix in SUFFIXES else ""


@functools.cache
def _sweep_once() -> None:
    remove_abandoned()
