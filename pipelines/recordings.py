"""Which recordings are the same, told by what the files hold and not by what they are called."""

import collections
import hashlib
import struct
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TypeVar

from asr.manifest import Utterance

_Key = TypeVar("_Key", bound=Hashable)

_PIECE = 4_096
"""Bytes from the middle of a file: there recordings of the same length differ."""


def file_digests(utterances: Iterable[Utterance]) -> dict[str, bytes]:
    """Returns digests of the recordings whose file is a copy of another, by utterance id.

    Files that cannot be read are left out. Only files of the same size are opened, and only those
    read through whose middles are alike.

    Args:
        utterances: Where the recordings are; where a stretch starts and its channel are part of
            its digest.
    """
    stretches: dict[Path, list[Utterance]] = collections.defaultdict(list)
    for utterance in utterances:
        stretches[utterance.audio].append(utterance)
    groups = [list(stretches)]
    for key_of in (_size, _middle):
        groups = [same for group in groups for same in _alike(group, key_of).values()]
    return {
        item.id: digest + _place(item)
        for group in groups
        for digest, paths in _alike(group, _digest).items()
        for path in paths
        for item in stretches[path]
    }


def _place(item: Utterance) -> bytes:
    """Returns where a stretch is in its recording: its start and its channel."""
    return struct.pack("di", item.offset_s, -1 if item.channel is None else item.channel)


def _alike(paths: Iterable[Path], key_of: Callable[[Path], _Key]) -> dict[_Key, list[Path]]:
    """Returns the paths that share a key, by key; those that cannot be read are left out."""
    groups: dict[_Key, list[Path]] = collections.defaultdict(list)
    for path in paths:
        try:
            groups[key_of(path)].append(path)
        except OSError:
            continue
    return {key: same for key, same in groups.items() if len(same) > 1}


def _size(path: Path) -> int:
    return path.stat().st_size


def _middle(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _PIECE) // 2)
        return file.read(_PIECE)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
