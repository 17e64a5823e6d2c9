"""A folder with a file for each recording and format, which a later run knows as its own."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from asr.manifest import to_json_line
from pipelines.inputs import Recording
from pipelines.ledger import boot
from pipelines.outputs import Chunk, Output, as_bytes, refuse_conflicts
from pipelines.places import open_folder

FAILURES_FILE = "failures.jsonl"


class ResultFolder(Output):
    """Files named like the recordings, below one folder; what is done with is left as it is.

    Args:
        folder: The folder, by its path or address.
        forms: Formats.
        recordings: All of them.
        settings: Digest of the model and all that is chosen.
        overwrite: Replace files that were not made of this audio with these settings.

    Raises:
        OSError: What is at the address cannot be read.
        UsageError: There are such files, the folder is a file, or another program writes there.
    """

    in_order = False
    goes_on = True
    mirrored = True

    def __init__(
        self,
        folder: Path | str,
        forms: Sequence[str],
        recordings: Sequence[Recording],
        *,
        settings: str,
        overwrite: bool,
    ) -> None:
        super().__init__(forms, recordings, folder=folder)
        self._ledger, self._staging = open_folder(folder, settings)
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
    def failures_file(self) -> Path | str | None:
        """The file that lists all failures."""
        return self._staging.shown(FAILURES_FILE)

    def begin(self) -> None:
        """Makes the folders, so that one that may not be made is known before the work."""
        if not self._lacking:
            return
        self._ledger.begin()
        self._staging.begin(self._lacking)

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
                    text = heard.rendered[form]
                    stamp = self._staging.stage(name, [as_bytes(text)], durable=self._durable)
                    made[form] = {"file": stamp, **self._staging.details(name, text)}
                    names.append(name)
                outputs.append(made)
            self._ledger.add(chunk, outputs)
        except OSError:
            for name in names:
                self._staging.drop(name)
            raise
        self._staging.release(names)

    def finish(self, *, complete: bool) -> None:
        """Lists the failures in a file of their own, which is there only if there are some."""
        del complete
        failed = [one for one in self.recordings if one.name in self.failures]
        if failed:
            lines = [self._failure_line(one) for one in failed]
            self._ledger.replace_file(FAILURES_FILE, lines, self._staging)
        else:
            self._staging.remove(FAILURES_FILE)
        self._ledger.settle()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets go of the folder."""
        self._staging.end()
        self._ledger.close()

    def _look(self, overwrite: bool) -> list[Path | str]:
        """Finds out what is left to do, and returns the files in its way."""
        self._ledger.look_at(self.recordings, self.forms)
        conflicts: list[Path | str] = []
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
                self._staging.shown(name)
                for form in lacking
                if self._staging.has(name := f"{recording.name}.{form}")
                and not self._is_torn(recording, form)
            ]
        self.todo, self.again = todo, again
        is_mine = self._ledger.is_mine(FAILURES_FILE, self._staging)
        if self._staging.has(FAILURES_FILE) and not is_mine:
            conflicts.append(self._staging.shown(FAILURES_FILE))
        return [] if overwrite else conflicts

    def _is_done(self, recording: Recording, form: str) -> bool:
        if not self._ledger.is_done(recording, form):
            return False
        entry = self._ledger.entries[recording.name, form]
        name = f"{recording.name}.{form}"
        return entry.file is not None and self._staging.holds(
            name, entry.file, is_certain=entry.is_certain
        )

    def _is_torn(self, recording: Recording, form: str) -> bool:
        """Whether a file of ours is what a loss of power leaves."""
        entry = self._ledger.entries.get((recording.name, form))
        if entry is None or entry.is_certain:
            return False
        return self._staging.is_torn(f"{recording.name}.{form}")

    def _failure_line(self, recording: Recording) -> bytes:
        utterance = recording.utterance
        extra = {**utterance.extra, "error": self.failures[recording.name]}
        line = to_json_line(dataclasses.replace(utterance, extra=extra), relative_to=self.folder)
        return as_bytes(f"{line}\n")
