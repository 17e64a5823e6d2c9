"""Tails of the normal distribution and of Student's t, for p-values and intervals."""

import functools
import math
import statistics

_NORMAL = statistics.NormalDist()
_MAX_DEGREES = 1_000
"""Beyond, the quantiles move by less than a thousandth, and the sum below takes long."""


def normal_tail(z: float) -> float:
    """Returns the probability that a standard normal variable is at least `z`."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """Returns where a standard normal variable stays below with this probability, from 0 to 1."""
    if probability in (0.0, 1.0):
        return math.inf if probability else -math.inf
    return _NORMAL.inv_cdf(probability)


def student_tail(t: float, *, degrees: int) -> float:
    """Returns the probability that Student's t is at least `t`.

    Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4: with whole degrees
    of freedom the distribution is a finite sum.

    Args:
        t: Where the tail begins.
        degrees: Of freedom, from 1; more than 1,000 count as 1,000.
    """
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    degrees = min(degrees, _MAX_DEGREES)
    angle = math.atan2(t, math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= square * (k - 1) / k
        total += term
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 * (1 - within)


@functools.cache
def student_quantile(probability: float, *, degrees: int) -> float:
    """Returns where Student's t stays below with this probability, strictly between 0 and 1."""
    if probability < 0.5:
        return -student_quantile(1 - probability, degrees=degrees)
    low, high = 0.0, 1.0
    while student_tail(high, degrees=degrees) > 1 - probability:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if student_tail(middle, degrees=degrees) > 1 - probability:
            low = middle
        else:
            high = middle
    return high
