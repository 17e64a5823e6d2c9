"""The sum over all texts against its enumeration, its gradient against differences of that."""

import itertools
import math

import keras
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from models.ctc import CTCTrainer, ctc_loss
from models.denominator import log_denominator, log_text_prob

BLANK = 0
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


def test_one_frame_by_hand() -> None:
    """Even odds over blank and a: half of the paths say nothing, half say "a"."""
    trigram = np.zeros((2, 2, 2), np.float32)
    trigram[0, 0] = [0.2, 0.8]  # at the beginning: the text ends, or a
    trigram[0, 1] = [0.75, 0.25]  # after a
    expected = math.log(0.5 * 0.2 + 0.5 * 0.8 * 0.75)
    assert _log_denominator(np.zeros((1, 2), np.float32), trigram) == pytest.approx(expected)


def test_a_repeat_is_one_token_unless_a_blank_is_between() -> None:
    """A network sure of a a – a says "aa", and one sure of a a a says "a"."""
    trigram = np.zeros((2, 2, 2), np.float32)
    trigram[0, 0], trigram[0, 1], trigram[1, 1] = [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]
    for path, text_prob in (([1, 1, 0, 1], 0.8 * 0.3 * 0.4), ([1, 1, 1, 0], 0.8 * 0.7)):
        sure = np.where(np.eye(2)[path] == 1, 30.0, -30.0).astype(np.float32)
        assert _log_denominator(sure, trigram) == pytest.approx(math.log(text_prob), abs=1e-5)


@settings(max_examples=20)  # each is compiled anew
@given(num_frames=st.integers(1, 6), vocab_size=st.integers(2, 4), seed=st.integers(0, 2**32 - 1))
def test_against_enumeration_of_all_paths(num_frames: int, vocab_size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_frames, vocab_size), scale=2).astype(np.float32)
    trigram = _trigram(rng, vocab_size)
    expected = _by_enumeration(logits, trigram)
    assert _log_denominator(logits, trigram) == pytest.approx(expected, abs=1e-4)


def test_the_gradient_against_differences(rng: np.random.Generator) -> None:
    logits, trigram = rng.normal(size=(4, 3)).astype(np.float32), _trigram(rng, 3)
    expected = np.zeros((4, 3))
    for place in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[place] = 1e-5
        ends = [_by_enumeration(logits + sign * step, trigram) for sign in (1, -1)]
        expected[place] = (ends[0] - ends[1]) / 2e-5
    padded = np.concatenate([logits, rng.normal(size=(2, 3)).astype(np.float32)])[None]
    gradient = _gradient(padded, np.array([4], np.int32), trigram)[0]
    np.testing.assert_allclose(gradient[:4], expected, atol=1e-5)
    assert np.abs(expected).max() > 0.05
    assert not gradient[4:].any()


def test_a_row_does_not_depend_on_its_batch(rng: np.random.Generator) -> None:
    lengths = np.array([9, 4, 40, 0], np.int32)
    logits, trigram = rng.normal(size=(4, 40, 5)).astype(np.float32), _trigram(rng, 5)
    together = ops.convert_to_numpy(log_denominator(logits, lengths, trigram, blank_id=BLANK))
    gradients = _gradient(logits, lengths, trigram)
    for row, length in enumerate(lengths[:3]):
        alone = logits[row : row + 1, :length]
        assert together[row] == pytest.approx(_log_denominator(alone[0], trigram), abs=1e-4)
        expected = _gradient(alone, lengths[row : row + 1], trigram)[0]
        np.testing.assert_allclose(gradients[row, :length], expected, atol=1e-5)
    # Of no frames there is one path, and it says nothing.
    assert together[3] == pytest.approx(np.log(trigram[0, 0, BLANK]), abs=1e-5)


def test_long_rows_stay_finite(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(1, 2000, 4), scale=30).astype(np.float32)
    lengths, trigram = np.array([2000], np.int32), _trigram(rng, 4)
    assert np.isfinite(_log_denominator(logits[0], trigram))
    gradient = _gradient(logits, lengths, trigram)
    assert np.isfinite(gradient).all()
    # What passes through a frame's tokens is all there is, which the softmax takes off again.
    np.testing.assert_allclose(gradient.sum(axis=2), 0.0, atol=1e-3)


def test_a_texts_probability_by_hand() -> None:
    trigram = np.full((3, 3, 3), 0.5, np.float32)
    trigram[0, 0, 1], trigram[0, 1, 2], trigram[1, 2, 2], trigram[2, 2, BLANK] = 0.1, 0.2, 0.3, 0.4
    trigram[0, 1, BLANK] = 0.6
    found = log_text_prob(
        np.array([[1, 2, 2], [1, 2, 2], [2, 2, 2]], np.int32),  # what follows a text is padding
        np.array([3, 1, 0], np.int32),
        trigram,
        blank_id=BLANK,
    )
    expected = np.log([0.1 * 0.2 * 0.3 * 0.4, 0.1 * 0.6, 0.5])
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)


def test_no_text_has_more_than_all_texts_together(rng: np.random.Generator) -> None:
    logits, trigram = rng.normal(size=(1, 12, 4)).astype(np.float32), _trigram(rng, 4)
    everything = _log_denominator(logits[0], trigram)
    for text in ([1], [1, 2, 3], [3, 3, 2, 1]):
        labels, counts = np.array([text], np.int32), np.array([len(text)], np.int32)
        nats = ctc_loss(labels, logits, counts, np.array([12], np.int32), blank_id=BLANK)
        share = log_text_prob(labels, counts, trigram, blank_id=BLANK) - nats
        assert float(ops.convert_to_numpy(share)[0]) < everything


def test_the_loss_is_mixed_of_both_criteria(rng: np.random.Generator) -> None:
    logits, trigram = rng.normal(size=(2, 9, 4)).astype(np.float32), _trigram(rng, 4)
    x = {"features": None, "feature_lengths": np.array([9, 7], np.int32)}
    y = {
        "labels": np.array([[1, 2, 2], [3, 1, 1]], np.int32),
        "label_lengths": np.array([3, 1], np.int32),
    }
    losses = {}
    for share in (0.0, 0.25, 1.0):
        trainer = CTCTrainer(_network(), blank_id=BLANK, mmi_share=share, trigram=trigram)
        losses[share] = float(trainer.compute_loss(x, y, logits))
    assert losses[1.0] < losses[0.0]
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], abs=1e-5)


def test_the_criterion_needs_its_trigram() -> None:
    with pytest.raises(ValueError, match="trigram: expected one"):
        CTCTrainer(_network(), blank_id=BLANK, mmi_share=0.5)


def _network() -> keras.Model:
    return keras.Sequential([keras.Input((None, 4))])


def _trigram(rng: np.random.Generator, vocab_size: int) -> Floats:
    odds = rng.uniform(0.05, 1.0, (vocab_size,) * 3)
    return np.asarray(odds / odds.sum(axis=2, keepdims=True), np.float32)


def _log_denominator(logits: Floats, trigram: Floats) -> float:
    lengths = np.array([len(logits)], np.int32)
    found = log_denominator(logits[None], lengths, trigram, blank_id=BLANK)
    return float(ops.convert_to_numpy(found)[0])


def _gradient(logits: Floats, lengths: npt.NDArray[np.int32], trigram: Floats) -> Floats:
    if keras.backend.backend() == "jax":
        import jax

        total = jax.grad(
            lambda given: log_denominator(given, lengths, trigram, blank_id=BLANK).sum()
        )
        return np.asarray(total(jax.numpy.asarray(logits)))
    import tensorflow as tf

    given = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(log_denominator(given, lengths, trigram, blank_id=BLANK))
    return np.asarray(tape.gradient(total, given))


def _by_enumeration(logits: npt.ArrayLike, trigram: Floats) -> float:
    exponentials = np.exp(np.asarray(logits, np.float64))
    probs: Doubles = exponentials / exponentials.sum(axis=1, keepdims=True)
    num_frames, vocab_size = probs.shape
    total = 0.0
    for path in itertools.product(range(vocab_size), repeat=num_frames):
        text = [token for token, _ in itertools.groupby(path) if token != BLANK]
        history = (BLANK, BLANK, *text, BLANK)
        follows = zip(history, history[1:], history[2:], strict=False)
        text_prob = math.prod(float(trigram[three]) for three in follows)
        total += text_prob * math.prod(probs[frame, token] for frame, token in enumerate(path))
    return math.log(total)
