"""Where transcripts go: the screen, a file, a folder of files, or one list of all.

Each of these is made before anything is computed, refuses then what it would refuse in the end,
and is a context. When it has begun, it is given recordings with what became of them, some at once.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from asr.addresses import parent_of
from asr.files import write_text
from pipelines.hearing import Heard
from pipelines.inputs import Recording
from pipelines.remote import look, put
from pipelines.usage import UsageError

Chunk = Sequence[tuple[Recording, Heard]]


class Output(contextlib.AbstractContextManager["Output"]):
    """The screen: what was heard in each recording, in the order of the recordings.

    Of several, a text stands behind the recording's id.

    Args:
        forms: What is written of each: here, one format.
        recordings: All of them.
        folder: Where something is written, by its path or address.
    """

    in_order = True
    """Whether recordings have to come in their order."""
    goes_on = False
    """Whether what was done is known to the next run."""
    mirrored = False
    """Whether each recording has a file of its own name."""

    def __init__(
        self,
        forms: Sequence[str],
        recordings: Sequence[Recording],
        *,
        folder: Path | str | None = None,
    ) -> None:
        self.forms = forms
        self.folder = folder
        self.recordings = recordings
        self.todo: Sequence[Recording] = recordings
        """What is left to do."""
        self.again: Sequence[Recording] = ()
        """What failed the last time, and is tried again."""
        self.texts: dict[str, str] = {}
        """What was heard before this run, by the recording's name, where a text is compared."""
        self._failures: dict[str, str] = {}

    @property
    def is_unfinished(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.todo or self.again)

    @property
    def failures(self) -> Mapping[str, str]:
        """Why recordings have no transcript, by name."""
        return self._failures

    @property
    def failures_file(self) -> Path | str | None:
        """The file that lists all failures; None if there is none."""
        return None

    def begin(self) -> None:
        """Makes the folders, so that one that may not be made is known before the work."""
        if isinstance(self.folder, Path):
            self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, chunk: Chunk) -> None:
        """Takes some recordings that are done with."""
        for recording, heard in chunk:
            if heard.failure:
                self._failures[recording.name] = heard.failure
            else:
                self._show(recording, heard)

    def _show(self, recording: Recording, heard: Heard) -> None:
        (form,) = self.forms
        if form == "txt" and len(self.recordings) > 1:
            print(f"{printable(recording.utterance.id)}: {heard.text}", flush=True)
        else:
            print(heard.rendered[form], end="", flush=True)

    def finish(self, *, complete: bool) -> None:
        """Writes what is to be said of all recordings together.

        Args:
            complete: Each of them has been tried.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets go of what the output holds."""


class OneFile(Output):
    """The transcript of a single recording as a file.

    Raises:
        OSError: What is at the address cannot be told.
        UsageError: The file is there already.
    """

    def __init__(
        self, path: Path | str, form: str, recordings: Sequence[Recording], *, overwrite: bool
    ) -> None:
        folder = parent_of(path) if isinstance(path, str) else path.parent
        super().__init__([form], recordings, folder=folder)
        if not overwrite and _is_there(path):
            raise UsageError(f"{path} is there already; --overwrite replaces it")
        self._path = path

    def _show(self, recording: Recording, heard: Heard) -> None:
        del recording
        text = heard.rendered[self.forms[0]]
        if isinstance(self._path, str):
            put(self._path, text.encode())
        else:
            write_text(self._path, text)


def _is_there(path: Path | str) -> bool:
    if isinstance(path, Path):
        return path.exists()
    with contextlib.suppress(FileNotFoundError):
        look(path)
        return True
    return False


def as_bytes(text: str) -> bytes:
    """Returns a file's content; a recording's name that is no text comes out as it is."""
    return text.encode(errors="surrogateescape")


def printable(text: str) -> str:
    """Returns a name fit for a line on a terminal: control characters become `?`."""
    return "".join(character if character.isprintable() else "?" for character in text)


def refuse_conflicts(conflicts: Sequence[Path | str]) -> None:
    """Refuses to write over files.

    Raises:
        UsageError: There are some.
    """
    if not conflicts:
        return
    more = f" (and {len(conflicts) - 1:,} more)" if len(conflicts) > 1 else ""
    raise UsageError(
        f"{conflicts[0]} is there already{more}, and was not made of the same audio with the same "
        "model and settings; --overwrite replaces it"
    )


def refuse_input(path: Path | str, inputs: Sequence[str]) -> None:
    """Refuses to write where something was read.

    Raises:
        UsageError: The path is one of the inputs.
    """
    for given in inputs:
        with contextlib.suppress(OSError):
            if path == given or os.path.samefile(path, given):
                raise UsageError(f"-o: {path} is what is to be transcribed")
