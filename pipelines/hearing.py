"""A few recordings through a recognizer and into what is written of them: a worker's whole work."""

import dataclasses
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.manifest import Utterance
from pipelines.fetching import fetched
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
        folder: What is written goes there, a path or an address; None if that is no folder.
        mirrored: Each file has the recording's name, instead of all being in one.
        stamped: What was read is told apart from what may come in its place.
    """

    open: Callable[[], BatchRecognizer]
    forms: Sequence[str]
    characters: bool = False
    named: bool = False
    folder: Path | str | None = None
    mirrored: bool = False
    stamped: bool = False

    def rendered(self, form: str, recording: Recording, result: Result) -> str:
        """Returns what is written of a recording in one format."""
        if form == "json" and self.named:
            return f"{json_line(result, characters=self.characters, named=True)}\n"
        folder = self.folder
        if isinstance(folder, Path) and self.mirrored:
            folder = (folder / recording.name).parent
        return render(form, result, characters=self.characters, relative_to=folder)


def hear(job: Job, recognizer: BatchRecognizer, chunk: Sequence[Recording]) -> list[Heard]:
    """Transcribes recordings, each by itself if something is wrong with them together.

    Nothing that a recording does to the program, short of ending it, stops the others. What lies at
    an address is here as a file until all are done.

    Raises:
        MissingExtraError: The package that reads their addresses is not installed.
    """
    with fetched([recording.utterance for recording in chunk]) as sources:
        pairs = list(zip(chunk, sources, strict=True))
        here = [_Readable(one, source) for one, source in pairs if isinstance(source, Utterance)]
        heard = iter(_together(job, recognizer, here))
        return [
            Heard(failure=_fault(source)) if isinstance(source, OSError) else next(heard)
            for _, source in pairs
        ]


@dataclass(frozen=True, slots=True)
class _Readable:
    """A recording, and where it can be read."""

    recording: Recording
    source: Utterance

    def said(self, message: str) -> str:
        """Returns a message about the recording, as it is known to the user."""
        address = self.recording.utterance.address
        return message.replace(str(self.source.audio), address) if address else message


def _together(job: Job, recognizer: BatchRecognizer, chunk: Sequence[_Readable]) -> list[Heard]:
    try:
        results = results_in_turn(recognizer, [one.source for one in chunk])
        return [_heard(job, *pair) for pair in zip(chunk, results, strict=True)]
    # Whatever a strange file brings to light in any library, it is not the other files' fault.
    except Exception as error:
        if len(chunk) == 1:
            return [Heard(failure=chunk[0].said(_fault(error)))]
    return [heard for one in chunk for heard in _together(job, recognizer, [one])]


def _heard(job: Job, one: _Readable, result: Result) -> Heard:
    transcript, recording = result.transcript, one.recording
    if transcript is None:
        return Heard(failure=one.said(result.failure))
    result = dataclasses.replace(result, utterance=recording.utterance)
    return Heard(
        text=transcript.text,
        duration_s=transcript.duration_s,
        rendered={form: job.rendered(form, recording, result) for form in job.forms},
        audio=_stamp(one) if job.stamped else None,
        has_alternatives=bool(transcript.alternatives),
    )


def _stamp(one: _Readable) -> Stamp:
    stamp = Stamp.of(one.source.audio)
    if one.recording.utterance.address is None:
        return stamp
    seen = one.recording.seen
    # Of the copy, time and place say nothing.
    return stamp._replace(mtime_ns=0, inode=0, tag="" if seen is None else seen.tag)


def _fault(error: Exception) -> str:
    """Says what went wrong in a way that helps to mend it."""
    if isinstance(error, OSError) and error.strerror:  # a file that has gone, a disk that failed
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    said = " ".join(str(error).split())
    return f"a fault of this program: {type(error).__name__}{place}{': ' if said else ''}{said}"
