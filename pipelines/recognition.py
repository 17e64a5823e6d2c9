"""The recordings of a manifest through a recognizer: results in order, or the sum of them."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asr import transcriptions
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.transcript import Transcript
from asr.transcriptions import is_long, lasts_long, transcribe_all, transcribe_in_turn
from pipelines.progress import AUDIO_SECONDS, Progress
from pipelines.speech import load_speech, stream_speech

Samples = npt.NDArray[np.float32]


class BatchRecognizer(transcriptions.BatchRecognizer, Protocol):
    """What is needed of a recognizer. It is called from several threads at once."""

    @property
    def text(self) -> TextOptions:
        """Normalisation of the texts it was trained on."""


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
        found = transcribe_all(recognizer, utterances, _Speech())
        for amount, (utterance, outcome) in zip(amounts, found, strict=True):
            progress.advance(amount)
            yield _result(utterance, outcome)


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
    for utterance, outcome in transcribe_in_turn(recognizer, utterances, _Speech()):
        yield _result(utterance, outcome)


def _result(utterance: Utterance, outcome: Transcript | AsrError) -> Result:
    if isinstance(outcome, Transcript):
        return Result(utterance=utterance, transcript=outcome)
    return Result(utterance=utterance, failure=str(outcome))


class _Speech:
    """Reads what utterances are about."""

    def is_long(self, utterance: Utterance, /) -> bool:
        if utterance.duration_s is not None:
            return lasts_long(utterance.duration_s)
        return is_long(utterance.audio, offset_s=utterance.offset_s)

    def load(self, utterance: Utterance, /) -> Samples:
        return load_speech(utterance)

    def stream(self, utterance: Utterance, /) -> Iterator[Samples]:
        return stream_speech(utterance)
