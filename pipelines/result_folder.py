"""A folder with a file for each recording and format, which a later run knows as its own."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from asr.manifest import to_json_line
from pipelines.inputs import Recording
from pipelines.ledger import Ledger, boot
from pipelines.outputs import Chunk, Output, as_bytes, refuse_conflicts
from pipelines.staging import Staging
from pipelines.stamps import Stamp
from pipelines.usage import UsageError

STATE_FOLDER = ".asr"
"""Where a folder's journal is."""
FAILURES_FILE = "failures.jsonl"


class ResultFolder(Output):
    """Files named like the recordings, below one folder; what is done with is left as it is.

    Args:
        folder: The folder.
        forms: Formats.
        recordings: All of them.
        settings: Digest of the model and all that is chosen.
        overwrite: Replace files that were not made of this audio with these settings.

    Raises:
        UsageError: There are such files, the folder is a file, or another program writes there.
    """

    in_order = False
    goes_on = True
    mirrored = True

    def __init__(
        self,
        folder: Path,
        forms: Sequence[str],
        recordings: Sequence[Recording],
        *,
        settings: str,
        overwrite: bool,
    ) -> None:
        super().__init__(forms, recordings, folder=folder)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"expected a folder to write to, received the file {folder}")
        self._folder = folder
        self._ledger = Ledger(folder / STATE_FOLDER / "journal.jsonl", settings)
        self._staging = Staging(folder / STATE_FOLDER / "pending", folder)
        self._staging.recover(self._told())
        # Thousands of waits for the disk cost more than all else here. Where a start of the machine
        # can be told, files written before it are read again instead of being believed.
        self._durable = boot() is None
        self._lacking: dict[str, Sequence[str]] = {}
        conflicts = self._look(overwrite)
        if conflicts:
            self._ledger.close()
        refuse_conflicts(conflicts)

    @property
    def failures(self) -> Mapping[str, str]:
        """Why recordings have no transcript, by name."""
        return self._ledger.failures

    @property
    def failures_file(self) -> Path | None:
        """The file that lists all failures."""
        return self._folder / FAILURES_FILE

    def begin(self) -> None:
        """Makes the folders, so that one that may not be made is known before the work."""
        if not self._lacking:
            return
        self._ledger.begin()
        self._staging.begin()
        for folder in sorted({(self._folder / name).parent for name in self._lacking}):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, chunk: Chunk) -> None:
        """Writes the files of some recordings, and notes all of them at once.

        Raises:
            OSError: They could not be written; then none of them counts.
        """
        outputs: list[dict[str, dict[str, object]]] = []
        names: list[str] = []
        try:
            for recording, heard in chunk:
                made: dict[str, dict[str, object]] = {}
                for form in () if heard.failure else self._lacking[recording.name]:
                    name = f"{recording.name}.{form}"
                    content = as_bytes(heard.rendered[form])
                    stamp = self._staging.stage(name, [content], durable=self._durable)
                    made[form] = {"file": stamp}
                    names.append(name)
                outputs.append(made)
            self._ledger.add(chunk, outputs)
        except OSError:
            for name in names:
                self._staging.drop(name)
            raise
        for name in names:
            self._staging.release(name)

    def finish(self, *, complete: bool) -> None:
        """Lists the failures in a file of their own, which is there only if there are some."""
        del complete
        failed = [one for one in self.recordings if one.name in self.failures]
        path = self._folder / FAILURES_FILE
        if not failed:
            path.unlink(missing_ok=True)
            return
        lines = [self._failure_line(one) for one in failed]
        self._ledger.replace_file(FAILURES_FILE, lines, self._staging)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets go of the folder."""
        self._staging.end()
        self._ledger.close()

    def _look(self, overwrite: bool) -> list[Path]:
        """Finds out what is left to do, and returns the files in its way."""
        conflicts: list[Path] = []
        todo: list[Recording] = []
        again: list[Recording] = []
        for recording in self.recordings:
            lacking = [form for form in self.forms if not self._is_done(recording, form)]
            if not lacking:
                entry = self._ledger.entries[recording.name, self.forms[0]]
                if entry.text is not None:
                    self.texts[recording.name] = entry.text
                self._ledger.forgive(recording)
                continue
            self._lacking[recording.name] = lacking
            (again if recording.name in self._ledger.failures else todo).append(recording)
            conflicts += [
                path
                for form in lacking
                if os.path.lexists(path := self._folder / f"{recording.name}.{form}")
                and not self._is_torn(path, recording, form)
            ]
        self.todo, self.again = todo, again
        failures = self._folder / FAILURES_FILE
        mine = self._ledger.files.get(FAILURES_FILE)
        if os.path.lexists(failures) and not (mine is not None and mine.fits(failures)):
            conflicts.append(failures)
        return [] if overwrite else conflicts

    def _is_done(self, recording: Recording, form: str) -> bool:
        if not self._ledger.is_done(recording, form):
            return False
        entry = self._ledger.entries[recording.name, form]
        path = self._folder / f"{recording.name}.{form}"
        if entry.file is None:
            return False
        return entry.file.fits(path) if entry.is_certain else entry.file.is_of(path)

    def _is_torn(self, path: Path, recording: Recording, form: str) -> bool:
        """Whether a file of ours is what a loss of power leaves: nothing, or zeros at the end."""
        entry = self._ledger.entries.get((recording.name, form))
        if entry is None or entry.is_certain or not path.is_file():
            return False
        content = path.read_bytes()
        return not content or content.endswith(b"\0")

    def _told(self) -> dict[str, Stamp]:
        told = {
            f"{name}.{form}": entry.file
            for (name, form), entry in self._ledger.entries.items()
            if entry.file is not None
        }
        return told | self._ledger.files

    def _failure_line(self, recording: Recording) -> bytes:
        utterance = recording.utterance
        extra = {**utterance.extra, "error": self.failures[recording.name]}
        line = to_json_line(dataclasses.replace(utterance, extra=extra), relative_to=self._folder)
        return as_bytes(f"{line}\n")
