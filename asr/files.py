"""Files that appear whole or not at all."""

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path | str, *, durable: bool = True) -> Iterator[Path]:
    """Yields a path beside `path` to write to; it takes the place of `path` on success.

    The rename is atomic within a file system, and the data is on the disk before it: a reader, or
    a machine that loses power, sees the old file or the new one, never half of one.

    Args:
        path: The file to write.
        durable: Wait for the disk. Where thousands of files can be made again at any time, False
            spares a hundredth of a second each; a reader still never sees half a file, but after
            a loss of power one may be torn.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept, since writers such as Keras's choose their format by it.
    # Process and thread are part of it: two writers of one path do not meet.
    aside = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield aside
        if durable:
            _sync(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Writes a file atomically."""
    with replacing(path) as aside:
        aside.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Writes a UTF-8 text file atomically, with line ends left as they are."""
    write_bytes(path, text.encode())


def write_lines(path: Path | str, lines: Iterable[str]) -> None:
    """Writes lines, each ended by a newline, atomically and without holding them all."""
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
