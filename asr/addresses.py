"""Where recordings are: paths, and addresses such as `s3://bucket/calls/1.wav`.

An address is a text with a scheme, kept as it was written: pathlib would make one slash of two.
Nothing is opened here; what an address leads to is for programs to know.
"""

import dataclasses
import os
import re
from pathlib import Path
from typing import NamedTuple

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SCHEMES_OF_FILES = ("file://", "local://")


def is_address(text: str) -> bool:
    """Whether a text is an address, and no path; `file://` begins a path."""
    return _SCHEME.match(text) is not None and not text.lower().startswith(_SCHEMES_OF_FILES)


def without_scheme(text: str) -> str:
    """Returns the path that a text means: what stands behind `file://`, or all of it."""
    for scheme in _SCHEMES_OF_FILES:
        if text.lower().startswith(scheme):
            return text[len(scheme) :]
    return text


def scheme_of(address: str) -> str:
    """Returns what stands before `://`."""
    return address.partition("://")[0]


def joined(folder: str, relative: str) -> str:
    """Returns the address of what lies in a folder under a relative path; `..` leads up in it."""
    scheme, _, place = folder.partition("://")
    host, *parts = place.rstrip("/").split("/")
    for part in relative.split("/"):
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return f"{scheme}://{'/'.join((host, *parts))}"


def parent_of(address: str) -> str:
    """Returns the address of the folder that something lies in, without a slash at its end."""
    scheme, _, place = address.partition("://")
    return f"{scheme}://{place.rstrip('/').rpartition('/')[0]}"


def name_of(address: str) -> str:
    """Returns the last part of an address."""
    return address.partition("://")[2].rstrip("/").rpartition("/")[2]


class Audio(NamedTuple):
    """Where a recording is, as an utterance says it: a path, and an address if that is no file."""

    path: Path
    address: str | None = None

    @classmethod
    def at(cls, address: str) -> "Audio":
        """Returns what an address means."""
        return cls(Path(address), address)


@dataclasses.dataclass(frozen=True, slots=True)
class AudioBase:
    """Where relative audio paths start."""

    folder: Path
    fixed: bool
    address: str | None = None

    @classmethod
    def of(cls, folder: Path, root: Path | str | None) -> "AudioBase":
        """Returns the base of a list of utterances that lies in `folder`."""
        if root is None:
            return cls(folder, False)
        return cls(Path(root), True, root if isinstance(root, str) and is_address(root) else None)

    def resolve(self, written: str) -> Audio:
        """Returns the recording that a list means by `written`."""
        if is_address(written):
            return Audio.at(written)
        written = without_scheme(written)
        if self.address is not None and not written.startswith("/"):
            return Audio.at(joined(self.address, written))
        path = self.folder / written
        # Of os.path, since pathlib's raises OSError at a name that no file could have.
        if not self.fixed and not os.path.exists(path) and os.path.exists(written):
            return Audio(Path(written))
        return Audio(path)
