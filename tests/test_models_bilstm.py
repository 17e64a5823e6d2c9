"""The BiLSTM-CTC network: what one utterance gives does not depend on its batch."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models.bilstm import BiLSTMOptions, build_bilstm
from models.ctc import CTCTrainer, ctc_loss

F, V = 5, 4
LENGTHS = np.array([9, 4, 6], np.int32)
LABELS = [[1, 2, 2], [3], [2, 1]]

NETWORKS = {
    "default": BiLSTMOptions(units=6, num_layers=2),
    "gru": BiLSTMOptions(units=6, num_layers=1, cell="gru"),
    "rnn": BiLSTMOptions(units=6, num_layers=1, cell="rnn"),
    "all parts": BiLSTMOptions(
        units=6, num_layers=2, input_units=12, layer_norm=True, residual=True
    ),
    "stock": BiLSTMOptions(units=6, num_layers=2, implementation="keras"),
    "one way": BiLSTMOptions(units=6, num_layers=2, bidirectional=False),
    "grid": BiLSTMOptions(units=6, num_layers=2, cell="grid"),
}


@pytest.fixture(params=NETWORKS, ids=str)
def network(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_bilstm(NETWORKS[request.param], num_features=F, vocab_size=V)


def test_a_batch_is_its_items(network: keras.Model, rng: np.random.Generator) -> None:
    features = rng.normal(size=(3, 9, F)).astype(np.float32)  # padding is noise, not zeros
    together = _logits(network, features, LENGTHS)
    assert together.shape == (3, 9, V)
    assert together.dtype == np.float32
    losses = _losses(together, LENGTHS, LABELS)
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone = _logits(network, features[one, :length], LENGTHS[one])
        np.testing.assert_allclose(together[row, :length], alone[0], atol=1e-4)
        loss = _losses(alone, LENGTHS[one], LABELS[one])
        assert losses[row] == pytest.approx(loss[0], abs=1e-4)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow's tape"
)
def test_a_batch_has_the_gradients_of_its_items(
    network: keras.Model, rng: np.random.Generator
) -> None:
    features = rng.normal(size=(3, 9, F)).astype(np.float32)
    together = _gradients(network, features, LENGTHS, LABELS)
    alone = [
        _gradients(network, features[row : row + 1, :length], LENGTHS[row : row + 1], [LABELS[row]])
        for row, length in enumerate(LENGTHS)
    ]
    assert len(together) == len(network.trainable_variables)
    for position, gradient in enumerate(together):
        np.testing.assert_allclose(
            gradient, sum(item[position] for item in alone), atol=1e-4, rtol=1e-4
        )


def test_saved_and_loaded_it_is_the_same(
    network: keras.Model, rng: np.random.Generator, tmp_path: Path
) -> None:
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    features = rng.normal(size=(3, 9, F)).astype(np.float32)
    np.testing.assert_array_equal(
        _logits(network, features, LENGTHS), _logits(loaded, features, LENGTHS)
    )


def test_both_implementations_are_one_network(rng: np.random.Generator) -> None:
    fast, stock = (
        build_bilstm(NETWORKS[name], num_features=F, vocab_size=V) for name in ("default", "stock")
    )
    stock.set_weights(fast.get_weights())
    features = rng.normal(size=(3, 9, F)).astype(np.float32)
    ours, theirs = (_logits(network, features, LENGTHS) for network in (fast, stock))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(ours[row, :length], theirs[row, :length], atol=1e-5)


def test_parameters_are_those_of_the_formula() -> None:
    """A direction of an LSTM has 4 · units · (inputs + units + 1) weights."""
    network = build_bilstm(BiLSTMOptions(units=6, num_layers=2), num_features=F, vocab_size=V)
    first, second = 2 * 4 * 6 * (F + 6 + 1), 2 * 4 * 6 * (12 + 6 + 1)
    assert network.count_params() == first + second + (12 + 1) * V


def test_training_lowers_the_loss(rng: np.random.Generator) -> None:
    keras.utils.set_random_seed(5)
    network = build_bilstm(
        BiLSTMOptions(units=8, num_layers=1, dropout=0.1), num_features=F, vocab_size=V
    )
    trainer = CTCTrainer(network, blank_id=0)
    trainer.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    x = {"features": rng.normal(size=(3, 9, F)).astype(np.float32), "feature_lengths": LENGTHS}
    y = _targets(LABELS)
    losses = [float(trainer.train_on_batch(x, y)) for _ in range(30)]
    trainer.reset_metrics()
    assert float(trainer.test_on_batch(x, y)) < 0.5 * losses[0]


def test_the_trained_loss_is_nats_a_label(rng: np.random.Generator) -> None:
    network = build_bilstm(NETWORKS["default"], num_features=F, vocab_size=V)
    trainer = CTCTrainer(network, blank_id=0)
    trainer.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    features = rng.normal(size=(3, 9, F)).astype(np.float32)
    loss = trainer.test_on_batch(
        {"features": features, "feature_lengths": LENGTHS}, _targets(LABELS)
    )
    losses = _losses(_logits(network, features, LENGTHS), LENGTHS, LABELS)
    assert float(loss) == pytest.approx(losses.sum() / 6, abs=1e-4)  # 3 + 1 + 2 labels


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cell": "lstn"}, "lstm"),
        ({"units": 0}, "at least 1"),
        ({"num_layers": 0}, "at least 1"),
        ({"input_units": -1}, "at least 0"),
        ({"dropout": 1.0}, "below 1"),
        ({"precision": "float16"}, "bfloat16"),
        ({"precision": "bfloat16", "cell": "gru"}, "float32"),
        ({"precision": "bfloat16", "bidirectional": False}, "lstm one way"),
        ({"implementation": "keras", "cell": "grid"}, "no layer of the cell grid"),
        ({"num_modules": 0}, "at least 1"),
        ({"cell": "clockwork", "units": 6}, "num_modules: expected a divisor of 6"),
        ({"cell": "clockwork", "units": 64, "num_modules": 32}, "at most 31, received 32"),
        ({"cell": "attention", "units": 6, "num_heads": 5}, "num_heads: expected a divisor of 12"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BiLSTMOptions(**wrong)


def _logits(network: keras.Model, features: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    outputs = network({"features": features, "feature_lengths": lengths}, training=False)
    return np.asarray(ops.convert_to_numpy(outputs))


def _targets(labels: list[list[int]]) -> dict[str, np.ndarray]:
    padded = np.zeros((len(labels), max(map(len, labels))), np.int32)
    for row, text in enumerate(labels):
        padded[row, : len(text)] = text
    return {
        "labels": padded,
        "label_lengths": np.array([len(text) for text in labels], np.int32),
    }


def _losses(logits: np.ndarray, lengths: np.ndarray, labels: list[list[int]]) -> np.ndarray:
    y = _targets(labels)
    losses = ctc_loss(y["labels"], logits, y["label_lengths"], lengths, blank_id=0)
    return np.asarray(ops.convert_to_numpy(losses))


def _gradients(
    network: keras.Model, features: np.ndarray, lengths: np.ndarray, labels: list[list[int]]
) -> list[np.ndarray]:
    import tensorflow as tf

    y = _targets(labels)
    with tf.GradientTape() as tape:
        logits = network({"features": features, "feature_lengths": lengths}, training=False)
        losses = ctc_loss(y["labels"], logits, y["label_lengths"], lengths, blank_id=0)
        loss = tf.reduce_sum(losses)
    return [gradient.numpy() for gradient in tape.gradient(loss, network.trainable_variables)]
