"""Calibration: recovered from made-up judgements, and harmless where there is nothing to learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.confidence import Calibration, fit_calibration
from asr.errors import OptionsError


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize(("slope", "bias"), [(1.0, 0.0), (0.5, -0.7), (2.0, 0.3)])
def test_the_correction_that_made_the_judgements_is_found(slope: float, bias: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(1.0, 2.0, 40_000)
    correct = rng.random(40_000) < [sigmoid(slope * x + bias) for x in logits]
    found = fit_calibration([sigmoid(x) for x in logits], correct.tolist())
    assert found.slope == pytest.approx(slope, abs=0.06)
    assert found.bias == pytest.approx(bias, abs=0.06)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_any_judgements_give_a_correction_that_keeps_the_order(
    judged: list[tuple[float, bool]], one: float, other: float
) -> None:
    found = fit_calibration([p for p, _ in judged], [right for _, right in judged])
    low, high = sorted((one, other))
    assert 0 <= found(low) <= found(high) <= 1


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=5, max_size=60))
def test_the_fit_is_a_maximum(judged: list[tuple[float, bool]]) -> None:
    """Moving either number a little makes the judgements no likelier (faint prior included)."""
    probabilities, correct = zip(*judged, strict=True)
    found = fit_calibration(probabilities, correct)
    if found.slope == 0:  # held at its bound
        return

    def cost(slope: float, bias: float) -> float:
        total = 0.005 * ((slope - 1) ** 2 + bias**2)
        for p, right in judged:
            x = slope * math.log(p / (1 - p)) + bias
            total += math.log1p(math.exp(-x if right else x))
        return total

    best = cost(found.slope, found.bias)
    for d_slope, d_bias in [(1e-2, 0), (-1e-2, 0), (0, 1e-2), (0, -1e-2)]:
        assert cost(found.slope + d_slope, found.bias + d_bias) >= best - 1e-9


def test_no_correction_changes_nothing() -> None:
    assert [Calibration()(p) for p in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]


def test_nonsense_is_refused() -> None:
    with pytest.raises(OptionsError, match="some words"):
        fit_calibration([], [])
    with pytest.raises(OptionsError, match="received 1 and 2"):
        fit_calibration([0.5], [True, False])
    with pytest.raises(OptionsError, match="slope"):
        Calibration(slope=-1.0)
    with pytest.raises(OptionsError, match="bias"):
        Calibration(bias=math.nan)
