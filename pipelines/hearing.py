"""A few recordings through a recognizer and into what is written of them: a worker's whole work."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.formats import json_line, render
from pipelines.inputs import Recording
from pipelines.recognition import BatchRecognizer, Result, results_in_turn
from pipelines.stamps import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of one recording.

    Attributes:
        text: What was said.
        duration_s: Length of what was heard.
        rendered: The content of its file, by format.
        failure: Why there is nothing of all this; empty if there is.
        audio: Which file it was; None where nobody will ask.
        has_alternatives: Whether other texts were found beside the best.
    """

    text: str = ""
    duration_s: float = 0.0
    rendered: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    audio: Stamp | None = None
    has_alternatives: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done with every recording; it can go to other processes.

    Attributes:
        open: Opens the recognizer.
        forms: Formats that are written.
        characters: In whisper's JSON, words have their characters with times.
        named: In whisper's JSON, the recording's id stands first.
        folder: What is written goes there; None if that is no folder.
        mirrored: Each file has the recording's name, instead of all being in one.
        stamped: What was read is told apart from what may come in its place.
    """

    open: Callable[[], BatchRecognizer]
    forms: Sequence[str]
    characters: bool = False
    named: bool = False
    folder: Path | None = None
    mirrored: bool = False
    stamped: bool = False

    def rendered(self, form: str, recording: Recording, result: Result) -> str:
        """Returns what is written of a recording in one format."""
        if form == "json" and self.named:
            return f"{json_line(result, characters=self.characters, named=True)}\n"
        folder = self.folder
        if folder is not None and self.mirrored:
            folder = (folder / recording.name).parent
        return render(form, result, characters=self.characters, relative_to=folder)


def hear(job: Job, recognizer: BatchRecognizer, chunk: Sequence[Recording]) -> list[Heard]:
    """Transcribes recordings, each by itself if something is wrong with them together.

    Nothing that a recording does to the program, short of ending it, stops the others.
    """
    try:
        results = results_in_turn(recognizer, [recording.utterance for recording in chunk])
        return [_heard(job, *pair) for pair in zip(chunk, results, strict=True)]
    # Whatever a strange file brings to light in any library, it is not the other files' fault.
    except Exception as error:
        if len(chunk) == 1:
            return [Heard(failure=_fault(error))]
    return [heard for recording in chunk for heard in hear(job, recognizer, [recording])]


def _heard(job: Job, recording: Recording, result: Result) -> Heard:
    if result.transcript is None:
        return Heard(failure=result.failure)
    return Heard(
        text=result.transcript.text,
        duration_s=result.transcript.duration_s,
        rendered={form: job.rendered(form, recording, result) for form in job.forms},
        audio=Stamp.of(recording.utterance.audio) if job.stamped else None,
        has_alternatives=bool(result.transcript.alternatives),
    )


def _fault(error: Exception) -> str:
    """Says what went wrong in a way that helps to mend it."""
    if isinstance(error, OSError) and error.strerror:  # a file that has gone, a disk that failed
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    said = " ".join(str(error).split())
    return f"a fault of this program: {type(error).__name__}{place}{': ' if said else ''}{said}"
