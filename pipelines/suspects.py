"""References that their audio contradicts: most likely wrong transcripts, or wrong cuts."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asr.decoding import ctc_log_probability
from asr.manifest import Utterance
from asr.recognizer import Floats, Recognizer
from asr.scoring import UtteranceScore
from asr.text import normalise_text

NUM_LISTED = 20
_NUM_SAMPLED = 200
"""Utterances asked what is usual, or up to twice as many; the wrong ones are no measure of it."""
_FEW = 20
"""With fewer recordings there is no telling what is usual."""
_DEVIATIONS = 3.5
"""Beyond the median, as Iglewicz & Hoaglin (1993) put the limit for outliers."""
_LEAST_DEVIATION = 0.2
"""At least twice what is usual is unusual, however alike the recordings are: exp(3.5 × 0.2) ≈ 2."""
_LEAST = 1e-4
"""Nats a token; below it a model is sure, and how sure is rounding."""

Losses = tuple[float, float | None]
"""Of a reference, and of what was recognised if anything was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A reference that hardly fits its audio.

    Attributes:
        row: What it says, and what was recognised instead.
        loss: CTC loss of the reference ÷ its tokens, in nats; infinite if it cannot be said in the
            time of its recording.
        heard_loss: The same of what was recognised; None if nothing was.
        usual_loss: The median loss of references.
    """

    row: UtteranceScore
    loss: float
    heard_loss: float | None
    usual_loss: float

    @property
    def impossible(self) -> bool:
        """Whether there is not even the time to say it."""
        return math.isinf(self.loss)


class ReferenceLosses:
    """CTC losses of references against their audio, taken while it is transcribed.

    Asked for are those of the references that were not recognised to the letter and, for what is
    usual, of some evenly spaced among all. Only the losses are kept.

    Args:
        recognizer: The model that transcribes.
        num_utterances: How many there will be.

    Attributes:
        usual: Losses of the evenly spaced.
        wrong: Losses of those not recognised to the letter, by id.
    """

    def __init__(self, recognizer: Recognizer, *, num_utterances: int) -> None:
        self.usual: list[float] = []
        self.wrong: dict[str, Losses] = {}
        self._recognizer = recognizer
        self._spacing = max(1, num_utterances // _NUM_SAMPLED)
        self._num_heard = 0
        self._highest: list[float] = []  # a heap

    def hear(self, utterance: Utterance, heard: str, log_probs: Floats) -> None:
        """Takes the next utterance.

        Args:
            utterance: With the reference as its text.
            heard: What was recognised.
            log_probs: What it was read from, float32 [num_steps, vocab_size].
        """
        is_sampled = self._num_heard % self._spacing == 0
        self._num_heard += 1
        said = normalise_text(utterance.text or "", self._recognizer.text)
        if said == heard and not is_sampled:
            return
        loss = self._loss(log_probs, said)
        if loss is None:
            return
        if is_sampled:
            self.usual.append(loss)
        if said != heard:
            # Only the highest losses are ever listed: no other needs one to compare it with.
            listed = len(self._highest) < NUM_LISTED or loss >= self._highest[0]
            self.wrong[utterance.id] = loss, self._loss(log_probs, heard) if listed else None
            heapq.heappush(self._highest, loss)
            if len(self._highest) > NUM_LISTED:
                heapq.heappop(self._highest)

    def _loss(self, log_probs: Floats, text: str) -> float | None:
        """Returns nats a token; None for no text, or one with characters the model has not."""
        vocabulary = self._recognizer.vocabulary
        if not text or not vocabulary.encodable(text):
            return None
        tokens = vocabulary.encode(text)
        return -ctc_log_probability(log_probs, tokens, blank_id=vocabulary.blank_id) / len(tokens)


def find_suspects(
    rows: Sequence[UtteranceScore], wrong: Mapping[str, Losses], usual: Sequence[float]
) -> tuple[Suspect, ...]:
    """Finds the references whose CTC loss stands out from what is usual, the highest first.

    Args:
        rows: The utterances.
        wrong: Losses by id.
        usual: Losses of references in general.

    Returns:
        At most `NUM_LISTED`; none of what was recognised as it stands in the reference, however
        unsure, and none where too few losses say what is usual.
    """
    # On a scale of ratios: a good model's losses are next to nothing, with a long tail upwards.
    finite = np.log([max(loss, _LEAST) for loss in usual if math.isfinite(loss)])
    if len(finite) < _FEW:
        return ()
    centre = float(np.median(finite))
    deviation = 1.4826 * float(np.median(np.abs(finite - centre)))
    limit = math.exp(centre + _DEVIATIONS * max(deviation, _LEAST_DEVIATION))
    median = math.exp(centre)
    found = [
        Suspect(row=row, loss=wrong[row.id][0], heard_loss=wrong[row.id][1], usual_loss=median)
        for row in rows
        if row.id in wrong and wrong[row.id][0] > limit and row.words.errors
    ]
    return tuple(sorted(found, key=lambda one: (-one.loss, one.row.id))[:NUM_LISTED])
