"""References that their audio contradicts: most likely wrong transcripts, or wrong cuts."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asr.decoding import ctc_log_probability
from asr.errors import AsrError
from asr.recognizer import Floats, Recognizer
from asr.scoring import UtteranceScore
from asr.text import normalise_text
from pipelines.evaluation import Evaluation
from pipelines.progress import Progress
from pipelines.speech import load_speech

MAX_HEARD = 300
"""Recordings listened to again; a wrong reference is among the worst utterances."""
NUM_LISTED = 20
_BLOCK = 16
"""Recordings held in memory at once."""
_FEW = 20
"""With fewer recordings there is no telling what is usual."""
_DEVIATIONS = 3.5
"""Beyond the median, as Iglewicz & Hoaglin (1993) put the limit for outliers."""

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


def find_suspects(
    evaluation: Evaluation, recognizer: Recognizer, *, quiet: bool = False
) -> tuple[Suspect, ...]:
    """Finds the references whose CTC loss stands out from what is usual, the highest first.

    Heard again are the worst utterances and, for what is usual, some that are evenly spaced among
    all, together at most `MAX_HEARD`.

    Args:
        evaluation: What was found.
        recognizer: The model that transcribed.
        quiet: Show no progress.
    """
    rows = [row for row in evaluation.worst_first() if row.id not in evaluation.failures]
    # The worst are no measure of what is usual: that is asked of an even sample.
    even = rows[:: max(1, math.ceil(len(rows) / (MAX_HEARD // 3)))]
    heard = list({row.id: row for row in [*rows[: 2 * MAX_HEARD // 3], *even]}.values())
    losses: dict[str, Losses] = {}
    with Progress(len(heard), unit="files", label="checking references", quiet=quiet) as progress:
        for start in range(0, len(heard), _BLOCK):
            block = heard[start : start + _BLOCK]
            losses |= _losses(evaluation, recognizer, block)
            progress.advance(len(block))
    usual = [losses[row.id][0] for row in even if row.id in losses]
    return _outliers([row for row in heard if row.id in losses], losses, usual)


def _outliers(
    rows: Sequence[UtteranceScore],
    losses: Mapping[str, Losses],
    usual: Sequence[float],
) -> tuple[Suspect, ...]:
    finite = [loss for loss in usual if math.isfinite(loss)]
    if len(finite) < _FEW:
        return ()
    median = float(np.median(finite))
    deviation = 1.4826 * float(np.median(np.abs(np.array(finite) - median)))
    limit = median + _DEVIATIONS * deviation
    found = [
        Suspect(row=row, loss=losses[row.id][0], heard_loss=losses[row.id][1], usual_loss=median)
        for row in rows
        # What was recognised as it stands in the reference is no suspect, however unsure.
        if losses[row.id][0] > limit and row.words.errors
    ]
    return tuple(sorted(found, key=lambda one: (-one.loss, one.row.id))[:NUM_LISTED])


def _losses(
    evaluation: Evaluation, recognizer: Recognizer, rows: Sequence[UtteranceScore]
) -> dict[str, Losses]:
    """Returns the losses of references and transcripts, of those where they can be known."""
    features: dict[str, Floats] = {}
    for row in rows:
        utterance = evaluation.utterances[row.id]
        with contextlib.suppress(AsrError):  # one that failed to be transcribed has been reported
            samples = load_speech(utterance)
            features[row.id] = recognizer.extract(samples)
    found = {}
    for key, log_probs in zip(features, recognizer.log_probs(list(features.values())), strict=True):
        said = normalise_text(evaluation.utterances[key].text or "", recognizer.text)
        reference = _loss(recognizer, log_probs, said)
        if reference is not None:
            found[key] = reference, _loss(recognizer, log_probs, evaluation.hypotheses[key])
    return found


def _loss(recognizer: Recognizer, log_probs: Floats, text: str) -> float | None:
    """Returns nats a token; None for no text, or one with characters the model does not know."""
    vocabulary = recognizer.vocabulary
    if not text or not vocabulary.encodable(text):
        return None
    tokens = vocabulary.encode(text)
    return -ctc_log_probability(log_probs, tokens, blank_id=vocabulary.blank_id) / len(tokens)
