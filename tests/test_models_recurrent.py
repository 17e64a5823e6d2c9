"""The bidirectional recurrent layer: exact for every row's own length, on every path."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models.recurrent import BidirectionalRecurrent
from models.reversal import reverse_by_length

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


@pytest.mark.parametrize("cell", CELLS)
def test_one_way_it_is_the_forward_half(cell: str, rng: np.random.Generator) -> None:
    sequences = rng.normal(size=(3, 7, 5)).astype(np.float32)
    lengths = np.array([7, 1, 4], np.int32)
    both = _layer(cell, sequences)
    one = BidirectionalRecurrent(4, cell=cell, bidirectional=False)  # type: ignore[arg-type]
    one.build(sequences.shape)
    one.set_weights(both.get_weights()[:3])
    outputs = ops.convert_to_numpy(one(sequences, lengths))
    halves = ops.convert_to_numpy(both(sequences, lengths))
    assert outputs.shape == one.compute_output_shape(sequences.shape) == (3, 7, 4)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(outputs[row, :length], halves[row, :length, :4], atol=1e-5)
    assert BidirectionalRecurrent.from_config(one.get_config()).backward_layer is None


ROWS = {
    "one row": [11],
    "three rows": [11, 2, 6],
    "rows of every length": [19, 1, 16, 8, 9, 17, 3],
    "an empty row": [5, 0, 3, 4],
    "no frames at all": [0, 0],
}


@pytest.mark.parametrize("row_lengths", ROWS.values(), ids=ROWS)
def test_the_fast_path_has_keras_outputs_and_gradients(
    row_lengths: list[int], rng: np.random.Generator
) -> None:
    lengths = np.array(row_lengths, np.int32)
    width = max(row_lengths) + 2  # padding even behind the longest
    sequences = rng.normal(size=(len(lengths), width, 5)).astype(np.float32)
    valid = np.arange(width) < lengths[:, None]
    towards = (rng.normal(size=(len(lengths), width, 8)) * valid[:, :, None]).astype(np.float32)
    fast, stock = _layer("lstm", sequences), _layer("lstm", sequences, "keras")
    for_both = [rng.normal(size=weight.shape) for weight in stock.get_weights()]
    results = []
    for layer in (fast, stock):
        layer.set_weights(for_both)
        results.append(_outputs_and_gradients(layer, sequences, lengths, towards))
    (ours, our_gradients), (theirs, their_gradients) = results
    np.testing.assert_allclose(ours[valid], theirs[valid], atol=1e-5)
    assert np.isfinite(ours).all()  # what lies in the padding may reach a mean, times 0
    assert len(our_gradients) == 7  # the input, and three weights each way
    for our, their in zip(our_gradients, their_gradients, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5, rtol=1e-5)


def test_with_bfloat16_products_it_is_close(rng: np.random.Generator) -> None:
    """bfloat16 has 8 bits: a factor is off by up to 1/512, and sums are as exact as before."""
    sequences = rng.normal(size=(5, 12, 30)).astype(np.float32)
    lengths = np.array([12, 3, 7, 9, 10], np.int32)
    towards = np.ones((5, 12, 8), np.float32) * (np.arange(12) < lengths[:, None])[:, :, None]
    exact = _layer("lstm", sequences)
    rounded = BidirectionalRecurrent(4, precision="bfloat16")
    rounded.build(sequences.shape)
    rounded.set_weights(exact.get_weights())
    (outputs, gradients), (near, near_gradients) = (
        _outputs_and_gradients(layer, sequences, lengths, towards) for layer in (exact, rounded)
    )
    assert near.dtype == np.float32
    valid = towards > 0
    assert 0 < np.abs(outputs - near)[valid].max() < 0.02
    for exact_gradient, near_gradient in zip(gradients, near_gradients, strict=True):
        assert near_gradient.dtype == np.float32
        scale = np.abs(exact_gradient).max()
        np.testing.assert_allclose(near_gradient, exact_gradient, atol=0.02 * scale)


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
    [
        ({"cell": "lstn"}, "gru"),
        ({"implementation": "fast"}, "keras"),
        ({"precision": "float16"}, "bfloat16"),
    ],
)
def test_unknown_names_are_refused_naming_the_known(arguments: dict[str, str], known: str) -> None:
    with pytest.raises(ValueError, match=known):
        BidirectionalRecurrent(4, **arguments)  # type: ignore[arg-type]


def _outputs_and_gradients(
    layer: BidirectionalRecurrent,
    sequences: np.ndarray,
    lengths: np.ndarray,
    towards: np.ndarray,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The layer's outputs, and the gradients of their sum times `towards`: input, then weights."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        inputs = tf.constant(sequences)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, lengths)
            loss = tf.reduce_sum(outputs * towards)
        gradients = tape.gradient(loss, [inputs, *layer.trainable_variables])
        return outputs.numpy(), [gradient.numpy() for gradient in gradients]
    import jax

    def loss_and_outputs(inputs: Any, weights: Any) -> Any:
        outputs, _ = layer.stateless_call(weights, others, inputs, lengths)
        return (outputs * towards).sum(), outputs

    differentiate = jax.value_and_grad(loss_and_outputs, argnums=(0, 1), has_aux=True)
    weights = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]
    (_, outputs), (inputs_gradient, gradients) = differentiate(jax.numpy.array(sequences), weights)
    return np.array(outputs), [np.array(gradient) for gradient in (inputs_gradient, *gradients)]


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
