"""The bidirectional recurrent layer: exact for every row's own length, on every path."""

import keras
import numpy as np
import pytest
from keras import ops

from models.recurrent import BidirectionalRecurrent, reverse_by_length

CELLS = ("lstm", "gru", "rnn")
STOCK = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}


def test_rows_are_reversed_within_their_lengths() -> None:
    rows = np.array([[1, 2, 3, 0], [4, 5, 6, 7], [8, 0, 0, 0]], np.float32)[:, :, None]
    reversed_rows = ops.convert_to_numpy(reverse_by_length(rows, np.array([3, 4, 1], np.int32)))
    assert reversed_rows[:, :, 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [8, 0, 0, 0]]


def test_reversing_twice_gives_the_rows_back(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(5, 9, 3)).astype(np.float32)
    lengths = np.array([0, 1, 5, 8, 9], np.int32)
    twice = reverse_by_length(reverse_by_length(rows, lengths), lengths)
    np.testing.assert_array_equal(ops.convert_to_numpy(twice), rows)


@pytest.mark.parametrize("cell", CELLS)
def test_equals_keras_bidirectional_on_rows_of_full_length(
    cell: str, rng: np.random.Generator
) -> None:
    stock = keras.layers.Bidirectional(STOCK[cell](4, return_sequences=True))
    sequences = rng.normal(size=(3, 7, 5)).astype(np.float32)
    expected = ops.convert_to_numpy(stock(sequences))
    ours = _layer(cell, sequences)
    ours.set_weights(stock.get_weights())  # the same weights, in the same order
    outputs = ops.convert_to_numpy(ours(sequences, np.full(3, 7, np.int32)))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("implementation", ["auto", "keras"])
def test_a_row_does_not_depend_on_its_padding(
    cell: str, implementation: str, rng: np.random.Generator
) -> None:
    lengths = np.array([7, 1, 4], np.int32)
    sequences = rng.normal(size=(3, 7, 5)).astype(np.float32)  # padding is noise, not zeros
    layer = _layer(cell, sequences, implementation)
    together = ops.convert_to_numpy(layer(sequences, lengths))
    for row, length in enumerate(lengths):
        alone = layer(sequences[row : row + 1, :length], lengths[row : row + 1])
        np.testing.assert_allclose(
            together[row, :length], ops.convert_to_numpy(alone)[0], atol=1e-5
        )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the fast path is TensorFlow's")
def test_the_fast_path_has_keras_outputs_and_gradients(rng: np.random.Generator) -> None:
    import tensorflow as tf

    sequences = tf.constant(rng.normal(size=(3, 11, 5)), tf.float32)
    lengths = tf.constant([11, 2, 6])
    towards = tf.constant(rng.normal(size=(3, 11, 8)), tf.float32)
    valid = tf.sequence_mask(lengths, 11, tf.float32)[:, :, None]

    def outputs_and_gradients(implementation: str) -> tuple[np.ndarray, list[np.ndarray]]:
        layer = _layer("lstm", sequences.numpy(), implementation)
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(sequences)
            outputs = layer(sequences, lengths) * valid
            loss = tf.reduce_sum(outputs * towards)
        gradients = tape.gradient(loss, [sequences, *layer.trainable_variables])
        return outputs.numpy(), [gradient.numpy() for gradient in gradients]

    weights = [
        rng.normal(size=weight.shape).astype(np.float32)
        for weight in _layer("lstm", sequences.numpy()).get_weights()
    ]
    fast, fast_gradients = outputs_and_gradients("auto")
    stock, stock_gradients = outputs_and_gradients("keras")
    np.testing.assert_allclose(fast, stock, atol=1e-5)
    assert len(fast_gradients) == 7  # the input, and three weights each way
    for ours, theirs in zip(fast_gradients, stock_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


def test_one_step_by_hand() -> None:
    """One unit, one frame, weights of one: z = x, so c = σ(1)·tanh(1) and h = σ(1)·tanh(c)."""
    layer = _layer("lstm", np.ones((1, 1, 1), np.float32), units=1)
    ones = [np.ones_like(weight) for weight in layer.get_weights()]
    ones[2] = ones[5] = np.zeros(4, np.float32)  # no biases
    layer.set_weights(ones)
    outputs = ops.convert_to_numpy(layer(np.ones((1, 1, 1), np.float32), np.array([1], np.int32)))
    sigmoid = 1 / (1 + np.exp(-1.0))
    expected = sigmoid * np.tanh(sigmoid * np.tanh(1.0))
    np.testing.assert_allclose(outputs[0, 0], [expected, expected], atol=1e-6)


def test_config_round_trip() -> None:
    layer = BidirectionalRecurrent(4, cell="gru", implementation="keras", name="middle")
    again = BidirectionalRecurrent.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.units, again.cell, again.implementation) == (4, "gru", "keras")


@pytest.mark.parametrize(
    ("arguments", "known"),
    [({"cell": "lstn"}, "gru"), ({"implementation": "fast"}, "keras")],
)
def test_unknown_names_are_refused_naming_the_known(arguments: dict[str, str], known: str) -> None:
    with pytest.raises(ValueError, match=known):
        BidirectionalRecurrent(4, **arguments)  # type: ignore[arg-type]


def _layer(
    cell: str, sequences: np.ndarray, implementation: str = "auto", units: int = 4
) -> BidirectionalRecurrent:
    layer = BidirectionalRecurrent(
        units,
        cell=cell,  # type: ignore[arg-type]
        implementation=implementation,  # type: ignore[arg-type]
    )
    layer.build(sequences.shape)
    return layer
