"""Audio on standard input, kept in a private file for as long as the program runs.

A decoder looks back and forth in a recording, which a pipe does not allow.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TextIO

from pipelines.usage import UsageError


def spooled(stream: TextIO) -> Path:
    """Copies a stream of bytes to a file that its owner alone can read.

    It is removed when the program ends.

    Args:
        stream: Standard input, whose bytes are read to their end.

    Raises:
        UsageError: The stream is a terminal.
    """
    if stream.isatty():
        raise UsageError("-: expected audio on standard input, received a terminal")
    folder = Path(tempfile.mkdtemp(prefix="asr-"))
    atexit.register(_remove, folder, os.getpid())
    path = folder / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(stream.buffer, file)
    return path


def _remove(folder: Path, owner: int) -> None:
    """Removes the folder, unless the process is a copy of the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
