"""The CTC loss against explicit enumeration of every path, and free of padding."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from models.ctc import CTCTrainer, ctc_loss, divergence

BLANK = 0


def test_against_enumeration_of_all_paths(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(4, 3)).astype(np.float32)
    for labels in ([1], [1, 2], [1, 1], [2, 1, 2]):
        expected = -np.log(_probability_by_enumeration(logits, labels))
        assert _loss(labels, logits) == pytest.approx(expected, abs=1e-4)


def test_two_frames_by_hand() -> None:
    """Even odds over blank, a, b: the paths of "a" are aa, a–, –a, so p = 3/9."""
    assert _loss([1], np.zeros((2, 3), np.float32)) == pytest.approx(-np.log(3 / 9), abs=1e-5)


def test_a_repeat_needs_a_blank_between() -> None:
    """Only a–a spells "aa" in three frames, so p = 1/27."""
    assert _loss([1, 1], np.zeros((3, 3), np.float32)) == pytest.approx(np.log(27), abs=1e-5)


def test_a_row_does_not_depend_on_its_padding(rng: np.random.Generator) -> None:
    rows = [([1, 2, 2], 9), ([3], 4), ([2, 1, 3, 1], 12)]
    logits = rng.normal(size=(3, 12, 4)).astype(np.float32)  # padding is noise, not zeros
    labels = np.full((3, 5), 3, np.int32)  # padding is a label, not the blank
    for row, (text, _) in enumerate(rows):
        labels[row, : len(text)] = text
    together = ops.convert_to_numpy(
        ctc_loss(
            labels,
            logits,
            np.array([len(text) for text, _ in rows], np.int32),
            np.array([length for _, length in rows], np.int32),
            blank_id=BLANK,
        )
    )
    alone = [_loss(text, logits[row, :length]) for row, (text, length) in enumerate(rows)]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_fast_path_equals_keras_ops(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(4, 30, 6)).astype(np.float32)
    labels = rng.integers(1, 6, size=(4, 8)).astype(np.int32)
    label_lengths = np.array([8, 1, 5, 3], np.int32)
    logit_lengths = np.array([30, 17, 30, 9], np.int32)
    ours = ctc_loss(labels, logits, label_lengths, logit_lengths, blank_id=BLANK)
    # The dense op takes padding labels for labels unless they are the blank.
    dense = np.where(np.arange(8) < label_lengths[:, None], labels, BLANK)
    theirs = ops.ctc_loss(dense, logits, label_lengths, logit_lengths, mask_index=BLANK)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), atol=1e-4, rtol=1e-5
    )


def test_an_empty_text_is_all_blanks(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(2, 3)).astype(np.float32)
    expected = -np.sum(np.log(_softmax(logits)[:, BLANK]))
    labels = np.zeros((1, 1), np.int32)
    lengths = np.array([0], np.int32), np.array([2], np.int32)
    loss = ctc_loss(labels, logits[None], *lengths, blank_id=BLANK)
    assert float(ops.convert_to_numpy(loss)[0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow's tape"
)
def test_padding_gets_no_gradient(rng: np.random.Generator) -> None:
    import tensorflow as tf

    logits = tf.constant(rng.normal(size=(2, 6, 4)), tf.float32)
    labels, label_lengths = tf.constant([[1, 2], [3, 3]]), tf.constant([2, 1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(
            ctc_loss(labels, logits, label_lengths, tf.constant([6, 3]), blank_id=BLANK)
        )
    gradient = tape.gradient(loss, logits).numpy()
    assert np.abs(gradient[1, 3:]).max() == 0.0
    assert np.abs(gradient[1, :3]).min() > 0.0


def _loss(labels: list[int], logits: np.ndarray) -> float:
    loss = ctc_loss(
        np.array([labels], np.int32),
        logits[None],
        np.array([len(labels)], np.int32),
        np.array([len(logits)], np.int32),
        blank_id=BLANK,
    )
    return float(ops.convert_to_numpy(loss)[0])


def _probability_by_enumeration(logits: np.ndarray, labels: list[int]) -> float:
    probabilities = _softmax(logits)
    frames, tokens = probabilities.shape
    return sum(
        float(np.prod([probabilities[frame, token] for frame, token in enumerate(path)]))
        for path in itertools.product(range(tokens), repeat=frames)
        if [token for token, _ in itertools.groupby(path) if token != BLANK] == labels
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def test_divergence_is_the_sum_over_valid_frames_alone(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(3, 7, 4)).astype(np.float32)
    guides = np.log(rng.dirichlet(np.ones(4), size=(3, 7)).astype(np.float32))
    lengths = np.array([7, 4, 0], np.int32)
    received = ops.convert_to_numpy(divergence(guides, logits, lengths))
    for row, length in enumerate(lengths):
        expected = 0.0
        for frame in range(length):
            q = np.exp(logits[row, frame]) / np.exp(logits[row, frame]).sum()
            p = np.exp(guides[row, frame])
            expected += float(np.sum(p * np.log(p / q)))
        assert received[row] == pytest.approx(expected, abs=1e-4)
    same = ops.convert_to_numpy(divergence(guides, guides + 3.0, lengths))
    np.testing.assert_allclose(same, 0.0, atol=1e-5)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_teachers_share_of_the_loss(rng: np.random.Generator, share: float) -> None:
    network = keras.Sequential([keras.layers.Input((None, 2)), keras.layers.Dense(3)])
    logits = rng.normal(size=(2, 5, 3)).astype(np.float32)
    guides = np.log(rng.dirichlet(np.ones(3), size=(2, 5)).astype(np.float32))
    x = {"feature_lengths": np.array([5, 3], np.int32)}
    y = {
        "labels": np.array([[1, 2], [2, 0]], np.int32),
        "label_lengths": np.array([2, 1], np.int32),
        "guides": guides,
    }
    trainer = CTCTrainer(network, blank_id=BLANK, teacher_share=share)
    losses = [_loss([1, 2], logits[0]), _loss([2], logits[1, :3])]
    distances = ops.convert_to_numpy(divergence(guides, logits, x["feature_lengths"]))
    expected = ((1 - share) * sum(losses) + share * distances.sum()) / 3
    assert float(trainer.compute_loss(x=x, y=y, y_pred=logits)) == pytest.approx(expected, rel=1e-4)
