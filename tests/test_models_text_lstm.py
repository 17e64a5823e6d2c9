"""The language model's network: the fast way against Keras's own layers, both against equations."""

import itertools
import math

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import ops

from models import text_lstm
from models.text_lstm import TextLstm, TextLstmOptions

Arrays = list[npt.NDArray[np.float32]]
ROWS = np.random.default_rng(0).integers(0, 11, (3, 9)).astype(np.int32)


def network(*, dropout: float = 0.0, precision: str = "float32") -> TextLstm:
    keras.utils.set_random_seed(3)
    options = TextLstmOptions(
        vocab_size=11,
        width=5,
        units=7,
        dropout=dropout,
        precision=precision,  # type: ignore[arg-type]
    )
    found = TextLstm(options)
    rng = np.random.default_rng(3)
    for weight in found.trainable_variables:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return found


def loss_of(one: TextLstm, rows: npt.NDArray[np.int32]) -> float:
    return float(one.compute_loss(x=ops.convert_to_tensor(rows), y_pred=one(rows)))


def trained(one: TextLstm) -> Arrays:
    """The weights after a step of plain descent, which is the gradient."""
    one.compile(optimizer=keras.optimizers.SGD(1.0), jit_compile=False)
    before = [ops.convert_to_numpy(weight) for weight in one.trainable_variables]
    one.fit(ROWS, batch_size=len(ROWS), shuffle=False, verbose=0)
    after = [ops.convert_to_numpy(weight) for weight in one.trainable_variables]
    return [old - new for old, new in zip(before, after, strict=True)]


def test_the_loss_is_the_mean_surprise_by_the_equations() -> None:
    one = network()
    found = one.weight_arrays()
    total = 0.0
    for row in ROWS:
        h = c = np.zeros(7)
        for before, piece in itertools.pairwise(row):
            z = found["embedding"][before] @ found["kernel"] + h @ found["recurrent_kernel"]
            i, f, g, o = np.split(z + found["bias"], 4)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            logits = found["embedding"] @ (h @ found["projection"] + found["projection_bias"])
            logits = logits + found["output_bias"]
            total += math.log(np.exp(logits).sum()) - logits[piece]
    assert loss_of(one, ROWS) == pytest.approx(total / ROWS[:, 1:].size, rel=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the fast way is TensorFlow's")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 2e-2)])
def test_the_fast_way_gives_kerass_loss_and_gradients(
    monkeypatch: pytest.MonkeyPatch, precision: str, tolerance: float
) -> None:
    fast = network(precision=precision)
    fast_loss, fast_gradients = loss_of(fast, ROWS), trained(fast)
    monkeypatch.setattr(text_lstm, "_is_fast", lambda: False)
    plain = network()
    assert fast_loss == pytest.approx(loss_of(plain, ROWS), abs=tolerance)
    for ours, theirs in zip(fast_gradients, trained(plain), strict=True):
        # Weights of about 1, from which these are differences, are told to 1e-7.
        np.testing.assert_allclose(ours, theirs, atol=2e-7 + tolerance * np.abs(theirs).max())


def test_what_comes_later_changes_nothing_before() -> None:
    one, other = network(), ROWS.copy()
    other[:, 6:] = 0
    same = ops.convert_to_numpy(one(ROWS))[:, :6]
    np.testing.assert_allclose(ops.convert_to_numpy(one(other))[:, :6], same, atol=1e-6)


def test_dropout_is_for_training_alone() -> None:
    one = network(dropout=0.5)
    quiet = ops.convert_to_numpy(one(ROWS))
    np.testing.assert_array_equal(ops.convert_to_numpy(one(ROWS)), quiet)
    assert np.abs(ops.convert_to_numpy(one(ROWS, training=True)) - quiet).max() > 0.01


def test_it_learns_what_follows_what() -> None:
    keras.utils.set_random_seed(0)
    options = TextLstmOptions(vocab_size=4, width=8, units=16, dropout=0.0, precision="float32")
    one = TextLstm(options)
    one.compile(optimizer=keras.optimizers.Adam(0.03), jit_compile=False)
    starts = np.random.default_rng(0).integers(0, 4, (32, 1))
    rows = ((starts + np.arange(9)) % 4).astype(np.int32)
    one.fit(rows, batch_size=32, epochs=60, verbose=0)
    assert loss_of(one, rows) < 0.05
