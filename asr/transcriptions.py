"""Many recordings through one recognizer, a few minutes at a time, none able to stop the others.

While the recordings of one group are read, others before it have their features extracted, pass
through the network and are decoded, each group by a thread of its own. Results come in the order
of the recordings, and what is held at a time does not depend on how many there are.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, audio_info, load_audio, stream_audio
from asr.errors import AsrError, AudioError
from asr.transcript import Transcript

Samples = npt.NDArray[np.float32]
Recording = Path | str | Samples
"""An audio file, or float32 samples [num_samples] at 16 kHz."""

Item = TypeVar("Item")
Read = TypeVar("Read", contravariant=True)

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

    def transcribe_batch(self, recordings: Sequence[Samples], /) -> Sequence[Transcript]:
        """Transcribes recordings, float32 [num_samples] at 16 kHz, in their order."""

    def transcribe_blocks(self, blocks: Iterable[Samples], /) -> Transcript:
        """Transcribes a recording of any length, in blocks float32 [num_samples] at 16 kHz."""


class Reader(Protocol[Read]):
    """How recordings are read."""

    def is_long(self, item: Read, /) -> bool:
        """Whether it is better read while it is recognised.

        Raises:
            AsrError: It cannot be read.
        """

    def load(self, item: Read, /) -> Samples:
        """Reads a recording, float32 [num_samples] at 16 kHz.

        Raises:
            AsrError: It cannot be read.
        """

    def stream(self, item: Read, /) -> Iterable[Samples]:
        """Reads a long one, in blocks.

        Raises:
            AsrError: It cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transcription:
    """What became of one recording among many: a transcript, or the error that there is instead.

    Attributes:
        recording: The recording, as it was given.
        transcript: What was said in it; None if that could not be found out.
        error: Why not; None if it could.
    """

    recording: Recording
    transcript: Transcript | None = None
    error: AsrError | None = None


class Transcriptions(Iterator[Transcription]):
    """Transcripts of many recordings, made as they are asked for, in the recordings' order.

    Nothing is read before the first is asked for, and then only a few minutes of audio ahead.
    Several threads may take from it: each result goes to one of them. As a context it ends when
    the context does; to end it in the midst of the recordings, leave the context or close it.

    Args:
        recognizer: What turns samples into texts.
        recordings: Audio files, or float32 samples [num_samples] at 16 kHz; any iterable, asked for
            the next only as far as results are.
    """

    def __init__(self, recognizer: BatchRecognizer, recordings: Iterable[Recording]) -> None:
        self._lock = threading.Lock()
        self._results = transcribe_all(recognizer, recordings, _Recordings())

    def __next__(self) -> Transcription:
        """Returns the next recording's transcription.

        A recording that cannot be read, or that the recognizer refuses, gives its error there.
        """
        with self._lock:
            recording, outcome = next(self._results)
        if isinstance(outcome, Transcript):
            return Transcription(recording=recording, transcript=outcome)
        return Transcription(recording=recording, error=outcome)

    def close(self) -> None:
        """Ends it: waits for what is being recognised, and forgets it and all that follows."""
        with self._lock:
            self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Recordings:
    """Reads what `Transcriptions` takes."""

    def is_long(self, recording: Recording, /) -> bool:
        return isinstance(recording, Path | str) and is_long(Path(recording))

    def load(self, recording: Recording, /) -> Samples:
        if isinstance(recording, Path | str):
            return load_audio(recording)
        if np.ndim(recording) != 1:
            raise AudioError(
                f"expected samples [num_samples], received an array of shape {np.shape(recording)}"
            )
        return np.asarray(recording)

    def stream(self, recording: Recording, /) -> Iterable[Samples]:
        return stream_audio(recording) if isinstance(recording, Path | str) else [recording]


def is_long(path: Path, *, offset_s: float = 0.0) -> bool:
    """Whether a recording, from an offset on, is better read while it is recognised.

    Raises:
        AudioError: The file is no recording.
    """
    if not path.is_file() or path.stat().st_size <= _STREAMED_S * _MIN_BYTES_PER_S:
        return False
    return lasts_long(audio_info(path).duration_s - offset_s)


def lasts_long(duration_s: float) -> bool:
    """Whether a recording of a duration is better read while it is recognised."""
    return duration_s > _STREAMED_S


def transcribe_all(
    recognizer: BatchRecognizer, items: Iterable[Item], reader: Reader[Item]
) -> Generator[tuple[Item, Transcript | AsrError], None, None]:
    """Transcribes recordings as their results are asked for, some minutes of audio ahead.

    Args:
        recognizer: What turns samples into texts.
        items: The recordings.
        reader: How they are read.

    Yields:
        Each recording, in order, with its transcript or with the error of reading it or of the
        recognizer, when it was given this one alone.
    """
    pool = ThreadPoolExecutor(_NUM_WORKERS, thread_name_prefix="recognition")
    waiting: deque[tuple[int, Future[list[tuple[Item, Transcript | AsrError]]]]] = deque()
    groups = _groups(items, reader)
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
                yield from _results_of(recognizer, group, reader)
                continue
            waiting.append((group.num_samples, pool.submit(_results_of, recognizer, group, reader)))
            del group  # whose samples are to be let go of as soon as they are done with
        while waiting:
            yield from waiting.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def transcribe_in_turn(
    recognizer: BatchRecognizer, items: Iterable[Item], reader: Reader[Item]
) -> Iterator[tuple[Item, Transcript | AsrError]]:
    """Yields the same, all of it done in this thread: for one of several processes."""
    for group in _groups(items, reader):
        yield from _results_of(recognizer, group, reader)


class _Long:
    """Stands for a recording that is read while it is recognised."""


@dataclass(slots=True)
class _Group(Generic[Item]):
    """Recordings that are recognised together, each read or with the error of reading it."""

    items: list[tuple[Item, Samples | _Long | AsrError]] = field(default_factory=list)
    num_samples: int = 0

    def add(self, item: Item, speech: Samples | _Long | AsrError) -> None:
        self.items.append((item, speech))
        if isinstance(speech, _Long):
            self.num_samples += _group_samples()
        elif not isinstance(speech, AsrError):
            self.num_samples += np.size(speech)


def _group_samples() -> int:
    return round(_GROUP_S * SAMPLE_RATE)


def _groups(items: Iterable[Item], reader: Reader[Item]) -> Iterator[_Group[Item]]:
    """Yields groups as they are asked for, and holds on to none."""
    group: _Group[Item] = _Group()
    for item in items:
        group.add(item, _read(item, reader))
        if not group.num_samples or group.num_samples >= _group_samples():
            full, group = group, _Group()
            yield full
            del full
    if group.items:
        yield group


def _read(item: Item, reader: Reader[Item]) -> Samples | _Long | AsrError:
    try:
        return _Long() if reader.is_long(item) else reader.load(item)
    except AsrError as error:
        return _bare(error)


def _bare(error: AsrError) -> AsrError:
    """Returns an error that does not hold on to what was read when it was met."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _results_of(
    recognizer: BatchRecognizer, group: _Group[Item], reader: Reader[Item]
) -> list[tuple[Item, Transcript | AsrError]]:
    recordings = [speech for _, speech in group.items if isinstance(speech, np.ndarray)]
    outcomes = iter(_transcribe(recognizer, recordings))
    del recordings
    results: list[tuple[Item, Transcript | AsrError]] = []
    for item, speech in group.items:
        if isinstance(speech, AsrError):
            results.append((item, speech))
        elif isinstance(speech, _Long):
            results.append((item, _transcribe_long(recognizer, item, reader)))
        else:
            results.append((item, next(outcomes)))
    group.items.clear()  # the pool holds on to the group for a moment longer than to its samples
    return results


def _transcribe_long(
    recognizer: BatchRecognizer, item: Item, reader: Reader[Item]
) -> Transcript | AsrError:
    try:
        return recognizer.transcribe_blocks(reader.stream(item))
    except AsrError as error:
        return _bare(error)


def _transcribe(
    recognizer: BatchRecognizer, recordings: Sequence[Samples]
) -> Sequence[Transcript | AsrError]:
    """Transcribes recordings together or, if one of them is refused, one by one."""
    if not recordings:
        return []
    try:
        return recognizer.transcribe_batch(recordings)
    except AsrError as error:
        if len(recordings) == 1:
            return [_bare(error)]
    return [outcome for one in recordings for outcome in _transcribe(recognizer, [one])]
