"""Every cell: by hand, against plain numpy, against Keras where a setting makes them equal."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import ops

from models.bilstm import CELLS, KERAS_CELLS, BiLSTMOptions, build_bilstm
from models.cells.attention import SelfAttention
from models.cells.cell import Cell, scan
from models.cells.layer import ScannedRecurrent, make_cell

Array = npt.NDArray[np.float64]
Weights = dict[str, Array]

F, UNITS, MODULES = 3, 4, 2
LENGTHS = np.array([23, 1, 8], np.int32)
SCANNED = [cell for cell in CELLS if cell not in (*KERAS_CELLS, "attention")]
OWN = [*SCANNED, "attention"]
LAYERS = [*SCANNED, "depth-gated above", "grid above"]
"""A layer of each, and of those that take the memory of the layer below one above another."""

HAS_FLOAT64 = keras.backend.backend() == "tensorflow"  # JAX has it for whole programs only
DTYPE = "float64" if HAS_FLOAT64 else "float32"
CLOSE: Any = {"rtol": 1e-10, "atol": 1e-12} if HAS_FLOAT64 else {"rtol": 1e-4, "atol": 1e-5}
SLOPE: Any = {"rel": 1e-6, "abs": 1e-8} if HAS_FLOAT64 else {"rel": 2e-3, "abs": 2e-4}


# The same cells in numpy: a frame at a time, a gate at a time, as the papers have them.


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def gate(w: Weights, number: int, x: Array, h: Array) -> Array:
    """W x + U h + b of one gate."""
    columns = slice(number * len(h), (number + 1) * len(h))
    product: Array = x @ w["kernel"][:, columns] + h @ w["recurrent_kernel"][:, columns]
    return product + w["bias"][columns]


def lstm_1997(w: Weights, x: Array, _t: int, h: Array, c: Array) -> tuple[Array, ...]:
    i, g, o = (gate(w, number, x, h) for number in range(3))
    c = c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def peephole(w: Weights, x: Array, _t: int, h: Array, c: Array) -> tuple[Array, ...]:
    i = sigmoid(gate(w, 0, x, h) + w["input_peephole"] * c)
    f = sigmoid(gate(w, 1, x, h) + w["forget_peephole"] * c)
    c = f * c + i * np.tanh(gate(w, 2, x, h))
    return sigmoid(gate(w, 3, x, h) + w["output_peephole"] * c) * np.tanh(c), c


def coupled(w: Weights, x: Array, _t: int, h: Array, c: Array) -> tuple[Array, ...]:
    i, g, o = (gate(w, number, x, h) for number in range(3))
    c = (1 - sigmoid(i)) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def depth_gated(
    w: Weights, x: Array, _t: int, h: Array, c: Array, lower: Array | None = None
) -> tuple[Array, ...]:
    i, f, g, o = (gate(w, number, x, h) for number in range(4))
    after = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    if lower is not None:
        d = x @ w["depth_kernel"] + w["depth_bias"]
        d = d + w["own_peephole"] * c + w["lower_peephole"] * lower
        after = after + sigmoid(d) * lower
    return sigmoid(o) * np.tanh(after), after


def clockwork(w: Weights, x: Array, t: int, h: Array) -> tuple[Array, ...]:
    width = len(h) // MODULES
    after = h.copy()
    for k in range(MODULES):
        if t % 2**k == 0:
            own = slice(k * width, (k + 1) * width)
            seen = h[k * width :]
            z = x @ w["kernel"][:, own] + w["bias"][own] + seen @ w[f"recurrent_{k * width}"]
            after[own] = np.tanh(z)
    return (after,)


def grid(
    w: Weights, x: Array, _t: int, _h_up: Array, _m_up: Array, h: Array, m: Array, lower: Any = None
) -> tuple[Array, ...]:
    if lower is None:
        x, lower = np.split(x @ w["input_kernel"], 2)
    i, f, g, o, i_up, f_up, g_up, o_up = (gate(w, number, x, h) for number in range(8))
    m = sigmoid(f) * m + sigmoid(i) * np.tanh(g)
    m_up = sigmoid(f_up) * lower + sigmoid(i_up) * np.tanh(g_up)
    return np.tanh(sigmoid(o_up) * m_up), m_up, np.tanh(sigmoid(o) * m), m


STEPS: dict[str, Any] = {
    "lstm-1997": lstm_1997,
    "peephole": peephole,
    "coupled": coupled,
    "depth-gated": depth_gated,
    "clockwork": clockwork,
    "grid": grid,
}
NUM_STATES = {"clockwork": 1, "grid": 4}


def run_cell(name: str, w: Weights, x: Array, lower: Array | None) -> Array:
    """States after every frame of a row [T, F]: [num_states, T, units]."""
    states = (np.zeros(UNITS),) * NUM_STATES.get(name, 2)
    trace = []
    for t, frame in enumerate(x):
        states = STEPS[name](w, frame, t, *states, *([] if lower is None else [lower[t]]))
        trace.append(states)
    return np.array(trace).transpose(1, 0, 2)


def run_attention(layer: SelfAttention, weights: list[Array], x: Array) -> Array:
    """A block over a row [T, F]."""
    if layer.is_first:
        kernel, bias, *weights = weights
        half = layer.width // 2
        angles = np.arange(len(x))[:, None] / 10_000 ** (np.arange(half) / half)
        x = x @ kernel + bias + np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    query, query_bias, key, key_bias, value, value_bias, out, out_bias = weights[2:10]
    normal = normalise(x, *weights[:2])
    sums = np.zeros_like(x) + out_bias
    for head in range(layer.num_heads):
        q = normal @ query[:, head] + query_bias[head]
        k = normal @ key[:, head] + key_bias[head]
        scores = q @ k.T / np.sqrt(q.shape[1])
        if layer.is_causal:
            scores[np.triu_indices(len(x), 1)] = -np.inf
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        sums = sums + shares @ (normal @ value[:, head] + value_bias[head]) @ out[head]
    x = x + sums
    wide, wide_bias, narrow, narrow_bias = weights[12:]
    hidden = np.maximum(normalise(x, *weights[10:12]) @ wide + wide_bias, 0)
    return x + hidden @ narrow + narrow_bias


def normalise(x: Array, scale: Array, shift: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    normal: Array = centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
    return normal * scale + shift


def run_layer(layer: Any, weights: list[Array], x: Array, lower: Array | None) -> list[Array]:
    """What a layer gives for a row [T, F]: its output, and its memory if it passes one."""
    if isinstance(layer, SelfAttention):
        return [run_attention(layer, weights, x)]
    cells = [layer.forward_cell, layer.backward_cell][: 2 if layer.bidirectional else 1]
    belows = [None, None] if lower is None else np.split(lower, len(cells), axis=1)
    results = []
    for number, (cell, below) in enumerate(zip(cells, belows, strict=False)):
        turn = slice(None, None, -1 if number else 1)
        first = number * len(cell.weights)
        own = {variable.name: weights[first + n] for n, variable in enumerate(cell.weights)}
        states = run_cell(layer.cell, own, x[turn], None if below is None else below[turn])
        results.append(states[: 2 if cell.passes_memory else 1, turn])
    return list(np.concatenate(results, axis=2))


# Layers to be tried, and what they are tried on.


def make_layer(name: str, rng: np.random.Generator, *, bidirectional: bool = True) -> Any:
    """A built layer with weights of every sign and size."""
    cell, _, above = name.partition(" ")
    ways = 2 if bidirectional else 1
    layer: Any
    if cell == "attention":
        width = ways * UNITS
        layer = SelfAttention(
            width, num_heads=ways, is_first=not above, is_causal=not bidirectional, dtype=DTYPE
        )
        layer.build((None, None, width if above else F), (None,))
    else:
        layer = ScannedRecurrent(
            UNITS, cell=cell, bidirectional=bidirectional, num_modules=MODULES, dtype=DTYPE
        )
        layer.build((None, None, F), (None,), (None, None, ways * UNITS) if above else None)
    layer.set_weights([rng.normal(size=weight.shape) * 0.6 for weight in layer.get_weights()])
    return layer


def make_rows(name: str, rng: np.random.Generator, *, bidirectional: bool = True) -> list[Array]:
    """Rows [B, T, F], and where the layer takes it the memory below; padding is noise."""
    cell, _, above = name.partition(" ")
    width = UNITS * (2 if bidirectional else 1)
    frames = (len(LENGTHS), int(LENGTHS.max()) + 2)
    if cell == "attention":
        return [rng.normal(size=(*frames, width if above else F))]
    return [rng.normal(size=(*frames, size)) for size in ([F, width] if above else [F])]


def call(layer: Any, rows: list[Any], lengths: Any) -> list[Any]:
    sequences, *lower = rows
    results = layer(sequences, lengths, *lower)
    return results if isinstance(results, list) else [results]


def numbers(tensors: list[Any]) -> list[Array]:
    return [np.asarray(ops.convert_to_numpy(tensor), np.float64) for tensor in tensors]


@pytest.mark.parametrize("bidirectional", [True, False], ids=["both ways", "one way"])
@pytest.mark.parametrize("name", [*LAYERS, "attention", "attention above"])
def test_it_computes_what_numpy_computes(
    name: str, bidirectional: bool, rng: np.random.Generator
) -> None:
    layer = make_layer(name, rng, bidirectional=bidirectional)
    rows = make_rows(name, rng, bidirectional=bidirectional)
    found = numbers(call(layer, rows, LENGTHS))
    weights = numbers(layer.get_weights())
    for row, length in enumerate(LENGTHS):
        sequence, *lower = (each[row, :length] for each in rows)
        expected = run_layer(layer, weights, sequence, lower[0] if lower else None)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == (*rows[0].shape[:2], UNITS * (2 if bidirectional else 1))
            np.testing.assert_allclose(ours[row, :length], theirs, **CLOSE)
    assert all(np.isfinite(each).all() for each in found)  # padding may reach a mean, times 0


@pytest.mark.parametrize("name", [*LAYERS, "attention"])
def test_gradients_are_finite_differences(name: str, rng: np.random.Generator) -> None:
    """Along a random direction of every weight, of the input and of the memory below."""
    layer, rows = make_layer(name, rng), make_rows(name, rng)
    valid = np.arange(rows[0].shape[1]) < LENGTHS[:, None]
    weights = numbers(layer.get_weights())
    gradients, towards = differentiate(layer, rows, valid, rng)

    def loss(position: int, shift: Array) -> float:
        shifted = [*rows, *weights]
        shifted[position] = shifted[position] + shift
        moved, moved_weights = shifted[: len(rows)], shifted[len(rows) :]
        total = 0.0
        for row, length in enumerate(LENGTHS):
            sequence, *lower = (each[row, :length] for each in moved)
            results = run_layer(layer, moved_weights, sequence, lower[0] if lower else None)
            for result, weight in zip(results, towards, strict=True):
                total += float((result * weight[row, :length]).sum())
        return total

    assert len(gradients) == len(rows) + len(weights)
    for position, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        direction /= np.linalg.norm(direction)
        step = 1e-5 * direction
        slope = (loss(position, step) - loss(position, -step)) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(slope, **SLOPE)


def differentiate(
    layer: Any, rows: list[Array], valid: Any, rng: np.random.Generator
) -> tuple[list[Array], list[Array]]:
    """Gradients of a weighted sum of all results, by rows and weights; and the sum's own weights.

    On TensorFlow in a graph that knows neither B nor T, as in training.
    """
    shapes = layer.compute_output_shape((*valid.shape, rows[0].shape[2]))
    shapes = shapes if isinstance(shapes, list) else [shapes]
    towards = [rng.normal(size=shape) * valid[:, :, None] for shape in shapes]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        specs = [tf.TensorSpec([None, None, row.shape[2]], tf.float64) for row in rows]

        def ahead_and_back(rows: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(rows)
                results = call(layer, rows, tf.constant(LENGTHS))
                loss = sum(
                    tf.reduce_sum(one * weight)
                    for one, weight in zip(results, towards, strict=True)
                )
            return tape.gradient(loss, [*rows, *layer.trainable_variables])

        in_a_graph = tf.function(ahead_and_back, input_signature=[specs], autograph=False)
        return numbers(in_a_graph([tf.constant(row) for row in rows])), towards
    import jax

    def loss(rows: Any, weights: Any) -> Any:
        others = [variable.value for variable in layer.non_trainable_variables]
        sequences, *lower = rows
        results, _ = layer.stateless_call(weights, others, sequences, LENGTHS, *lower)
        results = results if isinstance(results, list) else [results]
        return sum((one * weight).sum() for one, weight in zip(results, towards, strict=True))

    weights = [variable.value for variable in layer.trainable_variables]
    both = jax.jit(jax.grad(loss, argnums=(0, 1)))(
        [jax.numpy.asarray(row, "float32") for row in rows], weights
    )
    return numbers([*both[0], *both[1]]), towards


# By hand: σ(ln 3) = 3/4, σ(-ln 3) = 1/4, σ(0) = 1/2, tanh(ln 2) = 3/5, tanh(ln 3) = 4/5.

LN2, LN3 = math.log(2), math.log(3)


def one_step(
    cell: Cell, weights: dict[str, Any], states: list[Any], *, lower: Any = None, position: int = 0
) -> list[list[float]]:
    """Sets some weights, the others to 0, and goes on by a frame of 0; returns the states."""
    cell.build((1, 1, 1), None if lower is None else (1, 1, cell.units))
    unknown = weights.keys() - {variable.name for variable in cell.weights}
    assert not unknown
    for variable in cell.weights:
        variable.assign(np.broadcast_to(weights.get(variable.name, 0), variable.shape))
    below = [] if lower is None else [ops.convert_to_tensor([[lower]], "float32")]
    frames = cell.project(ops.zeros((1, 1, 1)), *below)
    results = cell.step(
        tuple(frame[:, 0] for frame in frames),
        tuple(ops.convert_to_tensor([state], "float32") for state in states),
        ops.convert_to_tensor(position, "int32"),
        ops.convert_to_tensor(cell.loop_weight()),
    )
    return [ops.convert_to_numpy(each)[0].tolist() for each in results]


def near(*values: Any) -> Any:
    return [pytest.approx(value, abs=1e-6) for value in values]


def test_the_lstm_of_1997_by_hand() -> None:
    """i = 3/4, g = 4/5, so c = 2 + 3/5: nothing of the 2 is lost; o = 1/2."""
    cell = make_cell("lstm-1997", 1)
    found = one_step(cell, {"bias": [LN3, LN3, 0]}, [[0.0], [2.0]])
    assert found == near([math.tanh(2.6) / 2], [2.6])


def test_peepholes_by_hand() -> None:
    """By c = 1: i = 3/4, f = 1/4, so with g = 3/5 c becomes 7/10, by which o = 3/4."""
    cell = make_cell("peephole", 1)
    weights = {"bias": [0, 0, LN2, 0], "input_peephole": LN3, "forget_peephole": -LN3}
    found = one_step(cell, {**weights, "output_peephole": LN3 / 0.7}, [[0.0], [1.0]])
    assert found == near([0.75 * math.tanh(0.7)], [0.7])


def test_coupled_gates_by_hand() -> None:
    """i = 3/4 leaves 1/4 of the 2; with g = 3/5, c = 1/2 + 9/20; h = -ln 3 makes o = 1/4."""
    cell = make_cell("coupled", 1)
    weights = {"bias": [LN3, LN2, 0], "recurrent_kernel": [[0, 0, 1]]}
    found = one_step(cell, weights, [[-LN3], [2.0]])
    assert found == near([math.tanh(0.95) / 4], [0.95])


def test_a_depth_gate_by_hand() -> None:
    """d = σ(2 ln 3 · 1 - ln 3 / 2 · 2) = 3/4 of 2 below, 1/4 of 1 before, 3/4 of 3/5 new: 2.2."""
    cell = make_cell("depth-gated", 1)
    weights = {"bias": [LN3, -LN3, LN2, 0], "own_peephole": 2 * LN3, "lower_peephole": -LN3 / 2}
    found = one_step(cell, weights, [[0.0], [1.0]], lower=[2.0])
    assert found == near([math.tanh(2.2) / 2], [2.2])


@pytest.mark.parametrize(
    ("position", "expected"), [(0, [0.6, 0.8]), (1, [0.6, 2]), (2, [0.6, 0.8])]
)
def test_clocks_by_hand(position: int, expected: list[float]) -> None:
    """The fast unit sees 1 and 2 and becomes tanh(ln 3 + ln 2 - ln 3), the slow one sees 2 only."""
    cell = make_cell("clockwork", 2, num_modules=2)
    weights = {"recurrent_0": [[LN3], [(LN2 - LN3) / 2]], "recurrent_1": [[LN3 / 2]]}
    assert one_step(cell, weights, [[1.0, 2.0]], position=position) == near(expected)


def test_a_crossing_of_the_grid_by_hand() -> None:
    """Along time m = 2/4 + 3/4 · 3/5 with o = 1/2, along depth 4/2 + 1/4 · 4/5 with o = 3/4."""
    cell = make_cell("grid", 1)
    bias = [LN3, -LN3, LN2, 0, -LN3, 0, LN3, LN3]
    found = one_step(cell, {"bias": bias}, [[9.0], [9.0], [0.0], [2.0]], lower=[4.0])
    assert found == near([math.tanh(0.75 * 2.2)], [2.2], [math.tanh(0.5 * 0.95)], [0.95])


@pytest.mark.parametrize(("length", "share"), [(1, 1.0), (2, 0.0)])
def test_attention_by_hand(length: int, share: float) -> None:
    """Queries of 0 take the mean: of one frame itself, of two that mirror each other nothing."""
    layer = SelfAttention(2, num_heads=1, is_first=False)
    layer.build((1, 2, 2), (1,))
    names = {id(layer.attention_norm.gamma), id(layer.attention.value_dense.kernel)}
    names.add(id(layer.attention.output_dense.kernel))
    for variable in layer.weights:
        ones = np.ones(variable.shape) if len(variable.shape) == 1 else np.eye(2)
        is_one = id(variable) in names
        variable.assign(ones.reshape(variable.shape) if is_one else np.zeros(variable.shape))
    rows = np.array([[[1, 3], [3, 1]]], np.float32)
    found = ops.convert_to_numpy(layer(rows, np.array([length], np.int32)))[0, 0]
    normal = share / math.sqrt(1 + 1e-3)  # Keras adds 0.001 to the variance of 1
    np.testing.assert_allclose(found, [1 - normal, 3 + normal], atol=1e-6)


# Against Keras's own, where a setting makes them equal.


def assert_is(cell: Cell, stock: Any, rng: np.random.Generator, lower: Array | None = None) -> None:
    sequences = rng.normal(size=(2, 9, F)).astype(np.float32)
    below = [] if lower is None else [ops.convert_to_tensor(lower, "float32")]
    found = scan(cell, ops.convert_to_tensor(sequences), *below)[0]
    expected = stock(sequences)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5
    )


def stock_lstm(rng: np.random.Generator) -> tuple[Any, list[Any]]:
    stock = keras.layers.LSTM(UNITS, return_sequences=True)
    stock.build((None, None, F))
    stock.set_weights([rng.normal(size=weight.shape) * 0.6 for weight in stock.get_weights()])
    return stock, stock.get_weights()


def gate_of(weight: Any, number: int) -> Any:
    """The columns of one of an LSTM's gates, which are to be seen or changed."""
    return weight[..., number * UNITS : (number + 1) * UNITS]


def test_peepholes_that_see_nothing_are_the_lstm(rng: np.random.Generator) -> None:
    stock, weights = stock_lstm(rng)
    cell = make_cell("peephole", UNITS)
    cell.build((None, None, F))
    cell.set_weights([*weights, *cell.get_weights()[3:]])  # which begin at 0
    assert_is(cell, stock, rng)


@pytest.mark.parametrize(
    ("name", "forget"), [("coupled", "opposite"), ("lstm-1997", "never")], ids=str
)
def test_without_a_forget_gate_it_is_the_lstm_with_that_gate_tied(
    name: str, forget: str, rng: np.random.Generator
) -> None:
    stock, weights = stock_lstm(rng)
    for weight in weights:  # 1 - σ(z) = σ(-z)
        gate_of(weight, 1)[:] = -gate_of(weight, 0) if forget == "opposite" else 0
    if forget == "never":
        gate_of(weights[2], 1)[:] = 100
    stock.set_weights(weights)
    cell = make_cell(name, UNITS)
    cell.build((None, None, F))
    kept = [[gate_of(weight, number) for number in (0, 2, 3)] for weight in weights]
    cell.set_weights([np.concatenate(parts, axis=-1) for parts in kept])
    assert_is(cell, stock, rng)


@pytest.mark.parametrize("is_lowest", [True, False])
def test_a_shut_depth_gate_is_the_lstm(is_lowest: bool, rng: np.random.Generator) -> None:
    stock, weights = stock_lstm(rng)
    cell = make_cell("depth-gated", UNITS)
    cell.build((None, None, F), None if is_lowest else (None, None, UNITS))
    shut = {"depth_bias": np.full(UNITS, -100.0)}
    others = [shut.get(variable.name, np.zeros(variable.shape)) for variable in cell.weights[3:]]
    cell.set_weights([*weights, *others])
    assert_is(cell, stock, rng, None if is_lowest else rng.normal(size=(2, 9, UNITS)))


def test_a_clockwork_of_one_module_is_the_simple_network(rng: np.random.Generator) -> None:
    stock = keras.layers.SimpleRNN(UNITS, return_sequences=True)
    stock.build((None, None, F))
    kernel, recurrent_kernel, _ = stock.get_weights()
    bias = rng.normal(size=UNITS)
    stock.set_weights([kernel, recurrent_kernel, bias])
    cell = make_cell("clockwork", UNITS, num_modules=1)
    cell.build((None, None, F))
    cell.set_weights([kernel, bias, recurrent_kernel])
    assert_is(cell, stock, rng)


# Parameters, configurations, files, networks.


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_are_those_of_the_formula(name: str, rng: np.random.Generator) -> None:
    layer = make_layer(name, rng)
    cell, _, above = name.partition(" ")
    u = UNITS
    formula = {
        "lstm-1997": 3 * u * (F + u + 1),
        "peephole": 4 * u * (F + u + 1) + 3 * u,
        "coupled": 3 * u * (F + u + 1),
        "depth-gated": 4 * u * (F + u + 1),
        "depth-gated above": 4 * u * (F + u + 1) + u * (F + 3),
        "clockwork": u * (F + 1) + u * u * (MODULES + 1) // (2 * MODULES),
        "grid": 8 * u * (2 * u + 1) + 2 * u * F,
        "grid above": 8 * u * (F + u + 1),
    }
    planned = make_cell(cell, u, num_modules=MODULES)
    assert layer.count_params() == 2 * formula[name]
    assert planned.num_parameters(F, is_lowest=not above) == formula[name]


@pytest.mark.parametrize("name", ["attention", "attention above"])
def test_parameters_of_attention(name: str, rng: np.random.Generator) -> None:
    layer, width = make_layer(name, rng), 2 * UNITS
    expected = 12 * width**2 + 13 * width + (0 if "above" in name else width * (F + 1))
    assert layer.count_params() == layer.num_parameters(F) == expected


@pytest.mark.parametrize("name", OWN)
def test_config_round_trip(name: str, rng: np.random.Generator) -> None:
    layer = make_layer(name, rng, bidirectional=False)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (getattr(again, "is_causal", None), getattr(again, "bidirectional", None)) in (
        (True, None),
        (None, False),
    )


@pytest.mark.parametrize("bidirectional", [True, False], ids=["both ways", "one way"])
@pytest.mark.parametrize("cell", OWN)
def test_a_network_is_exact_in_batches_and_the_same_from_its_file(
    cell: Any, bidirectional: bool, rng: np.random.Generator, tmp_path: Path
) -> None:
    options = BiLSTMOptions(
        cell=cell,
        bidirectional=bidirectional,
        units=4,
        num_layers=2,
        num_modules=2,
        num_heads=2,
        layer_norm=bidirectional,
        residual=True,
    )
    network = build_bilstm(options, num_features=F, vocab_size=5)
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    lengths = np.array([9, 2, 6], np.int32)
    features = rng.normal(size=(3, 9, F)).astype(np.float32)  # padding is noise, not zeros
    together = logits(network, features, lengths)
    np.testing.assert_array_equal(logits(loaded, features, lengths), together)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone = logits(network, features[one, :length], lengths[one])
        np.testing.assert_allclose(together[row, :length], alone[0], atol=1e-5)
    later = features.copy()
    later[0, 5:] += 1
    changed = np.abs(logits(network, later, lengths) - together)[0, :5].max()
    assert (changed > 1e-6) == bidirectional  # one way, no frame knows what comes after it


def logits(network: keras.Model, features: Any, lengths: Any) -> Any:
    return network.predict_on_batch({"features": features, "feature_lengths": lengths})


@pytest.mark.parametrize("cell", ["lstm-1997", "clockwork", "attention"])
def test_no_frames_at_all_are_none(cell: str, rng: np.random.Generator) -> None:
    layer = make_layer(cell, rng)
    found = layer(np.zeros((2, 0, F)), np.zeros(2, np.int32))
    assert tuple(found.shape) == (2, 0, 2 * UNITS)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clockwork.*received 'lstn'"):
        make_cell("lstn", 4)
    with pytest.raises(ValueError, match="num_modules: expected a divisor of the 4"):
        make_cell("clockwork", 4, num_modules=3)
    with pytest.raises(ValueError, match="num_heads: expected a divisor of the width 4"):
        SelfAttention(4, num_heads=3, is_first=True)
