"""Files that wait beside their places until a journal tells of them, so that a kill tears nothing.

A file is staged whole; then the journal says what it is; then it is released into its place.
Whoever finds the journal later knows each file as its own, and `recover` releases what was told of
and drops what was not.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.stamps import Stamp


class Staging:
    """A folder of files that are on their way to another one.

    Args:
        folder: Where they wait, in the file system of their places.
        root: What their names are relative to.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root

    def begin(self) -> None:
        """Makes the folder if it is not there."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def stage(self, name: str, content: Iterable[bytes], *, durable: bool = True) -> Stamp:
        """Writes a file.

        Args:
            name: What it will be called.
            content: Its bytes.
            durable: Wait until the disk has it.

        Raises:
            OSError: It could not be written; then nothing of it is there.
        """
        path, digest = self._aside(name), hashlib.sha256()
        try:
            with path.open("wb") as file:
                for part in content:
                    file.write(part)
                    digest.update(part)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                status = os.fstat(file.fileno())
        except OSError:
            self.drop(name)
            raise
        return Stamp(status.st_size, status.st_mtime_ns, status.st_ino, digest.hexdigest())

    def place(self, name: str) -> Path:
        """Returns where a file of this name is put."""
        return self._root / name

    def release(self, name: str) -> None:
        """Puts a file into its place, over what is there."""
        self._aside(name).replace(self.place(name))

    def drop(self, name: str) -> None:
        """Removes a file that the journal does not tell of."""
        with contextlib.suppress(OSError):
            self._aside(name).unlink()

    def recover(self, told: Mapping[str, Stamp]) -> None:
        """Finishes what a run that was killed had begun.

        Args:
            told: The files that the journal tells of, by name.
        """
        if not self._folder.is_dir():
            return
        waiting = {path.name: path for path in self._folder.iterdir()}
        if waiting:
            for name, stamp in told.items():
                path = waiting.get(self._aside(name).name)
                if path is not None and stamp.is_of(path):
                    self.release(name)
        self.end()

    def end(self) -> None:
        """Removes the folder, with what the journal does not tell of."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def _aside(self, name: str) -> Path:
        # One folder for names from many, none of which it can have as it is.
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]
