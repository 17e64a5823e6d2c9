"""Text files that list things, a line each, read so that one broken line spoils no other."""

from collections.abc import Iterator
from pathlib import Path

from asr.errors import ManifestError


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the lines of a file that are not blank, stripped, with their numbers from 1.

    Bytes, since only a newline ends a line here, and one broken line must not spoil the rest.

    Raises:
        ManifestError: The file cannot be read.
    """
    for number, line in enumerate(read_list(path).split(b"\n"), start=1):
        if line.strip():
            yield number, line.strip()


def read_list(path: Path) -> bytes:
    """Returns the content of a text file without a byte order mark.

    Raises:
        ManifestError: The file cannot be read, or is UTF-16.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: expected a readable file: {error.strerror}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ManifestError(f"{path}: expected UTF-8, received UTF-16")
    return content.removeprefix(b"\xef\xbb\xbf")


def decode_line(line: bytes) -> str:
    """Returns a line as text.

    Raises:
        ManifestError: It is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"byte 0x{line[error.start]:02x} at {error.start}"
        raise ManifestError(f"expected UTF-8, received {place}") from None
