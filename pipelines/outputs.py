"""Where transcripts go: the screen, a file for each recording, or one file of JSON lines.

Each of these is made before anything is computed, refuses then what it would refuse in the end,
is entered as a context, and is given the results in the order of the recordings.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TextIO

from asr.errors import ManifestError
from asr.files import replacing, write_text
from asr.manifest import Utterance, to_json_line
from asr.transcript import Transcript
from pipelines.recognition import Result
from pipelines.usage import UsageError

Form = Literal["txt", "json"]


class Output(contextlib.AbstractContextManager["Output"]):
    """The screen: a line for each transcript, after the recording's id if there are several.

    Args:
        form: `txt`, or `json` for whisper's shape (with an `id` if there are several).
        several: Whether a reader has to be told which recording a line belongs to.
        characters: In JSON, words have their characters with times.
    """

    def __init__(self, form: Form, *, several: bool, characters: bool = False) -> None:
        self._form = form
        self._several = several
        self._characters = characters

    def write(self, result: Result) -> None:
        """Takes the next result; a failure leaves nothing here."""
        if result.transcript is None:
            return
        key = result.utterance.id if self._several else None
        if self._form == "json":
            line = self._as_json(result.transcript, key)
        else:
            line = f"{printable(key)}: {result.transcript.text}" if key else result.transcript.text
        print(line, flush=True)

    def _as_json(self, transcript: Transcript, key: str | None = None) -> str:
        named = {} if key is None else {"id": key}
        record = named | transcript.to_json(characters=self._characters)
        return json.dumps(record, ensure_ascii=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the output; a file of lines appears only if there was no error."""


class Files(Output):
    """A file for each transcript, each there as soon as it is done.

    Args:
        targets: The files, in the order of the recordings.
        form: `txt` for a line of text, `json` for whisper's shape.
        utterances: The recordings.
        overwrite: Replace files that are there.
        characters: In JSON, words have their characters with times.

    Raises:
        UsageError: Two recordings would write one file, or a file is there already.
    """

    def __init__(
        self,
        targets: Sequence[Path],
        form: Form,
        utterances: Sequence[Utterance],
        *,
        overwrite: bool,
        characters: bool = False,
    ) -> None:
        super().__init__(form, several=False, characters=characters)
        writers: dict[Path, Utterance] = {}
        for target, utterance in zip(targets, utterances, strict=True):
            if target in writers:
                both = f"{writers[target].id} and {utterance.id}"
                raise UsageError(f"{both} would both write {target}; transcribe them apart")
            writers[target] = utterance
        _refuse_existing(targets, overwrite=overwrite)
        self._folders = {target.parent for target in targets}
        self._targets = iter(targets)

    def __enter__(self) -> Self:
        """Makes the folders, so that one that may not be made is known before the work."""
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, result: Result) -> None:
        """Takes the next result; a failure leaves no file."""
        target = next(self._targets)
        if result.transcript is not None:
            as_json = self._form == "json"
            text = self._as_json(result.transcript) if as_json else result.transcript.text
            write_text(target, f"{text}\n")


class Lines(Output):
    """The recordings as lines of a manifest with `pred_text`, all of them or no file.

    A failure has an empty `pred_text`, and its reason as `error`.

    Args:
        path: The file.
        overwrite: Replace it if it is there.

    Raises:
        UsageError: It is there already.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        super().__init__("json", several=True)
        _refuse_existing([path], overwrite=overwrite)
        self._path = path
        self._stack = contextlib.ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Opens a file aside, which takes the place of the other in the end."""
        aside = self._stack.enter_context(replacing(self._path))
        self._file = self._stack.enter_context(aside.open("w", encoding="utf-8", newline="\n"))
        return self

    def write(self, result: Result) -> None:
        """Takes the next result."""
        utterance, transcript = result.utterance, result.transcript
        extra = {key: value for key, value in utterance.extra.items() if key != "error"}
        extra["pred_text"] = transcript.text if transcript else ""
        if transcript is not None and transcript.alternatives:
            extra["alternatives"] = [one.to_json() for one in transcript.alternatives]
        if transcript is None:
            extra["error"] = result.failure
        elif utterance.duration_s is None:
            utterance = dataclasses.replace(utterance, duration_s=round(transcript.duration_s, 3))
        heard = dataclasses.replace(utterance, extra=extra)
        print(to_json_line(heard, relative_to=self._path.parent), file=self._file)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Puts the file in its place, or removes it if there was an error."""
        self._stack.__exit__(kind, error, trace)


def make_output(
    path: Path | None,
    form: Form,
    utterances: Sequence[Utterance],
    *,
    named_by_id: bool,
    overwrite: bool,
    characters: bool = False,
) -> Output:
    """Returns the output that a path stands for.

    Args:
        path: None for the screen; `NAME.jsonl` for one file of lines; `NAME.txt` or `NAME.json`
            for the transcript of a single recording; else a folder.
        form: What a transcript is written as, where `path` leaves that open.
        utterances: The recordings.
        named_by_id: Whether files in a folder have their utterance's id as name, or that of the
            recording.
        overwrite: Replace files that are there.
        characters: In whisper's JSON, words have their characters with times.

    Raises:
        UsageError: Two recordings would write one file, a file is there already, or one is where
            a folder should be.
        ManifestError: An id cannot be a file's name.
    """
    if path is None:
        return Output(form, several=len(utterances) > 1, characters=characters)
    if path.suffix == ".jsonl":
        return Lines(path, overwrite=overwrite)
    if path.suffix in (".txt", ".json") and not path.is_dir():
        if len(utterances) > 1:
            raise UsageError(
                f"-o: expected a folder or a .jsonl file for {len(utterances)} recordings, "
                f"received {path}"
            )
        form = "txt" if path.suffix == ".txt" else "json"
        return Files([path], form, utterances, overwrite=overwrite, characters=characters)
    if path.exists() and not path.is_dir():
        raise UsageError(f"-o: expected a folder, received the file {path}")
    if named_by_id:
        targets = [_inside(path, f"{item.id}.{form}") for item in utterances]
    else:
        targets = [path / f"{item.audio.stem}.{form}" for item in utterances]
    return Files(targets, form, utterances, overwrite=overwrite, characters=characters)


def printable(text: str) -> str:
    """Returns a name fit for a line on a terminal: control characters become `?`."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _inside(folder: Path, name: str) -> Path:
    """Returns the path of a file below a folder; ids come from manifests that others wrote."""
    target = Path(os.path.normpath(folder / name))
    if not target.is_relative_to(os.path.normpath(folder)) or not name.isprintable():
        raise ManifestError(f"the id {name!r} cannot name a file in {folder}; use -o NAME.jsonl")
    return target


def _refuse_existing(paths: Sequence[Path], *, overwrite: bool) -> None:
    there = [] if overwrite else [path for path in paths if path.exists()]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise UsageError(f"{there[0]} is there already{more}; --overwrite replaces it")
