"""Two ways to do one thing, timed in turns.

Only the ratio is worth quoting: both sides meet the same weather on the machine, since each round
times ours and theirs one straight after the other, in alternating order.
"""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Comparison(NamedTuple):
    """How long ours took and how long theirs, in the rounds of one run."""

    ours_s: float
    """Median seconds of a call of ours."""
    theirs_s: float
    """Median seconds of a call of theirs."""
    ratio: float
    """Median over the rounds of ours ÷ theirs: below 1, ours is faster."""
    low: float
    """Lower quartile of the rounds' ratios."""
    high: float
    """Upper quartile of the rounds' ratios."""


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int = 15
) -> Comparison:
    """Times both in turns, after one call of each that does not count (imports, compilation)."""
    ours()
    theirs()
    pairs = [_round(ours, theirs, swapped=number % 2 == 1) for number in range(rounds)]
    ratios = [mine / other for mine, other in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    ours_s, theirs_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Comparison(ours_s, theirs_s, ratio, low, high)


def _round(
    ours: Callable[[], object], theirs: Callable[[], object], *, swapped: bool
) -> tuple[float, float]:
    if swapped:
        other = _seconds(theirs)
        return _seconds(ours), other
    return _seconds(ours), _seconds(theirs)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
