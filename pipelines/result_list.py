"""All recordings in one file, each with what was heard: whole or not there, begun once."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from pipelines.formats import render
from pipelines.inputs import Recording
from pipelines.ledger import Ledger
from pipelines.outputs import Chunk, Output, as_bytes, refuse_conflicts
from pipelines.recognition import Result
from pipelines.result_folder import STATE_FOLDER
from pipelines.staging import Staging

LIST_FORMS = ("jsonl", "ctm", "trn")
"""Formats in which one file can hold many recordings."""


class ResultList(Output):
    """One file of lines, in the order of the recordings, put together when all are done with.

    In `jsonl` a failure has an empty `pred_text`, and its reason as `error`; elsewhere, no line.

    Args:
        path: The file.
        form: One of `LIST_FORMS`.
        recordings: All of them.
        settings: Digest of the model and all that is chosen.
        overwrite: Replace the file if it is there and was not made of this audio with these
            settings.

    Raises:
        UsageError: There is such a file, or another program writes it.
    """

    in_order = False
    goes_on = True

    def __init__(
        self,
        path: Path,
        form: str,
        recordings: Sequence[Recording],
        *,
        settings: str,
        overwrite: bool,
    ) -> None:
        super().__init__([form], recordings, folder=path.parent)
        self._path, self._form = path, form
        state = path.parent / STATE_FOLDER
        self._ledger = Ledger(state / f"{path.name}.journal", settings)
        self._staging = Staging(state / f"{path.name}.pending", path.parent)
        self._staging.recover(self._ledger.files)
        is_mine = self._look()
        if os.path.lexists(path) and not (is_mine or overwrite):
            self._ledger.close()
            refuse_conflicts([path])

    @property
    def failures(self) -> Mapping[str, str]:
        """Why recordings have no transcript, by name."""
        return self._ledger.failures

    @property
    def failures_file(self) -> Path | None:
        """The file itself, where failures have lines in it and it is there."""
        return self._path if self._form == "jsonl" and self._path.exists() else None

    def begin(self) -> None:
        """Makes the folder, so that one that may not be made is known before the work."""
        self._ledger.begin()
        self._staging.begin()

    def write(self, chunk: Chunk) -> None:
        """Keeps the lines of some recordings."""
        outputs = [
            {} if heard.failure else {self._form: {"line": heard.rendered[self._form]}}
            for _, heard in chunk
        ]
        self._ledger.add(chunk, outputs)

    def finish(self, *, complete: bool) -> None:
        """Puts the file together, if nothing is missing."""
        if complete:
            self._ledger.replace_file(self._path.name, self._lines(), self._staging)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets go of the file."""
        self._staging.end()
        self._ledger.close()

    def _look(self) -> bool:
        """Finds out what is left to do; whether the file that is there may be added to."""
        ledger, is_stale = self._ledger, False
        todo: list[Recording] = []
        again: list[Recording] = []
        for recording in self.recordings:
            entry = ledger.entries.get((recording.name, self._form))
            if entry is not None and ledger.is_done(recording, self._form):
                if entry.text is not None:
                    self.texts[recording.name] = entry.text
                ledger.forgive(recording)
                continue
            is_stale = is_stale or entry is not None
            (again if recording.name in ledger.failures else todo).append(recording)
        self.todo, self.again = todo, again
        names = {recording.name for recording in self.recordings}
        mine = ledger.files.get(self._path.name)
        return (
            mine is not None
            and mine.fits(self._path)
            and not is_stale
            and {name for name, _ in ledger.entries} <= names
        )

    def _lines(self) -> Iterator[bytes]:
        is_failed = self.failures.__contains__
        for failed, run in itertools.groupby(self.recordings, lambda one: is_failed(one.name)):
            if not failed:
                keys = ((recording.name, self._form) for recording in run)
                yield from (as_bytes(line) for line in self._ledger.lines(keys))
            elif self._form == "jsonl":
                yield from (as_bytes(self._failure_line(recording)) for recording in run)

    def _failure_line(self, recording: Recording) -> str:
        result = Result(utterance=recording.utterance, failure=self.failures[recording.name])
        return render(self._form, result, relative_to=self._path.parent)
