"""How sure a model is of its words, corrected by speech whose texts are known."""

import collections
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asr.confidence import Calibration, fit_calibration
from asr.confidences import Confidences
from asr.decoding import Hypothesis
from asr.features import FeatureOptions
from asr.scoring import UtteranceScore, score
from asr.text import TextOptions
from asr.transcript import words_of
from asr.vocabulary import Vocabulary
from pipelines.calibration import all_compared, calibrate, right_words
from pipelines.tuning import TuningSpeech


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedConfidence:
    """A correction, and what it is worth.

    Attributes:
        calibration: The correction, fitted to all words.
        error_before: Expected calibration error of the words as the network gives them.
        error_after: The same when each group's words are corrected by what was fitted to the
            others; None if there is one group only.
        num_words: Words that it was fitted to.
    """

    calibration: Calibration
    error_before: float
    error_after: float | None
    num_words: int


def tune_confidence(
    found: Mapping[str, Sequence[Hypothesis]],
    speech: TuningSpeech,
    *,
    vocabulary: Vocabulary,
    features: FeatureOptions,
    text: TextOptions,
) -> TunedConfidence | None:
    """Fits the correction of confidences to words that are right or wrong.

    Args:
        found: What was heard in the passages of each utterance, by id.
        speech: What it was heard in, with what was said.
        vocabulary: The network's.
        features: Its features.
        text: Normalisation of both sides.

    Returns:
        None if no word was heard.
    """
    texts: dict[str, str] = {}
    sure: dict[str, tuple[float, ...]] = {}
    for key, hypotheses in found.items():
        words = [
            word
            for one, log_probs in zip(hypotheses, speech.passages[key], strict=True)
            for word in words_of(
                one, vocabulary, features=features, duration_s=math.inf, log_probs=log_probs
            )
        ]
        texts[key] = " ".join(word.text for word in words)
        sure[key] = tuple(word.probability or 0.0 for word in words)
    rows = score(speech.references, texts, text=text).rows
    compared = all_compared(texts, sure, text=text)
    before = calibrate(rows, compared)
    if before is None:
        return None
    corrected = _corrected(rows, compared, speech.groups)
    after = calibrate(rows, corrected) if corrected is not None else None
    return TunedConfidence(
        calibration=_fit(rows, compared),
        error_before=before.expected_calibration_error,
        error_after=after.expected_calibration_error if after else None,
        num_words=before.num_words,
    )


def _corrected(
    rows: Sequence[UtteranceScore], confidences: Confidences, groups: Mapping[str, str]
) -> Confidences | None:
    """Returns confidences corrected by what was fitted to the other groups; None if none are."""
    members = collections.defaultdict(list)
    for row in rows:
        members[groups[row.id]].append(row)
    corrected: dict[str, Sequence[float]] = {}
    for group, own in members.items():
        others = [row for row in rows if groups[row.id] != group]
        if not any(confidences.get(row.id) for row in others):
            return None
        calibration = _fit(others, confidences)
        corrected |= {
            row.id: [calibration(value) for value in confidences[row.id]]
            for row in own
            if row.id in confidences
        }
    return corrected


def _fit(rows: Sequence[UtteranceScore], confidences: Confidences) -> Calibration:
    known = [row for row in rows if row.id in confidences]
    values = itertools.chain.from_iterable(confidences[row.id] for row in known)
    right = itertools.chain.from_iterable(map(right_words, known))
    return fit_calibration([*values], [*right])
