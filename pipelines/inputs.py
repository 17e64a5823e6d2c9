"""What `asr transcribe` is given, as a list of recordings with names for what is made of them.

Taken are recordings, folders of them (with all folders below), patterns that no shell has expanded
(`'calls/**/*.wav'`), lists (JSON lines, CSV, a Kaldi folder), names from another program that are
ended by NUL, and `-` for one recording on standard input. All but Kaldi folders may be addresses.

A recording's name is its path, without the suffix, below the one folder that holds all that was
given: `calls` alone gives `monday/1`, `calls mail` gives `calls/monday/1` and `mail/1`. What comes
from a list is named by its id. Names are fit to be files anywhere below a folder: none leads out of
it, and no two are the same even where capitals make no difference.
"""

import contextlib
import dataclasses
import functools
import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asr.addresses import is_address, without_scheme
from asr.audio import SUFFIXES
from asr.errors import ManifestError
from asr.interchange import is_list, read_utterances
from asr.manifest import Utterance
from pipelines.fetching import channel_counts, fetched_list, num_channels
from pipelines.names import safe_name, unique_names
from pipelines.remote import Seen
from pipelines.remote_inputs import Object, look_at, objects, objects_at
from pipelines.spool import spooled
from pipelines.usage import UsageError

STDIN = "-"

_Choice = int | Literal["mix", "each"]
_CHOICES: Mapping[str, _Choice] = {"mix": "mix", "each": "each", "left": 0, "right": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Something to transcribe, and what its outputs are called.

    Attributes:
        utterance: Where it is; its id is what the user knows it by.
        name: A relative path with `/`, without the suffix of a recording; one of its kind in a run.
        seen: What is said of it where it has an address; None if it is not there.
    """

    utterance: Utterance
    name: str
    seen: Seen | None = None

    @property
    def channel(self) -> int | None:
        """The channel that is meant, from 0; None for the mean of all."""
        return self.utterance.channel


def gather(
    inputs: Sequence[str],
    *,
    files0_from: str | None = None,
    root: Path | str | None = None,
    channels: str = "mix",
) -> list[Recording]:
    """Finds all recordings that a command line means, in its order, each file once.

    A file that is missing, or is no recording, is among them: it fails when it is read.

    Args:
        inputs: As above.
        files0_from: A file with more names of recordings, each ended by NUL; `-` is standard input.
        root: Folder that the relative paths of lists start from, or its address; the lists' own if
            None.
        channels: `mix` for the mean of all, `left`, `right` or a number from 1 on for that channel,
            `each` for all apart: then `.1`, `.2` … end the names of those that have several. A
            line of a list that says which channel it means is taken at its word.

    Raises:
        UsageError: There is nothing to transcribe, or the arguments make no sense.
        ManifestError: A list cannot be read, or is empty.
    """
    choice = _channel_choice(channels)
    if not inputs and files0_from is None:
        raise UsageError("expected recordings, folders of them or a list, received none")
    if STDIN in inputs and files0_from == STDIN:
        raise UsageError("expected a recording or names on standard input, not both")
    found = [one for given in inputs for one in _found(given, root)]
    if files0_from is not None:
        found += _named_files(_names_in(files0_from))
    _refuse_nothing(inputs, found)
    count = _counter(found if choice == "each" else ())
    once = {one.key: one for one in reversed(found)}  # the first of each is kept
    apart = [
        dataclasses.replace(one, utterance=utterance, tail=utterance.id[len(one.utterance.id) :])
        for one in found
        if once[one.key] is one
        for utterance in _channels(one.utterance, choice, count)
    ]
    return [
        Recording(utterance=one.utterance, name=name, seen=one.seen)
        for one, name in zip(apart, _names(apart), strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A recording on its way to a name.

    Attributes:
        utterance: Where it is.
        base: Folder that it was found by, absolute; None if it is named by its id.
        key: The same for what is the same file.
        tail: What its name ends with, after its path.
        below: Its path below that folder, where it has an address.
        seen: What is said of it there.
    """

    utterance: Utterance
    base: str | None
    key: object
    tail: str = ""
    below: str = ""
    seen: Seen | None = None

    @property
    def is_missing(self) -> bool:
        """Whether a recording that was given by its name is not there."""
        if self.utterance.address is not None:
            return self.base is not None and self.seen is None
        return self.base is not None and not self.utterance.audio.exists()

    @classmethod
    def file(cls, path: str, base: str | None = None) -> "_Found":
        """Returns a file, named from its own folder if from no other."""
        audio = Path(path)
        id_ = str(audio).encode(errors="replace").decode()  # a list's ids are text
        return cls(
            utterance=Utterance(id=id_, audio=audio, duration_s=None),
            base=os.path.dirname(os.path.abspath(path)) if base is None else base,
            key=audio.absolute(),
        )

    @classmethod
    def remote(cls, one: Object) -> "_Found":
        """Returns an object, named as a file is."""
        id_ = one.address.encode(errors="replace").decode()
        return cls(
            utterance=Utterance(
                id=id_, audio=Path(one.address), address=one.address, duration_s=None
            ),
            base=one.base,
            key=one.key,
            below=one.name,
            seen=one.seen,
        )

    @classmethod
    def named(cls, utterance: Utterance, seen: Seen | None = None) -> "_Found":
        """Returns what is named by its id."""
        return cls(utterance=utterance, base=None, key=object(), seen=seen)


def _found(given: str, root: Path | str | None, base: str | None = None) -> Iterator[_Found]:
    """Yields the recordings that one argument means."""
    if is_address(given):
        yield from _found_there(given, root)
        return
    given = without_scheme(given) if base is None else given
    path = Path(given)
    if given == STDIN and base is None:
        yield _Found.named(Utterance(id="stdin", audio=spooled(sys.stdin), duration_s=None))
    elif is_list(path) and (not path.is_dir() or (path / "wav.scp").exists()):
        yield from _listed(path, read_utterances(path, root=root))
    elif path.is_dir():
        within = os.path.abspath(path) if base is None else base
        for file in _files_below(given):
            yield _Found.file(file, within)
    elif glob.has_magic(given) and not path.exists():
        folder, matches = _matches(path)
        for match in matches:  # all named from that folder
            yield from _found(match, root, os.path.abspath(folder))
        if not matches:
            yield _Found.file(given)
    else:
        yield _Found.file(given, base)


def _found_there(given: str, root: Path | str | None) -> Iterator[_Found]:
    """Yields the recordings that an address means."""
    with _refusing():
        for one in objects(given):
            if is_list(Path(one.address)):
                yield from _listed(one.address, fetched_list(one.address, root=root))
            else:
                yield _Found.remote(one)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Refuses to start where a folder or list at an address cannot be read."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None


def _listed(path: Path | str, utterances: Sequence[Utterance]) -> Iterator[_Found]:
    if not utterances:
        raise ManifestError(f"{path}: expected at least one recording, received an empty list")
    seen = look_at(one.address for one in utterances if one.address is not None)
    for one in utterances:
        yield _Found.named(one, None if one.address is None else seen[one.address])


def _named_files(names: Sequence[str]) -> Iterator[_Found]:
    """Yields the recordings of which another program has given the names."""
    with _refusing():
        there = {one.address: one for one in objects_at(filter(is_address, names))}
    for name in names:
        yield _Found.remote(there[name]) if name in there else _Found.file(without_scheme(name))


def _files_below(folder: str) -> Iterator[str]:
    """Yields the recordings in a folder and in those below it, in order, hidden ones left out."""
    yield from _walk(folder, frozenset())


def _walk(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    try:
        status = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"{folder}: expected a readable folder: {error.strerror}") from None
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link that leads back
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, above | {here})
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
            yield entry.path


def _matches(pattern: Path) -> tuple[str, list[str]]:
    """Returns the folder where a pattern begins to be one, and what it finds there, in order."""
    parts = pattern.parts
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    folder, rest = Path(*parts[:plain]), parts[plain:]
    with_hidden = any(part.startswith(".") for part in rest)
    try:
        # Not glob.glob, which follows links that lead back as long as it may.
        found = sorted(path.relative_to(folder) for path in folder.glob("/".join(rest)))
    except ValueError:  # such as `**.wav`, which means nothing
        return str(folder), []
    return str(folder), [
        str(folder / path)
        for path in found
        if with_hidden or not any(part.startswith(".") for part in path.parts)
    ]


def _names_in(path: str) -> list[str]:
    """Reads names that are ended by NUL, as `find -print0` writes them."""
    try:
        data = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--files0-from {path}: {error.strerror}") from None
    names = data.removesuffix(b"\0").split(b"\0") if data else []
    if b"" in names:
        raise UsageError(f"--files0-from {path}: expected names, received an empty one")
    return [os.fsdecode(name) for name in names]


def _refuse_nothing(inputs: Sequence[str], found: Sequence[_Found]) -> None:
    """Refuses to start where there is nothing, which is most likely a mistyped name."""
    if not found:
        looked = ", ".join(inputs) or "the list of names"
        kinds = " ".join(sorted(SUFFIXES))
        raise UsageError(f"found no recordings in {looked}; looked for {kinds}")
    if all(one.is_missing for one in found):
        missing = [one.utterance.address or str(one.utterance.audio) for one in found]
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UsageError(f"no such file: {', '.join(missing[:3])}{more}")


def _channel_choice(channels: str) -> _Choice:
    if channels in _CHOICES:
        return _CHOICES[channels]
    if channels.isascii() and channels.isdecimal() and 1 <= int(channels) < 1 << 16:
        return int(channels) - 1
    raise UsageError(
        f"--channels: expected mix, left, right, each or a number from 1 on, received {channels}"
    )


def _channels(
    utterance: Utterance, choice: _Choice, count: Callable[[Utterance], int]
) -> list[Utterance]:
    """Returns an utterance of each channel that is meant."""
    if choice == "mix" or utterance.channel is not None:
        return [utterance]
    if choice != "each":
        return [dataclasses.replace(utterance, channel=choice)]
    num_channels = count(utterance)
    if num_channels == 1:
        return [utterance]
    return [
        dataclasses.replace(utterance, id=f"{utterance.id}.{number + 1}", channel=number)
        for number in range(num_channels)
    ]


def _counter(found: Iterable[_Found]) -> Callable[[Utterance], int]:
    """Returns what counts channels: of a recording whose stretches are many, once."""
    addresses = (one.utterance.address for one in found if one.seen is not None)
    there = channel_counts(dict.fromkeys(filter(None, addresses)))
    count = functools.cache(num_channels)
    return lambda one: there.get(one.address, 1) if one.address else count(one.audio)


def _names(found: Sequence[_Found]) -> list[str]:
    bases = {one.base for one in found if one.base is not None}
    top = os.path.commonpath(bases) if bases else ""
    return unique_names(_name_choices(one, top) for one in found)


def _name_choices(one: _Found, top: str) -> tuple[str, str]:
    """Returns a recording's name, and the one it has if another's is the same."""
    if one.base is None:
        name = safe_name(one.utterance.id)
        return name, name
    if one.utterance.address is not None:
        # Joined as it is: in an object's name, `..` and `//` lead nowhere.
        path = f"{os.path.relpath(one.base, top)}/{one.below}"
    else:
        path = Path(os.path.relpath(os.path.abspath(one.utterance.audio), top)).as_posix()
    stem, suffix = os.path.splitext(path)
    plain = stem if suffix.lower() in SUFFIXES else path
    return safe_name(plain + one.tail), safe_name(path + one.tail)
