"""A run over many recordings: what is left of it is heard, written and counted."""

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipelines.chunks import chunks
from pipelines.engines import Engine, HeardPart, Part
from pipelines.hearing import Heard
from pipelines.inputs import Recording
from pipelines.interruption import Interruption
from pipelines.outputs import Chunk, Output, printable
from pipelines.progress import AUDIO_SECONDS, Progress, duration_text

Ending = Literal["complete", "failed", "interrupted"]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a run has done so far.

    Attributes:
        ending: `complete` if every recording was tried, `failed` if the first failure was to end
            it, `interrupted` if somebody did.
        num_heard: Recordings transcribed.
        num_failed: Recordings that could not be.
        num_without: Recordings transcribed to one text alone.
        audio_s: Seconds of audio transcribed.
        texts: What was heard, by the recording's name, where there is a text to compare.
    """

    ending: Ending = "complete"
    num_heard: int = 0
    num_failed: int = 0
    num_without: int = 0
    audio_s: float = 0.0
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, recording: Recording, heard: Heard) -> None:
        """Counts a recording."""
        if heard.failure:
            self.num_failed += 1
            return
        self.num_heard += 1
        self.num_without += not heard.has_alternatives
        self.audio_s += heard.duration_s
        if recording.utterance.text is not None:
            self.texts[recording.name] = heard.text


def run_batch(output: Output, engine: Engine | None, *, strict: bool, quiet: bool) -> Tally:
    """Transcribes what an output still lacks, and writes it there.

    Args:
        output: Where results go; it has begun.
        engine: What hears; None if nothing is left to do.
        strict: End after the first failure, once what is in hand is written.
        quiet: Show no progress.

    Raises:
        OSError: Results cannot be written; those written before are kept.
        KeyboardInterrupt: The run was interrupted, twice if its results are kept.
    """
    left = [*output.todo, *output.again]
    tally = Tally(texts=dict(output.texts))
    if engine is None:
        return tally
    with contextlib.ExitStack() as stack:
        # Where nothing is kept, there is nothing to finish either.
        interruption = Interruption(quiet=quiet)
        if output.goes_on:
            stack.enter_context(interruption)
        meter = stack.enter_context(_Meter(left, quiet=quiet))

        def goes_on(_: object) -> bool:
            return not interruption.asked and not (strict and tally.num_failed)

        parts = itertools.chain(chunks(output.todo), ([one] for one in output.again))
        taken = itertools.takewhile(goes_on, parts)
        for part, heard in _heard_parts(engine, taken, in_order=output.in_order):
            chunk = list(zip(part, heard, strict=True))
            output.write(chunk)
            for recording, one in chunk:
                tally.add(recording, one)
            meter.add(chunk)
    if tally.num_heard + tally.num_failed < len(left):
        tally.ending = "interrupted" if interruption.asked else "failed"
    return tally


def _heard_parts(engine: Engine, parts: Iterable[Part], *, in_order: bool) -> Iterator[HeardPart]:
    """Yields parts as they are done, or in the order in which they were taken."""
    expected: deque[Part] = deque()
    ready: dict[int, Sequence[Heard]] = {}

    def taken() -> Iterator[Part]:
        for part in parts:
            expected.append(part)
            yield part

    with contextlib.closing(engine.hear(taken() if in_order else iter(parts))) as heard_parts:
        for part, heard in heard_parts:
            if not in_order:
                yield part, heard
                continue
            ready[id(part)] = heard
            while expected and id(expected[0]) in ready:
                first = expected.popleft()
                yield first, ready.pop(id(first))


class _Meter(contextlib.AbstractContextManager["_Meter"]):
    """Progress in seconds of audio, which is what takes the time, if all of them are known."""

    def __init__(self, recordings: Sequence[Recording], *, quiet: bool) -> None:
        durations = [recording.utterance.duration_s for recording in recordings]
        known = [seconds for seconds in durations if seconds is not None]
        self._in_seconds = len(known) == len(durations)
        self._progress = Progress(
            sum(known) if self._in_seconds else len(recordings),
            unit=AUDIO_SECONDS if self._in_seconds else "recordings",
            label="transcribing",
            quiet=quiet,
        )
        self._num_recordings = len(recordings)
        self._num_done = 0
        self._audio_s = 0.0

    def __enter__(self) -> "_Meter":
        self._progress.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.__exit__(*exception)  # type: ignore[arg-type]

    def add(self, chunk: Chunk) -> None:
        """Counts recordings that are done with, and shows why those failed that did."""
        for recording, heard in chunk:
            if heard.failure:
                self._progress.write(failure_line(recording, heard.failure))
        self._num_done += len(chunk)
        self._audio_s += sum(heard.duration_s for _, heard in chunk)
        if self._in_seconds:
            amount = sum(recording.utterance.duration_s or 0.0 for recording, _ in chunk)
            note = f"{self._num_done:,}/{self._num_recordings:,} recordings"
            self._progress.advance(amount, note)
        else:
            speed = self._audio_s / max(self._progress.elapsed_s, 1e-3)
            note = f"{duration_text(self._audio_s)} audio  {speed:,.0f}x real time"
            self._progress.advance(len(chunk), note)


def failure_line(recording: Recording, reason: str) -> str:
    """Returns what a person is told about a failure."""
    name = recording.utterance.id
    return printable(reason if reason.startswith(name) else f"{name}: {reason}")
