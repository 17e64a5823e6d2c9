"""What a network's certainty is worth: from the probability it gives to the share that is right.

A network trained to be right is surer of itself than it should be, more so on speakers it has not
heard. Two numbers, fitted to speech whose texts are known, correct most of that (Platt, 1999; for
networks Guo et al., "On calibration of modern neural networks", 2017): the probability's logit is
stretched and shifted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.errors import OptionsError
from asr.options import require

_EXTREME = 1e-6
"""Logits are taken of probabilities no nearer to 0 and 1, where they would be infinite."""
_PRIOR = 1e-2
"""Weight of a Gaussian prior around "as it is": with all words right, the fit would have no end."""
_AS_IT_IS = (1.0, 0.0)
_MAX_STEPS = 100
_PRECISION = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Corrects the probability that a word is right.

    Attributes:
        slope: What its logit is multiplied by; below 1 makes sure words less sure. Not negative: a
            surer word never becomes a less sure one.
        bias: What is added then.
    """

    slope: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.slope < math.inf, "a finite slope of at least 0", self.slope)
        require(math.isfinite(self.bias), "a finite bias", self.bias)

    def __call__(self, probability: float) -> float:
        """Returns the corrected probability, in 0..1; unchanged if slope is 1 and bias 0."""
        if (self.slope, self.bias) == (1.0, 0.0):
            return probability
        return float(_sigmoid(self.slope * _logit(np.array(probability)) + self.bias))


def fit_calibration(probabilities: Sequence[float], correct: Sequence[bool]) -> Calibration:
    """Finds the correction under which these words are most likely as right as they were.

    Args:
        probabilities: What the network gave each word, in 0..1.
        correct: Whether it was right.

    Returns:
        The maximum of the likelihood (with a faint prior), found by Newton's method.

    Raises:
        OptionsError: There are no words, or the two differ in number.
    """
    if not len(probabilities) or len(probabilities) != len(correct):
        raise OptionsError(
            f"expected probabilities of some words and as many judgements, received "
            f"{len(probabilities)} and {len(correct)}"
        )
    logits = _logit(np.asarray(probabilities, float))
    targets = np.asarray(correct, float)
    slope, bias = _most_likely(logits, targets)
    if slope < 0:  # the network's certainty says nothing here: all words get their share
        slope, bias = 0.0, _most_likely(np.zeros(len(targets)), targets)[1]
    return Calibration(slope=slope, bias=bias)


def _most_likely(
    logits: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Returns slope and bias of the logistic regression, by Newton's method with step halving."""
    inputs = np.stack([logits, np.ones(len(logits))])
    signs = 1.0 - 2.0 * targets
    weights = np.array(_AS_IT_IS)

    def cost(weights: npt.NDArray[np.float64]) -> float:
        prior = 0.5 * _PRIOR * float(np.square(weights - _AS_IT_IS).sum())
        return float(np.logaddexp(0.0, signs * (weights @ inputs)).sum()) + prior

    for _ in range(_MAX_STEPS):
        predicted = _sigmoid(weights @ inputs)
        gradient = inputs @ (predicted - targets) + _PRIOR * (weights - _AS_IT_IS)
        curvature = (inputs * (predicted * (1 - predicted))) @ inputs.T + _PRIOR * np.eye(2)
        change = np.linalg.solve(curvature, gradient)
        while cost(weights - change) > cost(weights) and np.abs(change).max() > _PRECISION:
            change = change / 2
        weights = weights - change
        if np.abs(change).max() <= _PRECISION:
            break
    return float(weights[0]), float(weights[1])


def _logit(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    inside = np.clip(probability, _EXTREME, 1 - _EXTREME)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))  # no overflow at either end
