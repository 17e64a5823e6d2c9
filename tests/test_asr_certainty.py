"""How sure a network is of a text, step by step: against every path there is."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from asr.certainty import text_log_probs, word_probability
from asr.decoding import align_tokens, greedy_decode

BLANK = 0


def random_log_probs(num_steps: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((num_steps, 4))
    found: npt.NDArray[np.float64] = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found


@for_all(st.integers(1, 30), st.integers(0, 1000))
def test_greedy_text_is_given_all_there_is(num_steps: int, seed: int) -> None:
    log_probs = random_log_probs(num_steps, seed)
    best = greedy_decode(log_probs, blank_id=BLANK)
    found = text_log_probs(log_probs, best.tokens, best.frames, blank_id=BLANK)
    np.testing.assert_array_equal(found, log_probs.max(axis=1))


@for_all(st.integers(0, 1000))
def test_no_path_through_the_frames_is_given_more(seed: int) -> None:
    """And one is given just that, where neighbours differ: it may change only between frames."""
    log_probs, tokens = random_log_probs(6, seed), (1, 3, 2)
    frames = align_tokens(log_probs, tokens, blank_id=BLANK).frames
    found = text_log_probs(log_probs, tokens, frames, blank_id=BLANK)
    best = max(
        log_probs[range(6), path].sum()
        for path in itertools.product(range(4), repeat=6)
        if tuple(key for key, _ in itertools.groupby(path) if key != BLANK) == tokens
        and all(path[frame] == token for frame, token in zip(frames, tokens, strict=True))
    )
    assert found.sum() >= best - 1e-12
    np.testing.assert_array_equal(found[list(frames)], log_probs[list(frames), list(tokens)])


def test_no_text_is_given_its_blanks() -> None:
    log_probs = random_log_probs(5, 0)
    found = text_log_probs(log_probs, (), (), blank_id=BLANK)
    np.testing.assert_array_equal(found, log_probs[:, BLANK])


def test_what_might_have_been_said_between_letters_counts() -> None:
    """Another letter, as sure as the word's own, between two of them."""
    probs = np.full((5, 4), 0.01)
    probs[[0, 1, 2, 3, 4], [1, 0, 0, 0, 2]] = 0.97
    sure = text_log_probs(np.log(probs), (1, 2), (0, 4), blank_id=BLANK)
    assert word_probability(sure, [0, 4]) == pytest.approx(0.97**2.5)
    probs[2] = [0.01, 0.01, 0.01, 0.97]
    unsure = text_log_probs(np.log(probs), (1, 2), (0, 4), blank_id=BLANK)
    assert word_probability(unsure, [0, 4]) == pytest.approx(math.sqrt(0.97**4 * 0.01))
