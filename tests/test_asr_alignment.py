"""Forced alignment against enumeration: every path of a few steps can be written down."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding import Alignment, align_tokens, ctc_log_probability, greedy_decode
from asr.errors import DecodingError

Floats = npt.NDArray[np.float64]
A, B = 1, 2


def random_log_probs(steps: int, vocab: int, seed: int) -> Floats:
    logits = np.random.default_rng(seed).normal(0, 2, (steps, vocab))
    normalised: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return normalised


def sure_of(*path: int, vocab: int = 3) -> Floats:
    probs = np.full((len(path), vocab), 0.1 / (vocab - 1))
    probs[np.arange(len(path)), path] = 0.9
    log_probs: Floats = np.log(probs)
    return log_probs


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def best_by_enumeration(log_probs: Floats, text: tuple[int, ...]) -> float:
    steps, vocab = log_probs.shape
    return max(
        (
            sum(log_probs[t, token] for t, token in enumerate(path))
            for path in itertools.product(range(vocab), repeat=steps)
            if collapse(path) == text
        ),
        default=-np.inf,
    )


def path_of(alignment: Alignment, steps: int) -> tuple[int, ...]:
    path = [0] * steps
    runs = zip(alignment.tokens, alignment.starts, alignment.ends, strict=True)
    for token, start, end in runs:
        path[start:end] = [token] * (end - start)
    return tuple(path)


@given(st.integers(1, 5), st.lists(st.integers(1, 2), max_size=4), st.integers(0, 2**32))
def test_the_alignment_is_the_best_of_all_that_spell_the_text(
    steps: int, text: list[int], seed: int
) -> None:
    log_probs = random_log_probs(steps, 3, seed)
    best = best_by_enumeration(log_probs, tuple(text))
    if best == -np.inf:
        with pytest.raises(DecodingError, match="expected at least"):
            align_tokens(log_probs, text, blank_id=0)
        return
    alignment = align_tokens(log_probs, text, blank_id=0)
    path = path_of(alignment, steps)
    assert collapse(path) == tuple(text)
    assert alignment.log_probability == pytest.approx(best)
    assert sum(log_probs[t, token] for t, token in enumerate(path)) == pytest.approx(best)
    assert best <= ctc_log_probability(log_probs, text, blank_id=0) + 1e-9


def test_runs_and_frames_of_a_path_one_can_read() -> None:
    log_probs = sure_of(0, A, A, 0, A, B, 0)
    log_probs[2, A] = np.log(0.95)
    alignment = align_tokens(log_probs, [A, A, B], blank_id=0)
    assert alignment.starts == (1, 4, 5)
    assert alignment.ends == (3, 5, 6)
    assert alignment.frames == (2, 4, 5)


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 2**32))
def test_the_greedy_text_lies_where_the_greedy_decoder_read_it(
    steps: int, vocab: int, seed: int
) -> None:
    log_probs = random_log_probs(steps, vocab, seed)
    heard = greedy_decode(log_probs, blank_id=0)
    alignment = align_tokens(log_probs, heard.tokens, blank_id=0)
    assert alignment.frames == heard.frames
    assert alignment.log_probability == pytest.approx(heard.log_probability)


def test_no_text_lies_nowhere() -> None:
    alignment = align_tokens(sure_of(0, 0), [], blank_id=0)
    assert alignment.tokens == alignment.starts == alignment.ends == ()
    assert align_tokens(np.empty((0, 3)), [], blank_id=0).log_probability == 0.0


def test_another_blank_than_the_first() -> None:
    log_probs = sure_of(2, 0, 0, 2)
    alignment = align_tokens(log_probs, [0, 0], blank_id=2)
    assert alignment.log_probability == pytest.approx(
        max(
            np.log([0.9, 0.9, 0.05, 0.05]).sum(),  # _ 0 _ 0
            np.log([0.05, 0.05, 0.9, 0.9]).sum(),  # 0 _ 0 _
        )
    )


def test_what_cannot_be_aligned_is_refused() -> None:
    log_probs = sure_of(A, B)
    with pytest.raises(DecodingError, match=r"at least 3 steps .* received 2"):
        align_tokens(log_probs, [A, A], blank_id=0)
    with pytest.raises(DecodingError, match="other than the blank"):
        align_tokens(log_probs, [0], blank_id=0)
    impossible = np.array([[0.0, -np.inf, -np.inf]])
    with pytest.raises(DecodingError, match="allow"):
        align_tokens(impossible, [A], blank_id=0)
