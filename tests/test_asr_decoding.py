"""Decoders against enumeration: every alignment of a few steps can be written down."""

import itertools
import math
import operator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asr.decoding import (
    DecodingOptions,
    Hypothesis,
    beam_search,
    ctc_log_probability,
    decode,
    greedy_decode,
)
from asr.errors import DecodingError, OptionsError
from asr.options import from_table, to_table

Floats = npt.NDArray[np.float64]
A, B = 1, 2
SMALL = [(steps, vocab) for steps in range(1, 6) for vocab in (2, 3, 4)]
WIDE = 4**6  # more than the different texts of 5 steps


def log_softmax(logits: Floats) -> Floats:
    normalised: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return normalised


def random_log_probs(steps: int, vocab: int, seed: int = 0, sharpness: float = 2.0) -> Floats:
    rng = np.random.default_rng([seed, steps, vocab])
    return log_softmax(rng.normal(0, sharpness, (steps, vocab)))


def spelling(*path: int, vocab: int = 3, sure: float = 0.9) -> Floats:
    """Log-probabilities whose best path is the one given."""
    probs = np.full((len(path), vocab), (1 - sure) / (vocab - 1))
    probs[np.arange(len(path)), path] = sure
    log_probs: Floats = np.log(probs)
    return log_probs


def collapse(path: tuple[int, ...], blank_id: int) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != blank_id)


def enumerate_texts(log_probs: Floats, blank_id: int) -> dict[tuple[int, ...], float]:
    """Log-probability of every text, by writing down every alignment."""
    steps, vocab = log_probs.shape
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(vocab), repeat=steps):
        p = math.exp(sum(log_probs[t, token] for t, token in enumerate(path)))
        text = collapse(path, blank_id)
        sums[text] = sums.get(text, 0.0) + p
    return {text: math.log(p) if p else -math.inf for text, p in sums.items()}


# Greedy


def test_greedy_collapses_runs_and_keeps_letters_a_blank_divides() -> None:
    result = greedy_decode(spelling(A, A, 0, A, B, B), blank_id=0)
    assert result.tokens == (A, A, B)
    assert result.frames == (0, 3, 4)  # the first of equally probable steps
    assert result.log_probability == pytest.approx(6 * math.log(0.9))


def test_greedy_puts_a_token_where_its_run_peaks() -> None:
    probs = np.array([[0.4, 0.6, 0], [0.1, 0.9, 0], [0.3, 0.7, 0], [0.8, 0.1, 0.1], [0, 0.2, 0.8]])
    with np.errstate(divide="ignore"):
        result = greedy_decode(np.log(probs), blank_id=0)
    assert (result.tokens, result.frames) == ((A, B), (1, 4))


def test_greedy_knows_any_blank() -> None:
    assert greedy_decode(spelling(A, 2, A, 0, 0, 2), blank_id=2).tokens == (A, A, 0)


@pytest.mark.parametrize(("steps", "vocab"), SMALL)
def test_greedy_takes_the_best_of_all_alignments(steps: int, vocab: int) -> None:
    log_probs = random_log_probs(steps, vocab)
    paths = itertools.product(range(vocab), repeat=steps)
    best = max(paths, key=lambda path: sum(log_probs[t, c] for t, c in enumerate(path)))
    result = greedy_decode(log_probs, blank_id=0)
    assert result.tokens == collapse(best, 0)
    assert result.log_probability == pytest.approx(
        sum(log_probs[t, c] for t, c in enumerate(best)), abs=1e-9
    )


# Beam search


def test_beam_adds_alignments_that_greedy_cannot_see() -> None:
    # Best path: blank blank, 0.36. But a, aa as one, a- and -a together make 0.64.
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert greedy_decode(log_probs, blank_id=0).tokens == ()
    first, second = beam_search(log_probs, blank_id=0, beam_width=4)
    assert (first.tokens, second.tokens) == ((A,), ())
    assert math.exp(first.log_probability) == pytest.approx(0.64)
    assert math.exp(second.log_probability) == pytest.approx(0.36)


@pytest.mark.parametrize(("steps", "vocab"), SMALL)
@pytest.mark.parametrize("blank_id", [0, 1])
def test_wide_beam_equals_enumeration(steps: int, vocab: int, blank_id: int) -> None:
    log_probs = random_log_probs(steps, vocab)
    expected = enumerate_texts(log_probs, blank_id)
    found = beam_search(log_probs, blank_id=blank_id, beam_width=WIDE)
    assert [h.tokens for h in found] == sorted(expected, key=lambda text: -expected[text])
    for hypothesis in found:
        assert hypothesis.log_probability == pytest.approx(expected[hypothesis.tokens], abs=1e-9)


def test_probabilities_of_all_texts_add_up_to_one() -> None:
    found = beam_search(random_log_probs(5, 4), blank_id=0, beam_width=WIDE)
    assert sum(math.exp(h.log_probability) for h in found) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_wide_beam_scores_its_text_as_the_forward_algorithm_does(seed: int) -> None:
    log_probs = random_log_probs(7, 4, seed)
    for hypothesis in beam_search(log_probs, blank_id=0, beam_width=100_000, count=50):
        exact = ctc_log_probability(log_probs, hypothesis.tokens, blank_id=0)
        assert hypothesis.log_probability == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_narrow_beam_never_claims_more_than_the_text_has(seed: int) -> None:
    log_probs = random_log_probs(20, 5, seed)
    for width in (1, 2, 8):
        found = beam_search(log_probs, blank_id=0, beam_width=width)
        assert 1 <= len(found) <= width
        assert found == sorted(found, key=lambda h: -h.log_probability)
        assert len({h.tokens for h in found}) == len(found)
        for h in found:
            exact = ctc_log_probability(log_probs, h.tokens, blank_id=0)
            assert h.log_probability <= exact + 1e-9


def test_beam_of_one_spells_what_is_certain() -> None:
    log_probs = spelling(A, A, 0, A, B, B, sure=0.99)
    (only,) = beam_search(log_probs, blank_id=0, beam_width=1)
    assert (only.tokens, only.frames) == ((A, A, B), (0, 3, 4))


@pytest.mark.parametrize("seed", range(10))
def test_beam_and_greedy_place_the_same_text_at_the_same_steps(seed: int) -> None:
    log_probs = random_log_probs(6, 3, seed)
    greedy = greedy_decode(log_probs, blank_id=0)
    texts = {h.tokens: h for h in beam_search(log_probs, blank_id=0, beam_width=WIDE)}
    assert texts[greedy.tokens].frames == greedy.frames


@pytest.mark.parametrize("seed", range(10))
def test_wide_beam_places_tokens_as_the_best_alignment_does(seed: int) -> None:
    log_probs = random_log_probs(5, 3, seed)
    best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
    for path in itertools.product(range(3), repeat=5):
        score = sum(log_probs[t, token] for t, token in enumerate(path))
        runs = itertools.groupby(enumerate(path), key=operator.itemgetter(1))
        peaks = [max(run, key=log_probs.__getitem__) for _, run in runs]
        frames = tuple(frame for frame, token in peaks if token)
        text = collapse(path, 0)
        best[text] = max(best.get(text, (-math.inf, ())), (score, frames))
    found = beam_search(log_probs, blank_id=0, beam_width=WIDE)
    assert {h.tokens: h.frames for h in found} == {text: place for text, (_, place) in best.items()}


def test_unlikely_tokens_begin_nothing() -> None:
    log_probs = spelling(A, 0, A, B, vocab=4, sure=0.94)  # the others: 0.02 each
    pruned = beam_search(log_probs, blank_id=0, beam_width=50, min_token_log_prob=math.log(0.05))
    full = beam_search(log_probs, blank_id=0, beam_width=50)
    assert pruned[0].tokens == full[0].tokens == (A, A, B)
    assert {token for h in pruned for token in h.tokens} == {A, B}
    assert {token for h in full for token in h.tokens} == {A, B, 3}


def test_pruning_never_leaves_a_step_without_its_best_token() -> None:
    log_probs = np.log(np.full((2, 4), 0.25))
    log_probs[0] += [-1, 0, -1, -1]
    found = beam_search(log_probs, blank_id=0, beam_width=50, min_token_log_prob=0.0)
    assert (A,) in [h.tokens for h in found]


def test_equal_texts_come_in_a_fixed_order() -> None:
    log_probs = np.log(np.full((1, 4), 0.25))
    found = beam_search(log_probs, blank_id=0, beam_width=3)
    assert [h.tokens for h in found] == [(), (1,), (2,)]


def test_impossible_steps_leave_the_empty_text() -> None:
    log_probs = np.full((3, 4), -np.inf)
    empty = Hypothesis(tokens=(), frames=(), log_probability=-math.inf)
    assert beam_search(log_probs, blank_id=0, beam_width=4) == [empty]
    assert greedy_decode(log_probs, blank_id=0) == empty
    assert ctc_log_probability(log_probs, [], blank_id=0) == -math.inf


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 12), st.integers(1, 5)),
        elements=st.one_of(st.floats(-40, 0, width=32), st.just(-np.inf)),
    ),
    st.integers(1, 12),
)
def test_any_input_gives_a_consistent_hypothesis(log_probs: Floats, beam_width: int) -> None:
    steps, vocab = log_probs.shape
    found = beam_search(log_probs, blank_id=0, beam_width=beam_width)
    for h in [greedy_decode(log_probs, blank_id=0), *found]:
        assert len(h.tokens) == len(h.frames) <= steps
        assert all(0 < token < vocab for token in h.tokens)
        assert all(a < b for a, b in itertools.pairwise((-1, *h.frames, steps)))
        exact = ctc_log_probability(log_probs, h.tokens, blank_id=0)
        assert h.log_probability <= min(exact * (1 - 1e-9) + 1e-9, 0)


# The forward algorithm


@pytest.mark.parametrize(("steps", "vocab"), SMALL)
def test_forward_algorithm_equals_enumeration(steps: int, vocab: int) -> None:
    log_probs = random_log_probs(steps, vocab, seed=1)
    for text, expected in enumerate_texts(log_probs, vocab - 1).items():
        score = ctc_log_probability(log_probs, text, blank_id=vocab - 1)
        assert score == pytest.approx(expected, abs=1e-9)


def test_forward_algorithm_needs_a_step_between_equal_letters() -> None:
    log_probs = random_log_probs(2, 3)
    assert ctc_log_probability(log_probs, [A, A], blank_id=0) == -math.inf
    assert ctc_log_probability(log_probs, [A, B], blank_id=0) == pytest.approx(
        log_probs[0, A] + log_probs[1, B]
    )


@pytest.mark.parametrize("tokens", [[0], [3], [-1], [A, 0, B]])
def test_forward_algorithm_refuses_tokens_outside_the_vocabulary(tokens: list[int]) -> None:
    with pytest.raises(DecodingError, match="expected tokens other than the blank 0"):
        ctc_log_probability(random_log_probs(4, 3), tokens, blank_id=0)


# What is let in


def test_zero_steps_spell_nothing_for_certain() -> None:
    nothing = np.zeros((0, 5), dtype=np.float32)
    empty = Hypothesis(tokens=(), frames=(), log_probability=0.0)
    assert greedy_decode(nothing, blank_id=0) == empty
    assert beam_search(nothing, blank_id=0, beam_width=4) == [empty]
    assert ctc_log_probability(nothing, [], blank_id=0) == 0
    assert ctc_log_probability(nothing, [A], blank_id=0) == -math.inf


@pytest.mark.parametrize(
    ("log_probs", "message"),
    [
        (np.zeros(4), r"shape \[num_steps, vocab_size\], received float64 of shape \[4\]"),
        (np.zeros((1, 2, 3)), r"received float64 of shape \[1, 2, 3\]"),
        (np.array([["a", "b"]]), "received <U1"),
        (np.array([[-1.0, -1.0], [-1.0, np.nan]]), "received nan at step 1, token 1"),
        (np.array([[-1.0, 0.2]]), "at most 0, received 0.2 at step 0, token 1"),
        (np.array([[-1.0, np.inf]]), "received inf"),
        (np.zeros((3, 0)), "blank_id within a vocabulary of 0, received 0"),
    ],
)
def test_what_is_no_log_probability_is_refused(
    log_probs: npt.NDArray[np.generic], message: str
) -> None:
    for attempt in (
        lambda: greedy_decode(log_probs, blank_id=0),
        lambda: beam_search(log_probs, blank_id=0, beam_width=2),
        lambda: ctc_log_probability(log_probs, [], blank_id=0),
    ):
        with pytest.raises(DecodingError, match=message):
            attempt()


def test_float_rounding_is_let_in_and_rounded_away() -> None:
    log_probs = np.array([[5e-5, -12.0]], dtype=np.float32)
    assert greedy_decode(log_probs, blank_id=0).log_probability == 0
    assert ctc_log_probability(log_probs, [], blank_id=0) == 0


def test_a_blank_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(DecodingError, match="blank_id within a vocabulary of 3, received 3"):
        greedy_decode(spelling(A, B), blank_id=3)


def test_a_beam_of_nothing_is_refused() -> None:
    with pytest.raises(DecodingError, match="beam_width of at least 1, received 0"):
        beam_search(spelling(A, B), blank_id=0, beam_width=0)


# Options


def test_options_choose_the_decoder() -> None:
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert decode(log_probs, DecodingOptions(), blank_id=0).tokens == ()
    assert decode(log_probs, DecodingOptions(method="beam"), blank_id=0).tokens == (A,)
    narrow = DecodingOptions(method="beam", min_token_log_prob=math.log(0.5))
    assert decode(log_probs, narrow, blank_id=0).tokens == ()


@pytest.mark.parametrize(
    "bad",
    [{"beam_width": 0}, {"min_token_log_prob": 0.5}, {"min_token_log_prob": math.nan}],
)
def test_senseless_options_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(OptionsError, match=f"decoding: expected {next(iter(bad))}"):
        from_table(DecodingOptions, bad, where="decoding")


@pytest.mark.parametrize("floor", [-math.inf, -7.0])
def test_options_survive_a_table(floor: float) -> None:
    options = DecodingOptions(method="beam", beam_width=3, min_token_log_prob=floor)
    assert from_table(DecodingOptions, to_table(options), where="decoding") == options
