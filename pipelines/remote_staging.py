"""Files that are put at addresses after a journal has told of them, and are known there again.

An object store puts whole objects and renames none, so nothing waits there beside its place: the
journal holds the content of each file until it has been put, and whoever finds the journal later
puts what is missing.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.addresses import joined
from pipelines.fetching import digests
from pipelines.journal import Record
from pipelines.outputs import as_bytes
from pipelines.remote import Place, Seen, below, each, look, put, read, remove, upload
from pipelines.spool import private_folder
from pipelines.stamps import Stamp

STATE_FOLDER = ".asr"
"""Where the journals of a folder's outputs are."""
_WHILE_WAITING = ("content", "over")
"""What a journal tells of an output until it is in its place: what it is, and what was there."""


class RemoteStaging:
    """Files on their way to a folder at an address.

    Args:
        folder: The address.
        only: The one name below it that matters; None for all.
    """

    def __init__(self, folder: str, *, only: str | None = None) -> None:
        self._folder = folder
        self._only = only
        self._there: dict[str, Seen] = {}
        self._digests: dict[str, str] = {}
        """SHA-256 of what is there, by name, as far as it had to be read."""
        self._staged: dict[str, tuple[Path, Stamp]] = {}
        self._context = contextlib.ExitStack()
        self._spool: Path | None = None

    def begin(self, names: Iterable[str]) -> None:
        """Does nothing: the folders of objects are made by their names."""

    def stage(self, name: str, content: Iterable[bytes], *, durable: bool = True) -> Stamp:
        """Keeps a file on this machine until it is released.

        Args:
            name: What it will be called.
            content: Its bytes.
            durable: Nothing, here: the journal has it.

        Raises:
            OSError: It could not be kept.
        """
        del durable
        if self._spool is None:
            self._spool = self._context.enter_context(private_folder())
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with tempfile.NamedTemporaryFile(dir=self._spool, delete=False) as file:
            for part in content:
                file.write(part)
                sha256.update(part)
                md5.update(part)
            size = file.tell()
        stamp = Stamp(size, 0, 0, sha256.hexdigest(), md5.hexdigest())
        self._staged[name] = Path(file.name), stamp
        return stamp

    def details(self, name: str, text: str) -> dict[str, object]:
        """Returns what the journal has to say of a file that is staged beside its stamp."""
        over = self._there.get(name)
        return {"content": text} | ({} if over is None else {"over": [over.size, over.tag]})

    def release(self, names: Sequence[str]) -> None:
        """Puts files into their places, over what is there.

        Raises:
            OSError: One of them could not be put.
        """
        paths = {self.shown(name): self._staged[name][0] for name in names}
        _all_done(lambda address: upload(paths[address], address), paths)
        for name in names:
            path, stamp = self._staged.pop(name)
            path.unlink()
            if name == self._only:  # of many, nobody asks again
                self._there[name] = Seen(stamp.size, stamp.tag)

    def drop(self, name: str) -> None:
        """Forgets a file that the journal does not tell of."""
        if name in self._staged:
            self._staged.pop(name)[0].unlink(missing_ok=True)

    def recover(
        self, told: Mapping[str, Sequence[Stamp]], waiting: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Looks at what is there, and finishes what a run that was killed had begun.

        Args:
            told: What the files have been that the journal tells of, by name.
            waiting: What it tells of those that may not have been put.

        Raises:
            OSError: The address cannot be read, or what is missing not be put.
        """
        self._there = self._listed()
        contents = {
            self.shown(name): as_bytes(made["content"])
            for name, made in waiting.items()
            if self._is_to_be_put(name, made)
        }
        _all_done(lambda address: put(address, contents[address]), contents)
        for name, made in waiting.items():
            if self.shown(name) in contents:
                stamp = Stamp(*made["file"])
                self._there[name] = Seen(stamp.size, stamp.tag)
        unsure = {
            self.shown(name): name for name, stamps in told.items() if self._is_unsure(name, stamps)
        }
        self._digests |= {unsure[address]: digest for address, digest in digests(unsure).items()}

    def end(self) -> None:
        """Removes what was staged."""
        self._context.close()

    def shown(self, name: str) -> str:
        """Returns where a file of this name is put."""
        return joined(self._folder, name)

    def has(self, name: str) -> bool:
        """Whether something is there by this name."""
        return name in self._there

    def holds(self, name: str, stamp: Stamp, *, is_certain: bool = True) -> bool:
        """Whether what is there is a certain file, by its look or its bytes."""
        del is_certain  # a store has what it has taken
        seen = self._there.get(name)
        return seen is not None and (seen.is_of(stamp) or self._digests.get(name) == stamp.sha256)

    def is_torn(self, name: str) -> bool:
        """Whether a loss of power may have left what is there: never, in a store."""
        del name
        return False

    def remove(self, name: str) -> None:
        """Removes what is there by this name.

        Raises:
            OSError: It could not be removed.
        """
        if self._there.pop(name, None) is not None:
            remove(self.shown(name))

    def _listed(self) -> dict[str, Seen]:
        if self._only is not None:
            with contextlib.suppress(FileNotFoundError):
                is_folder, seen = look(self.shown(self._only))
                return {} if is_folder else {self._only: seen}
            return {}
        start = len(Place(self._folder).path.rstrip("/")) + 1
        names = {path[start:]: seen for path, seen in below(self._folder).items()}
        return {
            name: seen for name, seen in names.items() if not name.startswith(f"{STATE_FOLDER}/")
        }

    def _is_to_be_put(self, name: str, made: Mapping[str, Any]) -> bool:
        """Whether what is there is what was there when the journal told of the file, or a part."""
        seen, stamp = self._there.get(name), Stamp(*made["file"])
        if seen is None:
            return True
        if seen.is_of(stamp):
            return False
        if made.get("over") == [seen.size, seen.tag]:
            return True
        if seen.size is not None and seen.size >= stamp.size:
            return False
        return as_bytes(made["content"]).startswith(read(self.shown(name)))

    def _is_unsure(self, name: str, stamps: Sequence[Stamp]) -> bool:
        seen = self._there.get(name)
        return (
            seen is not None
            and any(seen.size in (None, stamp.size) for stamp in stamps)
            and not any(seen.is_of(stamp) for stamp in stamps)
        )


def placed(record: Record) -> Record:
    """Returns a journal's record without what it says only until its files are in their places."""
    if "recordings" not in record:
        return record
    return {**record, "recordings": [_placed(item) for item in record["recordings"]]}


def _placed(item: Mapping[str, Any]) -> Mapping[str, Any]:
    if "outputs" not in item:
        return item
    outputs = {
        form: {key: value for key, value in made.items() if key not in _WHILE_WAITING}
        for form, made in item["outputs"].items()
    }
    return {**item, "outputs": outputs}


def _all_done(function: Callable[[str], None], addresses: Iterable[str]) -> None:
    for _, failure in each(function, addresses):
        if failure is not None:
            raise failure
