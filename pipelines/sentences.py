"""Text of any source as normalised sentences, with progress shown."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from asr.errors import LanguageModelError
from pipelines.progress import Progress

if TYPE_CHECKING:
    from asr.text import TextOptions

SOURCE_HELP = "a sentence a line, .gz and .xz too; a manifest (.jsonl); or - for standard input"
"""What a command line says of the texts that it takes."""

_STDIN = "-"
_MEGABYTE = 1e6


def sentences(source: str, text: "TextOptions", *, quiet: bool = False) -> Iterator[str]:
    """Yields the sentences of a text, normalised, and shows how far it is.

    Args:
        source: A file of lines, a manifest, or `-`.
        text: How they are normalised.
        quiet: Show nothing.

    Raises:
        AsrError: The file cannot be understood.
        OSError: It cannot be opened.
    """
    from asr.text import normalise_text

    for line in _lines(source, quiet=quiet):
        yield normalise_text(line, text)


def all_sentences(
    sources: Iterable[str], text: "TextOptions", *, quiet: bool = False
) -> Iterator[str]:
    """Yields the sentences of several texts, one after the other; see `sentences`."""
    for source in sources:
        yield from sentences(source, text, quiet=quiet)


def _lines(source: str, *, quiet: bool) -> Iterator[str]:
    if source == _STDIN:
        label = "reading standard input"
        with Progress(None, unit="lines", label=label, quiet=quiet) as progress:
            yield from _decoded(sys.stdin.buffer, "standard input", progress)
        return
    path = Path(source)
    if path.suffix.lower() in (".jsonl", ".json") or path.is_dir():
        from asr.interchange import read_utterances

        yield from (one.text for one in read_utterances(path) if one.text)
        return
    with path.open("rb") as file:
        yield from _file_lines(file, path, quiet=quiet)


def _file_lines(file: BinaryIO, path: Path, *, quiet: bool) -> Iterator[str]:
    from asr.lm.arpa import BAD_ARCHIVE, unpacked

    total = path.stat().st_size / _MEGABYTE or None
    with Progress(total, unit="MB", label=f"reading {path.name}", quiet=quiet) as progress:
        try:
            yield from _decoded(unpacked(file, path), str(path), progress, raw=file)
        except BAD_ARCHIVE as error:
            raise LanguageModelError(f"{path}: the compressed file is broken ({error})") from None


def _decoded(
    lines: Iterable[bytes], name: str, progress: Progress, raw: BinaryIO | None = None
) -> Iterator[str]:
    """Yields lines as text; progress is counted in lines, or in bytes of the file on the disk."""
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise LanguageModelError(f"{name}, line {number}: expected UTF-8, {error}") from None
        if raw is None:
            progress.advance(1)
        elif number % 1000 == 0:
            progress.advance(raw.tell() / _MEGABYTE - progress.done)
    if raw is not None:
        progress.advance(raw.tell() / _MEGABYTE - progress.done)
