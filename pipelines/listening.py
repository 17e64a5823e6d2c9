"""What is learnt of recordings while they are transcribed, so that none has to be read twice."""

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.recognizer import Floats, Recognizer
from asr.snr import estimate_snr_db
from asr.text import TextOptions
from asr.transcript import Transcript
from pipelines.recognition import BatchRecognizer, Result
from pipelines.suspects import ReferenceLosses

Samples = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotedTranscript(Transcript):
    """A transcript with what was learnt of its recording.

    Attributes:
        snr_db: Signal-to-noise ratio, in decibels; None for next to no recording.
        digest: Of the samples: the same for the same sound, whatever its file.
        log_probs: What it was read from, float32 [num_steps, vocab_size]; None where the
            recognizer does not show that.
    """

    snr_db: float | None
    digest: bytes
    log_probs: Floats | None


class Listener:
    """A recognizer that takes notes: it transcribes as the one it is given does.

    Notes travel with the transcripts. Of those that are heard only figures are kept, so that no
    more are held than recordings are transcribed together. Like its recognizer it may be called
    from several threads at once; results are heard by one.

    Args:
        recognizer: What transcribes.
        num_utterances: How many recordings will come.

    Attributes:
        snr_db: Signal-to-noise ratio of each recording, by id.
        digests: Of the samples, by id.
        losses: How well the references fit; None if the recognizer does not show its
            log-probabilities.
    """

    def __init__(self, recognizer: BatchRecognizer, *, num_utterances: int) -> None:
        self.snr_db: dict[str, float | None] = {}
        self.digests: dict[str, bytes] = {}
        self.losses: ReferenceLosses | None = None
        self._shown = threading.local()
        if isinstance(recognizer, Recognizer):
            self.losses = ReferenceLosses(recognizer, num_utterances=num_utterances)
            recognizer = _showing(recognizer, self._show)
        self._recognizer = recognizer

    @property
    def text(self) -> TextOptions:
        """The recognizer's normalisation."""
        return self._recognizer.text

    def __getattr__(self, name: str) -> object:
        """Returns what the recognizer says of itself, such as its vocabulary."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._recognizer, name)

    def transcribe_batch(self, recordings: Sequence[Samples], /) -> Sequence[Transcript]:
        """Transcribes recordings, float32 [num_samples] at 16 kHz, in their order.

        Raises:
            AsrError: As the recognizer does.
        """
        self._show([])
        transcripts = self._recognizer.transcribe_batch(recordings)
        shown: Sequence[Floats | None] = self._shown.log_probs
        if len(shown) != len(recordings):  # it recognises in another way
            shown = [None] * len(recordings)
        self._show([])
        return [
            _noted(
                transcript,
                estimate_snr_db(samples, sample_rate=SAMPLE_RATE),
                _digest(samples.tobytes()).digest(),
                log_probs,
            )
            for transcript, samples, log_probs in zip(transcripts, recordings, shown, strict=True)
        ]

    def transcribe_blocks(self, blocks: Iterable[Samples], /) -> Transcript:
        """Transcribes a recording of any length; of such a one only the digest is noted.

        Raises:
            AsrError: As the recognizer does.
        """
        digest = _digest()

        def passing() -> Iterator[Samples]:
            for block in blocks:
                digest.update(block.tobytes())
                yield block

        transcript = self._recognizer.transcribe_blocks(passing())
        return _noted(transcript, None, digest.digest(), None)

    def hear(self, result: Result) -> None:
        """Takes a result."""
        key, heard = result.utterance.id, result.transcript
        if not isinstance(heard, NotedTranscript):
            return
        self.snr_db[key], self.digests[key] = heard.snr_db, heard.digest
        if self.losses is not None and heard.log_probs is not None:
            self.losses.hear(result.utterance, heard.text, heard.log_probs)

    def _show(self, log_probs: Sequence[Floats]) -> None:
        self._shown.log_probs = log_probs


def _noted(
    transcript: Transcript, snr_db: float | None, digest: bytes, log_probs: Floats | None
) -> NotedTranscript:
    names = [field.name for field in dataclasses.fields(transcript)]
    return NotedTranscript(
        **{name: getattr(transcript, name) for name in names},
        snr_db=snr_db,
        digest=digest,
        log_probs=log_probs,
    )


def _digest(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ShowingRecognizer(Recognizer):
    """A recognizer that hands on its log-probabilities before it spells them."""

    show: Callable[[Sequence[Floats]], None]

    def log_probs(self, features: Sequence[Floats]) -> list[Floats]:
        found = super().log_probs(features)
        self.show(found)
        return found


def _showing(recognizer: Recognizer, show: Callable[[Sequence[Floats]], None]) -> Recognizer:
    names = [field.name for field in dataclasses.fields(recognizer) if field.init]
    return _ShowingRecognizer(**{name: getattr(recognizer, name) for name in names}, show=show)
