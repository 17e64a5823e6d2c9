"""The utterances one listens to: the worst, the median and the best."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.clips import MEDIA_TYPE, encode_clip
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.scoring import UtteranceScore
from asr.transcript import Word
from pipelines.evaluation import Evaluation
from pipelines.progress import Progress
from pipelines.recognition import BatchRecognizer
from pipelines.spectrogram import png, spectrogram
from pipelines.speech import load_speech
from pipelines.svg import waveform

GROUPS = ("worst", "median", "best")
NUM_CLIPS = 9
"""Three of each group."""
MAX_CLIP_S = 20.0
MAX_CLIPS_BYTES = 2_500_000
"""Of all recordings and pictures, as they stand in the page: half of what a page may have."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A recording to see and to hear.

    Attributes:
        audio: The sound, as a `data:` address.
        spectrogram: A picture, as a `data:` address.
        waveform: An outline, as an `svg` element.
        duration_s: How much of it is here.
        whole_s: How long it is.
    """

    audio: str
    spectrogram: str
    waveform: str
    duration_s: float
    whole_s: float

    @property
    def num_bytes(self) -> int:
        """What it adds to a page."""
        return len(self.audio) + len(self.spectrogram) + len(self.waveform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An utterance with its recording.

    Attributes:
        group: Of `GROUPS`.
        row: What was said and recognised.
        clip: The recording.
        words: What was recognised and when; empty if no recognizer was there to ask.
    """

    group: str
    row: UtteranceScore
    clip: Clip
    words: tuple[Word, ...] = ()


def choose_examples(
    evaluation: Evaluation,
    *,
    recognizer: BatchRecognizer | None = None,
    num_clips: int = NUM_CLIPS,
    quiet: bool = False,
) -> tuple[Example, ...]:
    """Reads the recordings of the worst, median and best utterances, as far as they are there.

    Args:
        evaluation: What was found.
        recognizer: Says when each word was heard; None leaves the words out.
        num_clips: At most so many in all; they take at most `MAX_CLIPS_BYTES`.
        quiet: Show no progress.
    """
    chosen = list(_choose(evaluation, num_clips))
    found: list[Example] = []
    num_bytes = 0
    with Progress(len(chosen), unit="files", label="cutting clips", quiet=quiet) as progress:
        for group, row in chosen:
            example = _example(group, row, evaluation.utterances[row.id], recognizer)
            progress.advance(1)
            if example and num_bytes + example.clip.num_bytes <= MAX_CLIPS_BYTES:
                num_bytes += example.clip.num_bytes
                found.append(example)
    return tuple(found)


def make_clip(samples: Samples) -> Clip:
    """Makes the beginning of a recording fit for a page.

    Args:
        samples: float32 [num_samples] at 16 kHz, at least one.
    """
    shown = samples[: round(MAX_CLIP_S * SAMPLE_RATE)]
    return Clip(
        audio=_data(MEDIA_TYPE, encode_clip(shown)),
        spectrogram=_data("image/png", png(spectrogram(shown))),
        waveform=waveform(shown),
        duration_s=len(shown) / SAMPLE_RATE,
        whole_s=len(samples) / SAMPLE_RATE,
    )


def _choose(evaluation: Evaluation, num_clips: int) -> Iterator[tuple[str, UtteranceScore]]:
    """Yields utterances, none of them twice.

    The best are those without an error that had most chances to have one; the median ones lie
    around the middle of all error rates.
    """
    ranked = [row for row in evaluation.worst_first() if row.id not in evaluation.failures]
    best = sorted(ranked, key=lambda row: (row.words.rate, -row.words.num_reference, row.id))
    middle = max(0, len(ranked) // 2 - num_clips // 6)
    wrong = [row for row in ranked if row.words.errors]
    orders = (wrong, ranked[middle:], best)
    taken: set[str] = set()
    for n, (group, order) in enumerate(zip(GROUPS, orders, strict=True)):
        wanted = (num_clips + len(GROUPS) - 1 - n) // len(GROUPS)
        for row in _first(order, wanted, taken):
            yield group, row


def _first(
    order: Iterable[UtteranceScore], wanted: int, taken: set[str]
) -> Iterator[UtteranceScore]:
    for row in order:
        if wanted <= 0:
            return
        if row.id not in taken:
            taken.add(row.id)
            wanted -= 1
            yield row


def _example(
    group: str, row: UtteranceScore, utterance: Utterance, recognizer: BatchRecognizer | None
) -> Example | None:
    """Returns an utterance with its recording; None where that cannot be read."""
    try:
        samples = load_speech(utterance)
        words = _words(recognizer, samples)
        return Example(group=group, row=row, clip=make_clip(samples), words=words)
    except AsrError:
        return None


def _words(recognizer: BatchRecognizer | None, samples: Samples) -> tuple[Word, ...]:
    if recognizer is None:
        return ()
    (transcript,) = recognizer.transcribe_batch([samples])
    return transcript.words


def _data(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
