"""Whether one recognizer is better than another on the same speech, or was lucky.

Two tests, since each looks at another kind of luck. The paired bootstrap draws speakers or
utterances anew (Bisani & Ney, ICASSP 2004) and gives an interval of the difference; the matched
pairs sentence-segment word error test is NIST's (Gillick & Cox, "Some statistical issues in the
comparison of speech recognition algorithms", ICASSP 1989) and looks at the stretches of speech in
which either recognizer erred.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.errors import ScoringError
from asr.intervals import (
    LEVEL,
    NUM_RESAMPLES,
    Floats,
    Interval,
    expanded_tail,
    group,
    ratio,
    resample,
)
from asr.scoring import Chunk, Score, UtteranceScore
from asr.tails import normal_quantile, normal_tail, student_tail

ALPHA = 0.05
"""A difference counts as real where luck alone gives one as large less often than this."""
POWER = 0.8
"""Chance of finding the difference that the advice "n utterances more" aims at."""
MIN_CORRECT = 2
"""Words that both recognizers must have right between two segments, as in NIST's sc_stats."""
MIN_SEGMENTS = 50
"""Gillick & Cox: the normal approximation wants some 50 segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedPairs:
    """The matched pairs sentence-segment word error test (MAPSSWE).

    Attributes:
        num_segments: Stretches of speech in which at least one recognizer erred.
        mean: Mean over them of the first's errors minus the second's.
        z: That mean in standard errors; 0 where there is nothing to tell apart.
        p: Two-sided, by the normal distribution.
        note: A warning where the segments are few.
    """

    num_segments: int
    mean: float
    z: float
    p: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two recognizers on the same references.

    Attributes:
        first: Name of one.
        second: Name of the other.
        difference: WER of the first minus WER of the second.
        interval: Of the difference; None for a single utterance.
        p: Two-sided, by the paired bootstrap; adjusted where several pairs were compared.
        matched_pairs: NIST's test.
        num_utterances: Utterances compared.
        num_more: Utterances of the same kind that would be needed beyond these to find a
            difference of this size in 4 of 5 such tests; None where it is found already, or where
            no difference was seen.
    """

    first: str
    second: str
    difference: float
    interval: Interval | None
    p: float
    matched_pairs: MatchedPairs
    num_utterances: int
    num_more: int | None

    @property
    def significant(self) -> bool:
        """Whether luck is an unlikely explanation."""
        return self.p < ALPHA

    def verdict(self) -> str:
        """Returns the outcome as a sentence."""
        if not self.significant:
            more = ""
            if self.num_more is not None:
                more = f"; about {_round_up(self.num_more):,} utterances more would"
            return (
                f"{self.first} and {self.second} cannot be told apart with this much speech"
                f"{self._interval_text(abs(self.difference))}{more}"
            )
        better = self.first if self.difference < 0 else self.second
        points = 100 * abs(self.difference)
        return (
            f"{better} is better by {points:.2g} points"
            f"{self._interval_text(None)}, {p_text(self.p)}"
        )

    def _interval_text(self, size: float | None) -> str:
        """Returns the interval in points, from the side of the better one."""
        if self.interval is None:
            return ""
        low, high = self.interval.low, self.interval.high
        if self.difference < 0:
            low, high = -high, -low
        ends = f"95 %: {100 * low:.1f} to {100 * high:.1f}"
        if size is None:
            return f" ({ends})"
        return f" (difference {100 * size:.1f} points, {ends}, {p_text(self.p)})"


def p_text(p: float) -> str:
    """Returns a p-value as people write it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def compare(
    first: Score,
    second: Score,
    *,
    names: tuple[str, str] = ("A", "B"),
    speakers: Sequence[str | None] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compares two recognizers' word errors on the same references.

    Args:
        first: One score.
        second: The other, of the same utterances in the same order.
        names: What to call them.
        speakers: Who speaks in each utterance, None where it is not known.
        num_resamples: How often the utterances are drawn anew.
        seed: The same seed gives the same outcome.

    Raises:
        ScoringError: The scores are not of the same references.
    """
    check_paired(first.rows, second.rows)
    difference = first.wer - second.wer
    # Drawn from the side of the worse one, so that the outcome is the same whoever comes first.
    sign = -1 if difference < 0 else 1
    sums = [
        (sign * (a.words.errors - b.words.errors), a.words.num_reference)
        for a, b in zip(first.rows, second.rows, strict=True)
    ]
    units = group(sums, speakers)
    interval, p, more = None, 1.0, None
    if len(units.sums) > 1:
        drawn = sign * ratio(resample(units.sums, num_resamples=num_resamples, seed=seed))
        tail = expanded_tail(LEVEL, num_units=len(units.sums))
        low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
        interval = Interval(
            low=low, high=high, unit=units.kind, num_units=len(units.sums), note=units.note
        )
        p = _two_sided(drawn, num_units=len(units.sums))
        more = _num_more(difference, float(drawn.std()), len(sums)) if p >= ALPHA else None
    return Comparison(
        first=names[0],
        second=names[1],
        difference=difference,
        interval=interval,
        p=p,
        matched_pairs=matched_pairs(first.rows, second.rows),
        num_utterances=len(sums),
        num_more=more,
    )


def compare_all(
    scores: dict[str, Score], *, speakers: Sequence[str | None] | None = None, seed: int = 0
) -> list[Comparison]:
    """Compares every pair of recognizers, the p-values adjusted by Holm's step-down rule.

    Of twenty comparisons without a difference one comes out with p < 0.05; adjusted (Holm 1979),
    the chance that any does stays at 0.05.

    Raises:
        ScoringError: The scores are not of the same references.
    """
    found = [
        compare(scores[a], scores[b], names=(a, b), speakers=speakers, seed=seed)
        for a, b in itertools.combinations(scores, 2)
    ]
    adjusted = holm([comparison.p for comparison in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for their number (Holm 1979), in the order given."""
    adjusted, floor = list(p_values), 0.0
    for rank, n in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, p_values[n] * (len(p_values) - rank)))
        adjusted[n] = floor
    return adjusted


def matched_pairs(
    first: Sequence[UtteranceScore], second: Sequence[UtteranceScore]
) -> MatchedPairs:
    """Runs NIST's test on two recognizers' rows of the same references in the same order.

    Raises:
        ScoringError: They are not of the same references.
    """
    check_paired(first, second)
    differences = [
        difference
        for a, b in zip(first, second, strict=True)
        if a.words.errors or b.words.errors
        for difference in segment_differences(a.alignment, b.alignment)
    ]
    n = len(differences)
    mean = statistics.fmean(differences) if differences else 0.0
    error = math.sqrt(statistics.variance(differences) / n) if n > 1 else 0.0
    note = f"{n} segments are few: p is rough" if n < MIN_SEGMENTS else ""
    if mean and not error:
        # All alike, so that there is no spread to judge by: the sign test does without.
        p = min(1.0, 2 * 0.5**n)
        z = math.copysign(normal_quantile(1 - p / 2), mean)
        return MatchedPairs(num_segments=n, mean=mean, z=z, p=p, note=f"{n} segments, all alike")
    z = mean / error if error else 0.0
    return MatchedPairs(num_segments=n, mean=mean, z=z, p=2 * normal_tail(abs(z)), note=note)


def segment_differences(first: Iterable[Chunk], second: Iterable[Chunk]) -> list[int]:
    """Returns the errors of the first minus those of the second, for each segment.

    A segment is a stretch with errors of either; it ends where both have at least two reference
    words right in a row with nothing inserted, or with the utterance.

    Args:
        first: One recognizer's alignment of an utterance.
        second: The other's, of the same reference.
    """
    segments: list[int] = []
    correct = MIN_CORRECT
    for place, (a, b) in enumerate(zip(_errors(first), _errors(second), strict=True)):
        if a or b:
            if correct >= MIN_CORRECT:
                segments.append(0)
            segments[-1] += a - b
            correct = 0
        elif place % 2:
            correct += 1
    return segments


def check_paired(first: Sequence[UtteranceScore], second: Sequence[UtteranceScore]) -> None:
    """Checks that two lists of rows are of the same references in the same order.

    Raises:
        ScoringError: They are not; the first that differs is named.
    """
    if len(first) != len(second):
        raise ScoringError(
            f"expected as many utterances on both sides, received {len(first)} and {len(second)}"
        )
    for a, b in zip(first, second, strict=True):
        if (a.id, a.reference) != (b.id, b.reference):
            raise ScoringError(
                f"expected the same references on both sides, received {a.id}: {a.reference!r} "
                f"and {b.id}: {b.reference!r}"
            )


def _errors(alignment: Iterable[Chunk]) -> Iterator[int]:
    """Yields the errors before the first word, at it, before the second … and after the last."""
    inserted = 0
    for chunk in alignment:
        if chunk.kind == "insert":
            inserted += len(chunk.hypothesis)
        else:
            wrong = int(chunk.kind != "equal")
            for _ in chunk.reference:
                yield inserted
                yield wrong
                inserted = 0
    yield inserted


def _two_sided(drawn: Floats, *, num_units: int) -> float:
    """Returns how far out zero lies among resampled differences, as a two-sided p.

    Taken at the same expanded percentiles as the interval, so that the two agree.
    """
    beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    share = (beyond + 1) / (len(drawn) + 1)
    if share >= 0.5:
        return 1.0
    t = -normal_quantile(share) * math.sqrt((num_units - 1) / num_units)
    return 2 * student_tail(t, degrees=num_units - 1)


def _num_more(difference: float, standard_error: float, num_utterances: int) -> int | None:
    """Returns the utterances missing for 80 % power at the difference that was seen."""
    if difference == 0 or standard_error == 0:
        return None
    distance = normal_quantile(1 - ALPHA / 2) + normal_quantile(POWER)
    needed = num_utterances * (distance * standard_error / abs(difference)) ** 2
    return max(1, math.ceil(needed) - num_utterances)


def _round_up(count: int) -> int:
    """Returns a count to two digits: the third of an estimate like this means nothing."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
