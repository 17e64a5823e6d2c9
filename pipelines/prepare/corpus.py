"""What every importer shares: the record that describes a corpus, and finding its files.

An importer is a function from a folder to utterances without durations. What it cannot take it
gives as a `Fault` in the same stream, so that one bad line never hides the rest.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from asr.errors import ManifestError, OptionsError
from asr.manifest import Utterance

Side = Literal["train", "dev", "test"]
SIDES: tuple[Side, Side, Side] = ("train", "dev", "test")

# In the order of preference where a recording lies in several formats: lossless ones first.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".aiff", ".aif", ".aifc", ".sph", ".nist", ".au", ".snd", ".w64", ".rf64"),
    *(".caf", ".opus", ".ogg", ".oga", ".mp3", ".m4a", ".mp4", ".aac", ".wma", ".webm", ".raw"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something in a corpus that could not be taken.

    Attributes:
        where: The file, line or id it is about.
        reason: What is wrong with it.
        is_error: Whether something went wrong; else it is only told.
    """

    where: str
    reason: str
    is_error: bool = True

    def __str__(self) -> str:
        """Returns one line, without naming the file twice where the reason names it."""
        return self.reason if self.where in self.reason else f"{self.where}: {self.reason}"


Entry = Utterance | Fault
Reader = Callable[[Path, Sequence[str]], Iterator[Entry]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file that a corpus is published as.

    Attributes:
        url: Where it lies.
        name: What to call it on disk.
        size: For people: `337 MB`.
        sha256: The published digest, or one that several independent projects pin; None where no
            trustworthy value is known. Then the digest of the first download is kept beside it.
        md5: The same, for publishers that give MD5 alone.
    """

    url: str
    name: str
    size: str = ""
    sha256: str | None = None
    md5: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus that can be prepared.

    Attributes:
        name: What users call it on the command line.
        title: What it is, in a few words.
        layout: What its folder is expected to hold.
        licence: Under what terms it is given.
        read: From a folder (or file) and chosen parts (empty: all) to utterances without durations.
            An utterance's part is its extra key `subset` where the corpus has official splits.
        part: What a part is called (`subset`, `voice`); empty if the corpus has no parts.
        sides: The side of the official split for each value of `subset`.
        archives: What to download, by part; by the corpus's own name where it has a single archive.
    """

    name: str
    title: str
    layout: str
    licence: str
    read: Reader
    part: str = ""
    sides: Mapping[str, Side] = dataclasses.field(default_factory=dict)
    archives: Mapping[str, Archive] = dataclasses.field(default_factory=dict)


def files_below(folder: Path) -> Iterator[Path]:
    """Yields every file below a folder in a fixed order; links are followed, hidden names left out.

    Raises:
        ManifestError: There is no such folder.
    """
    if not folder.is_dir():
        raise ManifestError(f"expected a folder, received {folder}, which is not one")
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def is_audio(path: Path) -> bool:
    """Returns whether a file's ending is one that sound files have."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns the audio files among `paths` by name without ending, the best format of each."""
    best: dict[str, Path] = {}
    for path in paths:
        if is_audio(path) and (path.stem not in best or _rank(path) < _rank(best[path.stem])):
            best[path.stem] = path
    return best


def audio_in(folder: Path) -> dict[str, Path]:
    """Returns the audio files lying in a folder by name without ending; none if it is missing."""
    if not folder.is_dir():
        return {}
    return by_stem(path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Returns the lines of a UTF-8 file that hold anything, each with its number from 1.

    Raises:
        ManifestError: The file cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: expected UTF-8 text, received {error}") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    # Not splitlines: a transcript may hold U+2028 and other separators that end no line.
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line]


def chosen(available: Iterable[str], parts: Sequence[str], *, part: str) -> set[str]:
    """Returns the parts to read: those asked for, or all there are.

    Raises:
        OptionsError: A part asked for is not there.
    """
    there = set(available)
    missing = sorted(set(parts) - there)
    if missing:
        found = ", ".join(sorted(there)) or "none"
        raise OptionsError(f"no {part} {', '.join(missing)} in the corpus; found: {found}")
    return set(parts) or there


def _rank(path: Path) -> int:
    return AUDIO_SUFFIXES.index(path.suffix.lower())
