"""The recordings of a manifest through a recognizer, none of which can stop the others."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.text import TextOptions
from pipelines.progress import AUDIO_SECONDS, Progress

Samples = npt.NDArray[np.float32]
Recording = tuple[Utterance, Samples]

# Audio held in memory at once; the recognizer makes batches of like length out of it.
_GROUP_S = 240.0


class HasText(Protocol):
    """What is read of a transcript."""

    @property
    def text(self) -> str:
        """The words."""


class BatchRecognizer(Protocol):
    """What is needed of a recognizer."""

    @property
    def text(self) -> TextOptions:
        """Normalisation of the texts it was trained on."""

    def transcribe_batch(self, recordings: Sequence[Samples], /) -> Sequence[HasText]:
        """Transcribes recordings, float32 [num_samples] at 16 kHz, in their order."""


@dataclass(slots=True, kw_only=True)
class Recognition:
    """Transcripts of a manifest.

    Attributes:
        hypotheses: Text of every utterance by id; empty where it failed.
        failures: Why an utterance could not be transcribed, by id.
        audio_s: Seconds of audio transcribed.
        compute_s: Seconds it took, reading the audio included.
    """

    hypotheses: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    audio_s: float = 0.0
    compute_s: float = 0.0


def recognise(
    recognizer: BatchRecognizer, utterances: Sequence[Utterance], *, quiet: bool = False
) -> Recognition:
    """Transcribes the recordings of a manifest, the longest first.

    A recording that cannot be read or transcribed gets an empty text and a reason.

    Args:
        recognizer: What turns samples into texts.
        utterances: Where the recordings are; their ids differ.
        quiet: Show no progress.
    """
    work, start_s = _Work(recognizer, utterances, quiet=quiet), time.perf_counter()
    # Equal lengths come together, and too little memory shows at once and not at the end.
    order = sorted(utterances, key=lambda utterance: -(utterance.duration_s or 0.0))
    with work.progress:
        for group in _groups(work.read(order)):
            work.transcribe(group)
    work.result.compute_s = time.perf_counter() - start_s
    return work.result


class _Work:
    """One pass over a manifest: its results so far and how far it is."""

    def __init__(
        self, recognizer: BatchRecognizer, utterances: Sequence[Utterance], *, quiet: bool
    ) -> None:
        self.recognizer = recognizer
        self.result = Recognition()
        self.amounts = _amounts(utterances)
        self.progress = Progress(
            sum(self.amounts.values()) if self.amounts else len(utterances),
            unit=AUDIO_SECONDS if self.amounts else "utterances",
            label="transcribing",
            quiet=quiet,
        )

    def read(self, utterances: Iterable[Utterance]) -> Iterator[Recording]:
        """Yields the recordings that can be read; the others fail at once."""
        for utterance in utterances:
            try:
                samples = load_audio(
                    utterance.audio, offset_s=utterance.offset_s, duration_s=utterance.duration_s
                )
            except AsrError as error:
                self._fail(utterance, error)
            else:
                yield utterance, samples

    def transcribe(self, group: Sequence[Recording]) -> None:
        """Transcribes recordings together or, if one of them is refused, one by one."""
        try:
            transcripts = self.recognizer.transcribe_batch([samples for _, samples in group])
        except AsrError as error:
            if len(group) == 1:
                self._fail(group[0][0], error)
                return
            for recording in group:
                self.transcribe([recording])
            return
        for (utterance, samples), transcript in zip(group, transcripts, strict=True):
            self.result.audio_s += len(samples) / SAMPLE_RATE
            self._done(utterance, transcript.text)

    def _fail(self, utterance: Utterance, error: AsrError) -> None:
        self.result.failures[utterance.id] = str(error)
        self._done(utterance, "")

    def _done(self, utterance: Utterance, text: str) -> None:
        self.result.hypotheses[utterance.id] = text
        self.progress.advance(self.amounts.get(utterance.id, 1))


def _amounts(utterances: Sequence[Utterance]) -> Mapping[str, float]:
    """Returns the seconds of every utterance, or nothing unless all are known."""
    seconds = {item.id: item.duration_s for item in utterances if item.duration_s is not None}
    return seconds if len(seconds) == len(utterances) else {}


def _groups(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """Yields recordings in groups of about as much audio as one batch holds."""
    group: list[Recording] = []
    num_samples = 0
    for recording in recordings:
        group.append(recording)
        num_samples += len(recording[1])
        if num_samples >= _GROUP_S * SAMPLE_RATE:
            yield group
            group, num_samples = [], 0
    if group:
        yield group
