"""What an address on a command line means: an object, a folder of them, or a pattern."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asr.addresses import parent_of
from asr.audio import SUFFIXES
from pipelines.remote import Place, Seen, below, each, look, matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object that may be a recording or a list of them.

    Attributes:
        address: Where it is.
        base: Folder that it was found by, as a path from a root that holds all file systems.
        name: Its path below that folder.
        key: The same for the same object.
        seen: What its file system says of it; None if it is not there.
    """

    address: str
    base: str
    name: str
    key: object
    seen: Seen | None


def objects(given: str) -> Iterator[Object]:
    """Yields the objects that an address means, those of a folder in order, none that are hidden.

    Of a folder, recordings alone, as their names say. What is not there is an object as well.

    Raises:
        OSError: A folder or pattern cannot be looked at.
    """
    try:
        is_folder, seen = (True, None) if given.endswith("/") else look(given)
    except FileNotFoundError:
        found = list(_matching(given)) if glob.has_magic(given) else []
        yield from found or [_object(given, None)]
        return
    if is_folder:
        yield from _in_folder(given, given)
    else:
        yield _object(given, seen)


def objects_at(addresses: Iterable[str]) -> list[Object]:
    """Returns an object for each address, whatever it looks like."""
    return [_object(address, seen) for address, seen in look_at(addresses).items()]


def look_at(addresses: Iterable[str]) -> dict[str, Seen | None]:
    """Returns what is said of objects, by address; None of one that cannot be looked at."""
    return {
        address: None if isinstance(told, OSError) or told[0] else told[1]
        for address, told in each(look, dict.fromkeys(addresses))
    }


def _matching(pattern: str) -> Iterator[Object]:
    scheme, _, place = pattern.partition("://")
    parts = place.split("/")
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    base = f"{scheme}://{'/'.join(parts[:first])}"
    with_hidden = any(part.startswith(".") for part in parts[first:])
    found = matches(pattern)
    for path in _in_order(found):
        seen, name = found[path], _name_below(base, path)
        if not with_hidden and _is_hidden(name):
            continue
        address = Place(base).address_of(path)
        if seen is None:
            yield from _in_folder(address, base)
        else:
            yield _found_object(address, base, name, seen)


def _in_folder(folder: str, base: str) -> Iterator[Object]:
    found, place = below(folder), Place(folder)
    for path in _in_order(found):
        is_recording = os.path.splitext(path)[1].lower() in SUFFIXES
        if is_recording and not _is_hidden(_name_below(folder, path)):
            yield _found_object(place.address_of(path), base, _name_below(base, path), found[path])


def _object(address: str, seen: Seen | None) -> Object:
    folder = parent_of(address)
    return _found_object(address, folder, _name_below(folder, Place(address).path), seen)


def _found_object(address: str, base: str, name: str, seen: Seen | None) -> Object:
    return Object(
        address=address,
        base="/" + "/".join(Place(base).parts),
        name=name,
        key=Place(address).key,
        seen=seen,
    )


def _name_below(folder: str, path: str) -> str:
    return path[len(Place(folder).path.rstrip("/")) :].removeprefix("/")


def _is_hidden(name: str) -> bool:
    # In a store, `..` is a name like any other.
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def _in_order(paths: Iterable[str]) -> list[str]:
    """Returns paths as a walk through folders would find them."""
    return sorted(paths, key=lambda path: path.split("/"))
