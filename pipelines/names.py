"""Names of outputs: fit to be files below a folder whatever they were made of, and all different.

Recordings and lists come from others. A name of theirs may lead out of the folder, be hidden there,
hold what no terminal should show, be too long for a file, or be another's.
"""

import collections
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from pipelines.formats import FORMATS

_MAX_PART_BYTES = 180
"""Of one folder's or file's name; systems allow 255, with what is still to be added."""
_MAX_BYTES = 1_000
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's categories of what breaks lines, moves a cursor, or is half a character."""
_RESERVED = ("failures",)
"""What a program may write itself into a folder of outputs, without the suffix."""


def safe_name(raw: str) -> str:
    """Returns a path, or an id that may be one, as a relative path with `/` and nothing odd in it.

    The path does not begin at the root, none of its parts is `..` or begins with a dot, and each is
    short enough to be a file's name with a suffix. What is none of this stays as it is.
    """
    parts = [_safe_part(part) for part in raw.split("/") if part not in ("", ".")]
    name = "/".join(parts) or "_"
    return name if len(name.encode()) <= _MAX_BYTES else _safe_part("_".join(parts))


def _safe_part(part: str) -> str:
    fit = part.replace("\\", "_")
    if not (fit.isascii() and fit.isprintable()):
        fit = "".join("_" if unicodedata.category(one) in _UNFIT else one for one in fit)
    shown = fit.lstrip(".")
    fit = "_" * (len(fit) - len(shown)) + shown
    if len(fit.encode()) <= _MAX_PART_BYTES:
        return fit
    digest = hashlib.blake2b(part.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{fit.encode()[: _MAX_PART_BYTES - 20].decode(errors='ignore')}~{digest}"


def unique_names(choices: Iterable[tuple[str, str]]) -> list[str]:
    """Returns a name for each pair, all different even where capitals make no difference.

    Nor is the folder of one the file of another: beside `a.txt/b` there is no `a`, whose file may
    be `a.txt`.

    Args:
        choices: Safe names, each as it should be, and as it should be if another is the same.
    """
    pairs = list(choices)
    counts = collections.Counter(_key(short) for short, _ in pairs)
    chosen = [long if counts[_key(short)] > 1 else short for short, long in pairs]
    taken = {_key(name) for name in (*_RESERVED, *_files_like_folders(chosen))}
    return list(_numbered(chosen, taken))


def _numbered(names: Sequence[str], taken: set[str]) -> Iterator[str]:
    """Yields the names, `#2`, `#3` … after those that are taken."""
    repeats: collections.Counter[str] = collections.Counter()
    for name in names:
        new, key = name, _key(name)
        while _key(new) in taken:
            repeats[key] += 1
            new = f"{name}#{repeats[key] + 1}"
        taken.add(_key(new))
        yield new


def _files_like_folders(names: Iterable[str]) -> Iterator[str]:
    """Yields names whose files would be where others have a folder."""
    folders = {name.rpartition("/")[0] for name in names}
    for folder in folders:
        parts = folder.split("/")
        for end, part in enumerate(parts, start=1):
            stem, _, suffix = part.rpartition(".")
            if stem and suffix.lower() in FORMATS:
                yield "/".join((*parts[: end - 1], stem))


def _key(name: str) -> str:
    """Returns the same for what some file systems take for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
