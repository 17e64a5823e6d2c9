"""Recordings through a recognizer, a few minutes at a time, none of which can stop the others.

While the recordings of one group are read, others before it have their features extracted, pass
through the network and are decoded, each group by a thread of its own. Results come in the order
of the recordings, and what is held at a time does not depend on how many there are.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, audio_info
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.transcript import Transcript
from pipelines.progress import AUDIO_SECONDS, Progress
from pipelines.speech import load_speech, stream_speech

Samples = npt.NDArray[np.float32]
Reason = str

# Audio of a group; the recognizer makes batches of like length out of it. Only a single recording
# may be longer.
_GROUP_S = 120.0
# A longer recording is never held as a whole.
_STREAMED_S = 300.0
# Groups being recognised side by side: while the network has one, another's features are extracted
# or its text is decoded. More than two share the cores without keeping them any busier.
_NUM_WORKERS = 2
# Read while all workers are busy; a third group, since reading is faster than all else.
_MAX_WAITING = _NUM_WORKERS + 1
# Lowest rate of any speech codec: a file that is smaller than a long recording at this rate need
# not be opened to know that it is none.
_MIN_BYTES_PER_S = 75


class BatchRecognizer(Protocol):
    """What is needed of a recognizer. It is called from several threads at once."""

    @property
    def text(self) -> TextOptions:
        """Normalisation of the texts it was trained on."""

    def transcribe_batch(self, recordings: Sequence[Samples], /) -> Sequence[Transcript]:
        """Transcribes recordings, float32 [num_samples] at 16 kHz, in their order."""

    def transcribe_blocks(self, blocks: Iterable[Samples], /) -> Transcript:
        """Transcribes a recording of any length, in blocks float32 [num_samples] at 16 kHz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one recording: a transcript, or the reason why there is none.

    Attributes:
        utterance: Where the recording is.
        transcript: What was said in it; None if that could not be found out.
        failure: Why not; empty if it could.
    """

    utterance: Utterance
    transcript: Transcript | None = None
    failure: str = ""


@dataclass(slots=True, kw_only=True)
class Recognition:
    """Transcripts of a manifest.

    Attributes:
        hypotheses: Text of every utterance by id; empty where it failed.
        failures: Why an utterance could not be transcribed, by id.
        confidences: Probability of each word of a text, by id, where the recognizer gave them.
        audio_s: Seconds of audio transcribed.
        compute_s: Seconds that took, reading the audio included.
    """

    hypotheses: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    confidences: dict[str, tuple[float, ...]] = field(default_factory=dict)
    audio_s: float = 0.0
    compute_s: float = 0.0


def transcribe(
    recognizer: BatchRecognizer, utterances: Sequence[Utterance], *, quiet: bool = False
) -> Generator[Result, None, None]:
    """Transcribes recordings as they are asked for, holding a few minutes of audio at a time.

    Args:
        recognizer: What turns samples into texts.
        utterances: Where the recordings are.
        quiet: Show no progress.

    Yields:
        One result for each utterance, in their order. A recording that cannot be read, or that the
        recognizer refuses even when it is alone, gives its reason and stops nothing.
    """
    # In seconds of audio, which is what takes the time, if all of them are known.
    durations = [utterance.duration_s for utterance in utterances]
    known = [seconds for seconds in durations if seconds is not None]
    in_seconds = len(known) == len(durations)
    amounts: Sequence[float] = known if in_seconds else [1] * len(durations)
    unit = AUDIO_SECONDS if in_seconds else "recordings"
    with Progress(sum(amounts), unit=unit, label="transcribing", quiet=quiet) as progress:
        results = _results(recognizer, utterances)
        for amount, result in zip(amounts, results, strict=True):
            progress.advance(amount)
            yield result


def recognise(
    recognizer: BatchRecognizer,
    utterances: Iterable[Utterance],
    *,
    hear: Callable[[Result], None] | None = None,
    quiet: bool = False,
) -> Recognition:
    """Transcribes the recordings of a manifest, the longest first.

    A recording that cannot be transcribed gets an empty text and a reason.

    Args:
        recognizer: What turns samples into texts.
        utterances: Where the recordings are; their ids differ.
        hear: Is given each result as it comes.
        quiet: Show no progress.
    """
    total, start_s = Recognition(), time.perf_counter()
    # Equal lengths come together, and too little memory shows at once and not at the end.
    order = sorted(utterances, key=lambda utterance: -(utterance.duration_s or 0.0))
    for result in transcribe(recognizer, order, quiet=quiet):
        key = result.utterance.id
        if hear is not None:
            hear(result)
        if result.transcript is None:
            total.hypotheses[key], total.failures[key] = "", result.failure
        else:
            total.hypotheses[key] = result.transcript.text
            words = result.transcript.words
            known = tuple(word.probability for word in words if word.probability is not None)
            if words and len(known) == len(words):
                total.confidences[key] = known
            total.audio_s += result.transcript.duration_s
    total.compute_s = time.perf_counter() - start_s
    return total


def results_in_turn(
    recognizer: BatchRecognizer, utterances: Iterable[Utterance]
) -> Iterator[Result]:
    """Yields the same results, in this thread alone: for one of several processes."""
    for group in _groups(utterances):
        yield from _results_of(recognizer, group)


def _results(recognizer: BatchRecognizer, utterances: Iterable[Utterance]) -> Iterator[Result]:
    pool = ThreadPoolExecutor(_NUM_WORKERS, thread_name_prefix="recognition")
    waiting: deque[tuple[int, Future[list[Result]]]] = deque()
    groups = _groups(utterances)
    try:
        while True:
            # A long recording counts for many: nothing is read beside it.
            full = sum(num_samples for num_samples, _ in waiting) > _MAX_WAITING * _group_samples()
            if full or len(waiting) == _MAX_WAITING:
                yield from waiting.popleft()[1].result()
                continue
            group = next(groups, None)
            if group is None:
                break
            if not group.num_samples and not waiting:  # what cannot be read is said at once
                yield from _results_of(recognizer, group)
                continue
            waiting.append((group.num_samples, pool.submit(_results_of, recognizer, group)))
            del group  # whose samples are to be let go of as soon as they are done with
        while waiting:
            yield from waiting.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Stream:
    """A recording that is read while it is recognised."""

    utterance: Utterance


@dataclass(slots=True)
class _Group:
    """Recordings that are recognised together, each read or with the reason why it is not."""

    items: list[tuple[Utterance, Samples | _Stream | Reason]] = field(default_factory=list)
    num_samples: int = 0

    def add(self, utterance: Utterance, speech: Samples | _Stream | Reason) -> None:
        self.items.append((utterance, speech))
        if isinstance(speech, _Stream):
            self.num_samples += round(_group_samples())
        elif not isinstance(speech, Reason):
            self.num_samples += len(speech)


def _group_samples() -> float:
    return _GROUP_S * SAMPLE_RATE


def _groups(utterances: Iterable[Utterance]) -> Iterator[_Group]:
    """Yields groups as they are asked for, and holds on to none."""
    group = _Group()
    for utterance in utterances:
        group.add(utterance, _read(utterance))
        if not group.num_samples or group.num_samples >= _group_samples():
            full, group = group, _Group()
            yield full
            del full
    if group.items:
        yield group


def _read(utterance: Utterance) -> Samples | _Stream | Reason:
    try:
        return _Stream(utterance) if _is_long(utterance) else load_speech(utterance)
    except AsrError as error:
        return str(error)  # the error itself holds on to what was read


def _is_long(utterance: Utterance) -> bool:
    """Whether a recording is better read while it is recognised."""
    duration_s = utterance.duration_s
    if duration_s is None:
        path = utterance.audio
        if not path.is_file() or path.stat().st_size <= _STREAMED_S * _MIN_BYTES_PER_S:
            return False
        duration_s = audio_info(path).duration_s - utterance.offset_s
    return duration_s > _STREAMED_S


def _results_of(recognizer: BatchRecognizer, group: _Group) -> list[Result]:
    recordings = [speech for _, speech in group.items if isinstance(speech, np.ndarray)]
    outcomes = iter(_transcribe(recognizer, recordings))
    results = []
    for utterance, speech in group.items:
        if isinstance(speech, _Stream):
            outcome = _transcribe_stream(recognizer, speech)
        else:
            outcome = speech if isinstance(speech, Reason) else next(outcomes)
        if isinstance(outcome, Reason):
            results.append(Result(utterance=utterance, failure=outcome))
        else:
            results.append(Result(utterance=utterance, transcript=outcome))
    group.items.clear()  # the pool holds on to the group for a moment longer than to its samples
    return results


def _transcribe_stream(recognizer: BatchRecognizer, stream: _Stream) -> Transcript | Reason:
    try:
        return recognizer.transcribe_blocks(stream_speech(stream.utterance))
    except AsrError as error:
        return str(error)


def _transcribe(
    recognizer: BatchRecognizer, recordings: Sequence[Samples]
) -> Sequence[Transcript | Reason]:
    """Transcribes recordings together or, if one of them is refused, one by one."""
    if not recordings:
        return []
    try:
        return recognizer.transcribe_batch(recordings)
    except AsrError as error:
        if len(recordings) == 1:
            return [str(error)]
    return [outcome for one in recordings for outcome in _transcribe(recognizer, [one])]
