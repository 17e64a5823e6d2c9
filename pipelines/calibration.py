"""Whether a recognizer knows when it is right, and what could go unread on its word."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from asr.confidences import Confidences
from asr.scoring import UtteranceScore
from asr.text import TextOptions, normalise_text

NUM_BINS = 10
MAX_POINTS = 200
"""Of the curve of acceptance; more cannot be seen."""
TARGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Error rates one might put up with unread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Words of like confidence.

    Attributes:
        low: Least confidence of the bin.
        high: Highest, which belongs to the next bin except for 1.
        num_words: Words in it.
        confidence: Their mean confidence.
        correct: Share of them that was right.
    """

    low: float
    high: float
    num_words: int
    confidence: float
    correct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How confidence and truth go together.

    Attributes:
        bins: Of equal width, those without words left out, the least confident first.
        expected_calibration_error: Mean distance between confidence and share of right words,
            weighted by words (Guo et al., "On calibration of modern neural networks", ICML 2017).
        num_bins: Bins that confidences from 0 to 1 were put in.
        num_words: Words recognised that have a confidence.
        confidence: Their mean confidence.
        correct: Share of them that was right.
    """

    bins: tuple[Bin, ...]
    expected_calibration_error: float
    num_bins: int
    num_words: int
    confidence: float
    correct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What would be if the surest transcripts were taken unread.

    Attributes:
        threshold: Least mean word confidence of an accepted utterance.
        share: Share of the utterances accepted.
        wer: Word error rate among them.
    """

    threshold: float
    share: float
    wer: float


def compared_confidences(
    transcript: str, confidences: Sequence[float], *, text: TextOptions
) -> list[float] | None:
    """Returns the confidences of the words that a transcript has after normalisation.

    A word that normalisation splits hands its confidence to each part, one that it removes takes
    it along. None if words are joined, so that none can be told.

    Args:
        transcript: As it came from the recognizer.
        confidences: Of each of its words.
        text: The normalisation.
    """
    words = transcript.split()
    if len(words) != len(confidences):
        return None
    parts = [normalise_text(word, text).split() for word in words]
    if list(itertools.chain(*parts)) != normalise_text(transcript, text).split():
        return None
    return [confidence for confidence, part in zip(confidences, parts, strict=True) for _ in part]


def all_compared(
    transcripts: Mapping[str, str], confidences: Confidences, *, text: TextOptions
) -> Confidences:
    """Returns the confidences by id as `compared_confidences` does, of those that can be told."""
    found = {
        key: compared_confidences(transcripts[key], values, text=text)
        for key, values in confidences.items()
        if key in transcripts
    }
    return {key: values for key, values in found.items() if values is not None}


def mean(confidences: Sequence[float]) -> float:
    """Returns how sure a recognizer is of an utterance: the mean of its words' confidences."""
    return sum(confidences) / len(confidences)


def right_words(row: UtteranceScore) -> list[bool]:
    """Returns for each word of a transcript whether it is right."""
    return [chunk.kind == "equal" for chunk in row.alignment for _ in chunk.hypothesis]


def calibrate(rows: Sequence[UtteranceScore], confidences: Confidences) -> Calibration | None:
    """Compares the words' confidences with how often they are right.

    Args:
        rows: The utterances; those without confidences are left out.
        confidences: Of the words of their transcripts.

    Returns:
        None if no word has a confidence.
    """
    sums = [[0, 0.0, 0] for _ in range(NUM_BINS)]  # words, confidence, right words
    for confidence, right in _outcomes(rows, confidences):
        place = sums[min(int(confidence * NUM_BINS), NUM_BINS - 1)]
        place[0] += 1
        place[1] += confidence
        place[2] += right
    bins = tuple(
        Bin(
            low=n / NUM_BINS,
            high=(n + 1) / NUM_BINS,
            num_words=int(count),
            confidence=total / count,
            correct=right / count,
        )
        for n, (count, total, right) in enumerate(sums)
        if count
    )
    num_words = sum(one.num_words for one in bins)
    if not num_words:
        return None
    off = sum(one.num_words * abs(one.confidence - one.correct) for one in bins)
    return Calibration(
        bins=bins,
        expected_calibration_error=off / num_words,
        num_bins=NUM_BINS,
        num_words=num_words,
        confidence=sum(total for _, total, _ in sums) / num_words,
        correct=sum(right for _, _, right in sums) / num_words,
    )


def acceptance(rows: Sequence[UtteranceScore], confidences: Confidences) -> list[Accepted]:
    """Returns what each threshold would accept, the strictest first.

    An utterance's confidence is the mean of its words'; one without words has none, and is never
    accepted.

    Args:
        rows: The utterances.
        confidences: Of the words of their transcripts.
    """
    ranked = sorted(
        ((mean(confidences[row.id]), row) for row in rows if confidences.get(row.id)),
        key=lambda pair: -pair[0],
    )
    found, errors, words = [], 0, 0
    for place, (threshold, row) in enumerate(ranked, start=1):
        errors, words = errors + row.words.errors, words + row.words.num_reference
        # Equals are accepted together.
        if place == len(ranked) or ranked[place][0] < threshold:
            wer = errors / max(words, 1)
            found.append(Accepted(threshold=threshold, share=place / len(rows), wer=wer))
    return found


def most_accepted(found: Sequence[Accepted], *, wer: float) -> Accepted | None:
    """Returns the laxest threshold that keeps the error rate at or below a limit; None if none."""
    return next((one for one in reversed(found) if one.wer <= wer), None)


def met_targets(found: Sequence[Accepted]) -> list[tuple[float, Accepted]]:
    """Returns for each of `TARGETS` how much could be accepted, if it is neither none nor all.

    A laxer target that accepts no more is left out.
    """
    met: list[tuple[float, Accepted]] = []
    for limit in TARGETS:
        one = most_accepted(found, wer=limit)
        if one is not None and limit < found[-1].wer and not (met and met[-1][1] == one):
            met.append((limit, one))
    return met


def thinned(found: Sequence[Accepted]) -> list[Accepted]:
    """Returns at most `MAX_POINTS` of the thresholds, the first and the last among them."""
    if len(found) <= MAX_POINTS:
        return list(found)
    places = [round(n * (len(found) - 1) / (MAX_POINTS - 1)) for n in range(MAX_POINTS)]
    return [found[place] for place in places]


def _outcomes(
    rows: Sequence[UtteranceScore], confidences: Confidences
) -> Iterator[tuple[float, bool]]:
    for row in rows:
        if row.id in confidences:
            yield from zip(confidences[row.id], right_words(row), strict=True)
