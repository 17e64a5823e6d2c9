"""Passages: everything once, cut in pauses."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.cuts import LIVE, RECORDING, CutOptions
from asr.passages import Passage, passages

Floats = npt.NDArray[np.float32]
RATE, STEP = 100, 5  # a step is 50 ms
BLANK = 0
WHOLE = CutOptions(passage_s=36.0)


def spoken(num_steps: int, *pauses: tuple[int, int]) -> Floats:
    """Log-probabilities of a talker who is silent between these steps alone."""
    blank = np.full(num_steps, 0.1)
    for start, end in pauses:
        blank[start:end] = 0.99
    log_probs: Floats = np.log(np.stack([blank, 1 - blank], axis=1)).astype(np.float32)
    return log_probs


def cut(
    log_probs: Floats, part: int, num_samples: int | None = None, cuts: CutOptions = RECORDING
) -> list[Passage]:
    size = len(log_probs) * STEP if num_samples is None else num_samples
    samples = np.arange(size, dtype=np.float32)
    parts = [
        (log_probs[at : at + part], samples[at * STEP : (at + part) * STEP])
        for at in range(0, len(log_probs), part)
    ]
    return list(passages(parts, blank_id=BLANK, step=STEP, sample_rate=RATE, cuts=cuts))


@given(
    st.integers(0, 4_000),
    st.integers(1, 1_500),
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 60)), max_size=20),
)
def test_passages_joined_are_the_whole(
    num_steps: int, part: int, pauses: list[tuple[int, int]]
) -> None:
    log_probs = spoken(num_steps, *((start, start + length) for start, length in pauses))
    found = cut(log_probs, part)
    assert [p.first_step for p in found] == [
        sum(len(q.log_probs) for q in found[:n]) for n in range(len(found))
    ]
    joined = np.concatenate([p.log_probs for p in found] or [log_probs])
    np.testing.assert_array_equal(joined, log_probs)
    samples = np.concatenate([p.samples for p in found] or [np.zeros(0, np.float32)])
    np.testing.assert_array_equal(samples, np.arange(num_steps * STEP))
    for passage in found:
        assert passage.samples[0] == passage.first_step * STEP
    assert all(len(p.log_probs) * STEP <= RECORDING.longest_passage_s * RATE for p in found)


@pytest.mark.parametrize(("part", "cuts"), [(480, WHOLE), (120, RECORDING), (60, RECORDING)])
def test_every_pause_ends_a_passage_that_is_long_enough(part: int, cuts: CutOptions) -> None:
    # Those at 20 and 130 come too soon, that at 340 is too short.
    pauses = [(20, 30), (100, 110), (130, 140), (200, 230), (340, 345), (620, 640)]
    found = cut(spoken(1000, *pauses), part=part, cuts=cuts)
    assert [p.first_step for p in found] == [0, 105, 215, 630]


def test_a_recording_that_is_not_long_is_one_passage() -> None:
    log_probs = spoken(round(WHOLE.passage_s * RATE / STEP), (100, 110), (200, 230))
    assert len(cut(log_probs, part=100, cuts=WHOLE)) == 1
    assert len(cut(log_probs, part=100)) == 3


def test_without_a_pause_the_most_is_what_the_cuts_say() -> None:
    silent = cut(spoken(1000), part=120, cuts=LIVE)
    assert max(len(p.log_probs) for p in silent) <= LIVE.longest_passage_s * RATE / STEP


def test_without_a_pause_a_minute_is_the_most() -> None:
    lengths = [len(p.log_probs) for p in cut(spoken(5000), part=100)]
    assert max(lengths) <= RECORDING.longest_passage_s * RATE / STEP


def test_a_short_recording_is_one_passage_with_all_its_samples() -> None:
    (found,) = cut(spoken(50, (10, 30)), part=50, num_samples=247)
    assert len(found.samples) == 247
    assert list(pairwise([found.first_step, len(found.log_probs)])) == [(0, 50)]


def test_nothing_has_no_passages() -> None:
    assert list(passages([], blank_id=0, step=STEP, sample_rate=RATE)) == []
