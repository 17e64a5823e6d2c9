"""All recordings in one file, each with what was heard: whole or not there, begun once."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from asr.addresses import name_of, parent_of
from pipelines.formats import render
from pipelines.inputs import Recording
from pipelines.outputs import Chunk, Output, as_bytes, refuse_conflicts
from pipelines.places import open_file
from pipelines.recognition import Result

LIST_FORMS = ("jsonl", "ctm", "trn")
"""Formats in which one file can hold many recordings."""


class ResultList(Output):
    """One file of lines, in the order of the recordings, put together when all are done with.

    In `jsonl` a failure has an empty `pred_text`, and its reason as `error`; elsewhere, no line.

    Args:
        path: The file, or its address.
        form: One of `LIST_FORMS`.
        recordings: All of them.
        settings: Digest of the model and all that is chosen.
        overwrite: Replace the file if it is there and was not made of this audio with these
            settings.

    Raises:
        OSError: What is at the address cannot be read.
        UsageError: There is such a file, or another program writes it.
    """

    in_order = False
    goes_on = True

    def __init__(
        self,
        path: Path | str,
        form: str,
        recordings: Sequence[Recording],
        *,
        settings: str,
        overwrite: bool,
    ) -> None:
        folder = parent_of(path) if isinstance(path, str) else path.parent
        super().__init__([form], recordings, folder=folder)
        self._name, self._form = name_of(path) if isinstance(path, str) else path.name, form
        self._ledger, self._staging = open_file(path, settings)
        is_mine = self._look()
        if self._staging.has(self._name) and not (is_mine or overwrite):
            self._ledger.close()
            refuse_conflicts([path])

    @property
    def failures(self) -> Mapping[str, str]:
        """Why recordings have no transcript, by name."""
        return self._ledger.failures

    @property
    def failures_file(self) -> Path | str | None:
        """The file itself, where failures have lines in it and it is there."""
        is_there = self._form == "jsonl" and self._staging.has(self._name)
        return self._staging.shown(self._name) if is_there else None

    def begin(self) -> None:
        """Makes the folder, so that one that may not be made is known before the work."""
        self._ledger.begin()
        self._staging.begin(())

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
            self._ledger.replace_file(self._name, self._lines(), self._staging)
        self._ledger.settle()

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
        ledger.look_at(self.recordings, [self._form])
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
        return (
            ledger.is_mine(self._name, self._staging)
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
        return render(self._form, result, relative_to=self.folder)
