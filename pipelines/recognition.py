"""Recordings through a recognizer, a few minutes at a time, none of which can stop the others."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.transcript import Transcript
from pipelines.progress import AUDIO_SECONDS, Progress
from pipelines.speech import load_speech

Samples = npt.NDArray[np.float32]
Reason = str

# Audio held in memory at once; the recognizer makes batches of like length out of it. Only a
# single recording may be longer.
_GROUP_S = 240.0


class BatchRecognizer(Protocol):
    """What is needed of a recognizer."""

    @property
    def text(self) -> TextOptions:
        """Normalisation of the texts it was trained on."""

    def transcribe_batch(self, recordings: Sequence[Samples], /) -> Sequence[Transcript]:
        """Transcribes recordings, float32 [num_samples] at 16 kHz, in their order."""


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


def _results(recognizer: BatchRecognizer, utterances: Iterable[Utterance]) -> Iterator[Result]:
    group: list[tuple[Utterance, Samples | Reason]] = []
    num_samples = 0
    for utterance in utterances:
        samples = _read(utterance)
        group.append((utterance, samples))
        num_samples += 0 if isinstance(samples, Reason) else len(samples)
        # Nothing may hold on to samples that are done with while the next recording is read.
        del samples
        if not num_samples or num_samples >= _GROUP_S * SAMPLE_RATE:
            yield from _results_of(recognizer, group)
            group.clear()
            num_samples = 0
    yield from _results_of(recognizer, group)


def _read(utterance: Utterance) -> Samples | Reason:
    try:
        return load_speech(utterance)
    except AsrError as error:
        return str(error)  # the error itself holds on to what was read


def _results_of(
    recognizer: BatchRecognizer, group: Sequence[tuple[Utterance, Samples | Reason]]
) -> Iterator[Result]:
    recordings = [samples for _, samples in group if not isinstance(samples, Reason)]
    outcomes = iter(_transcribe(recognizer, recordings))
    for utterance, samples in group:
        outcome = samples if isinstance(samples, Reason) else next(outcomes)
        if isinstance(outcome, Reason):
            yield Result(utterance=utterance, failure=outcome)
        else:
            yield Result(utterance=utterance, transcript=outcome)


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
