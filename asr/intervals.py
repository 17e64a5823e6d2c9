"""How far an error rate would move with other speech of the same kind: bootstrap intervals.

A corpus is a sample. It is drawn anew from itself, with replacement, ten thousand times; the middle
95 % of the rates so obtained are the interval (Efron 1979; for error rates Bisani & Ney,
"Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004). What is
drawn are whole speakers where they are known, since the utterances of one speaker rise and fall
together, and else utterances.

The percentiles are taken a little further out than at 2.5 and 97.5, as a t interval is wider than a
normal one (Hesterberg, "What teachers should know about the bootstrap", The American Statistician
2015, the expanded percentile interval): without it an interval over six speakers holds the truth in
85 cases of 100, not in 95.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from asr.errors import ScoringError
from asr.tails import normal_tail, student_quantile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From sums [num_resamples, num_columns] to one figure each, [num_resamples]."""

LEVEL = 0.95
NUM_RESAMPLES = 10_000
FEW_SPEAKERS = 6
"""With fewer no resample reaches far enough for 95 %: k speakers lie all on one side of the truth
with a chance of 2 ÷ 2^k, and then no interval between them holds it."""

_BLOCK = 2_000_000
"""Numbers drawn at once: 16 MB."""
_DRAWS_PER_BINOMIAL = 12
"""A binomial count costs about as much time as drawing this many utterances one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a figure would lie for other speech of the same kind.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: Share of such intervals that hold the true value, nominally.
        unit: What was resampled.
        num_units: How many of them there were.
        note: What a reader should know about it; mostly empty.
    """

    low: float
    high: float
    level: float = LEVEL
    unit: Literal["speaker", "utterance"] = "utterance"
    num_units: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Units:
    """What is resampled as a whole.

    Attributes:
        sums: int64 [num_units, num_columns], in an order that does not depend on the corpus's.
        kind: What a unit is.
        note: Why it is not a speaker, or why that is little.
    """

    sums: Ints
    kind: Literal["speaker", "utterance"]
    note: str = ""


def ratio(sums: Floats) -> Floats:
    """Returns column 0 ÷ column 1, as error rates are defined: ÷ 1 where there is nothing."""
    rates: Floats = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return rates


def bootstrap(
    sums: npt.ArrayLike,
    *,
    speakers: Sequence[str | None] | None = None,
    statistic: Statistic = ratio,
    level: float = LEVEL,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Returns the interval of a figure that depends on sums over utterances.

    Args:
        sums: What each utterance adds, whole numbers [num_utterances, num_columns]: for a rate its
            errors and its reference units.
        speakers: Who speaks, for each utterance, None where it is not known.
        statistic: The figure, from sums.
        level: Share of intervals that should hold the true value.
        num_resamples: How often the corpus is drawn anew.
        seed: The same seed gives the same interval, whatever the order of the utterances.

    Returns:
        The interval; None for fewer than two utterances, from which nothing can be learnt.

    Raises:
        ScoringError: The sums are not such a table, or there are not as many speakers.
    """
    units = group(sums, speakers)
    if len(units.sums) < 2:
        return None
    note = units.note
    drawn = statistic(resample(units.sums, num_resamples=num_resamples, seed=seed))
    tail = expanded_tail(level, num_units=len(units.sums))
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    if low == high == 0:
        num_utterances = len(np.asarray(sums))
        high = 1 - (1 - level) ** (1 / num_utterances)
        note = _joined(note, "no error was found: the upper end is by the rule of three")
    return Interval(
        low=low, high=high, level=level, unit=units.kind, num_units=len(units.sums), note=note
    )


def expanded_tail(level: float, *, num_units: int) -> float:
    """Returns the share of resamples to leave out at each end (Hesterberg 2015, section 5.3)."""
    t = student_quantile(0.5 + level / 2, degrees=num_units - 1)
    return normal_tail(t * math.sqrt(num_units / (num_units - 1)))


def group(sums: npt.ArrayLike, speakers: Sequence[str | None] | None = None) -> Units:
    """Returns the units to resample: speakers where at least two are known, else utterances.

    An utterance whose speaker is not known stands for itself.

    Raises:
        ScoringError: The sums are no table of whole numbers, or there are not as many speakers.
    """
    table = np.asarray(sums, dtype=np.int64)
    if table.ndim != 2:
        raise ScoringError(f"expected sums [num_utterances, num_columns], received {table.shape}")
    if speakers is None:
        return Units(_sorted(table), "utterance")
    if len(speakers) != len(table):
        raise ScoringError(f"expected {len(table)} speakers, received {len(speakers)}")
    numbers: dict[str, int] = {}
    # Numbers from the end for those without a name, so that each keeps one of its own.
    places = [
        -1 - n if name is None else numbers.setdefault(name, len(numbers))
        for n, name in enumerate(speakers)
    ]
    if len(numbers) < 2:
        note = "one speaker only: it says nothing about other speakers" if numbers else ""
        return Units(_sorted(table), "utterance", note)
    _, unit = np.unique(places, return_inverse=True)
    added = np.zeros((int(unit.max()) + 1, table.shape[1]), dtype=np.int64)
    np.add.at(added, unit, table)
    unknown = sum(name is None for name in speakers)
    note = f"{unknown} utterances without a speaker stand for themselves" if unknown else ""
    if len(added) < FEW_SPEAKERS:
        note = _joined(note, f"{len(added)} speakers are too few for 95 %: too narrow")
    return Units(_sorted(added), "speaker", note)


def resample(units: Ints, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> Floats:
    """Draws as many units as there are, with replacement, and adds them up, many times.

    Units that are alike in every column are drawn together: how often each kind comes up among n
    draws is multinomial, which is the same distribution at a cost that does not grow with n.

    Args:
        units: int64 [num_units, num_columns].
        num_resamples: How often.
        seed: Of the generator.

    Returns:
        Sums, float64 [num_resamples, num_columns]; whole numbers.
    """
    rng = np.random.default_rng(seed)
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    if len(kinds) * _DRAWS_PER_BINOMIAL < len(units):
        blocks = _by_kind(kinds, counts, num_resamples, rng)
    else:
        blocks = _by_unit(units, num_resamples, rng)
    return np.concatenate(list(blocks))


def _by_kind(
    kinds: Ints, counts: Ints, num_resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    total = int(counts.sum())
    values = kinds.astype(np.float64)
    for rows in _blocks(num_resamples, len(kinds)):
        yield rng.multinomial(total, counts / total, size=rows).astype(np.float64) @ values


def _by_unit(units: Ints, num_resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    columns = [np.ascontiguousarray(column) for column in units.T]
    for rows in _blocks(num_resamples, len(units)):
        drawn = rng.integers(len(units), size=(rows, len(units)), dtype=np.int32)
        yield np.stack([column[drawn].sum(axis=1) for column in columns], axis=1).astype(float)


def _blocks(num_resamples: int, width: int) -> Iterator[int]:
    """Yields numbers of resamples that together fit in bounded memory."""
    rows = max(1, _BLOCK // max(1, width))
    for start in range(0, num_resamples, rows):
        yield min(rows, num_resamples - start)


def _sorted(table: Ints) -> Ints:
    return table[np.lexsort(table.T)]


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
