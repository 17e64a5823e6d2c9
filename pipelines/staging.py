"""Files that wait beside their places until a journal tells of them, so that a kill tears nothing.

A file is staged whole; then the journal says what it is; then it is released into its place.
Whoever finds the journal later knows each file as its own, and `recover` releases what was told of
and drops what was not.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
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

    def begin(self, names: Iterable[str]) -> None:
        """Makes the folders, so that one that may not be made is known before the work.

        Args:
            names: What files will be called.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in sorted({self.shown(name).parent for name in names}):
            folder.mkdir(parents=True, exist_ok=True)

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

    def details(self, name: str, text: str) -> dict[str, object]:
        """Returns what the journal has to say of a staged file beside its stamp: nothing."""
        del name, text
        return {}

    def shown(self, name: str) -> Path:
        """Returns where a file of this name is put."""
        return self._root / name

    def has(self, name: str) -> bool:
        """Whether something is there by this name."""
        return os.path.lexists(self.shown(name))

    def holds(self, name: str, stamp: Stamp, *, is_certain: bool = True) -> bool:
        """Whether what is there is a certain file, by its look or its bytes.

        Args:
            name: What it is called.
            stamp: What it was.
            is_certain: Its look may be believed.
        """
        path = self.shown(name)
        return stamp.fits(path) if is_certain else stamp.is_of(path)

    def is_torn(self, name: str) -> bool:
        """Whether what is there is what a loss of power leaves: nothing, or zeros at the end."""
        path = self.shown(name)
        if not path.is_file():
            return False
        content = path.read_bytes()
        return not content or content.endswith(b"\0")

    def remove(self, name: str) -> None:
        """Removes what is there by this name."""
        self.shown(name).unlink(missing_ok=True)

    def release(self, names: Iterable[str]) -> None:
        """Puts files into their places, over what is there."""
        for name in names:
            self._aside(name).replace(self.shown(name))

    def drop(self, name: str) -> None:
        """Removes a file that the journal does not tell of."""
        with contextlib.suppress(OSError):
            self._aside(name).unlink()

    def recover(self, told: Mapping[str, Sequence[Stamp]], waiting: Mapping[str, object]) -> None:
        """Finishes what a run that was killed had begun.

        Args:
            told: What the files have been that the journal tells of, by name, the last last.
            waiting: Nothing, here: what waits is in the folder.
        """
        del waiting
        if not self._folder.is_dir():
            return
        staged = {path.name: path for path in self._folder.iterdir()}
        if staged:
            for name, stamps in told.items():
                path = staged.get(self._aside(name).name)
                if path is not None and stamps[-1].is_of(path):
                    self.release([name])
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
