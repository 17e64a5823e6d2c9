"""Traces: the layers' own outputs rebuilt from gates, for every cell, direction and length."""

import functools
import math
from typing import Any

import keras
import numpy as np
import pytest

from models.bilstm import CELLS, BiLSTMOptions, build_bilstm
from models.gates import GATED_CELLS, run_gates
from models.traces import NetworkTrace, Trace, trace_layer, trace_network

F, UNITS = 5, 4
LENGTHS = np.array([23, 1, 8], np.int32)
GATES = {
    "lstm": {"forget", "input", "output"},
    "gru": {"update", "reset"},
    "lstm-1997": {"input", "output"},
    "peephole": {"forget", "input", "output"},
    "coupled": {"forget", "input", "output"},
    "depth-gated": {"forget", "input", "output"},
    "grid": {"forget", "input", "output", "forget up", "input up", "output up"},
}
WAYS = pytest.mark.parametrize("bidirectional", [True, False], ids=["both ways", "one way"])


def build(cell: Any, rng: np.random.Generator, **options: Any) -> Any:
    """A network of two layers with weights of every sign and size."""
    settings: dict[str, Any] = {
        **{"cell": cell, "units": UNITS, "num_layers": 2, "num_modules": 2, "num_heads": 2},
        **options,
    }
    model = build_bilstm(BiLSTMOptions(**settings), num_features=F, vocab_size=3)
    model.set_weights([0.7 * rng.normal(size=one.shape) for one in model.get_weights()])
    return model


def batch(rng: np.random.Generator) -> Any:
    """Rows [B, T, F]; padding is noise."""
    return rng.normal(size=(len(LENGTHS), int(LENGTHS.max()) + 2, F)).astype(np.float32)


def of_layers(model: Any, features: Any) -> list[Any]:
    """What each layer of cells gives in the network itself, [B, T, width]."""
    names = ("bidirectional_", "unidirectional_", "attention_")
    layers = [layer for layer in model.layers if layer.name.startswith(names)]
    tensors = [one.output[0] if isinstance(one.output, list) else one.output for one in layers]
    probe = keras.Model(model.input, tensors)
    return list(probe.predict_on_batch({"features": features, "feature_lengths": LENGTHS}))


@functools.cache
def traced(cell: Any, bidirectional: bool) -> tuple[Any, Any, list[NetworkTrace]]:
    """A network with all that may surround its layers, what it was given, and its traces."""
    rng = np.random.default_rng(1997)
    model = build(cell, rng, bidirectional=bidirectional, layer_norm=True, residual=True)
    features = batch(rng)
    return model, features, trace_network(model, features, LENGTHS)


def state_before(trace: Trace) -> Any:
    """The memory before each step, in the order of the recording."""
    zero = np.zeros((1, trace.state.shape[1]))
    if trace.direction == "backward":
        return np.concatenate([trace.state[1:], zero])
    return np.concatenate([zero, trace.state[:-1]])


@WAYS
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_rebuilt_from_gates_are_the_networks_own(cell: Any, bidirectional: bool) -> None:
    model, features, traces = traced(cell, bidirectional)
    expected = of_layers(model, features)
    logits = model.predict_on_batch({"features": features, "feature_lengths": LENGTHS})
    assert len(traces) == len(LENGTHS)
    for row, (trace, length) in enumerate(zip(traces, LENGTHS, strict=True)):
        np.testing.assert_allclose(trace.logits, logits[row, :length], atol=1e-6)
        for number, layer in enumerate(expected, start=1):
            ours = [one for one in trace.layers if one.layer == number]
            found = np.concatenate([one.output for one in ours], axis=1)
            np.testing.assert_allclose(found, layer[row, :length], rtol=0, atol=1e-5)
            ways = [one.direction for one in ours]
            if cell == "attention":
                assert ways == ["both" if bidirectional else "forward"]
            else:
                assert ways == ["forward", "backward"][: 1 + bidirectional]
            for one in ours:
                assert one.deviation <= 1e-5
                assert one.cell == cell


@WAYS
@pytest.mark.parametrize("cell", CELLS)
def test_gates_are_those_of_the_cell(cell: Any, bidirectional: bool) -> None:
    trace = traced(cell, bidirectional)[2][0]
    assert (cell in GATES) == (cell in GATED_CELLS)
    for one in trace.layers:
        expected = GATES.get(cell, set())
        if cell == "depth-gated" and one.layer == 2:
            expected = expected | {"depth"}
        assert one.gates.keys() == expected
        for gate in one.gates.values():
            assert gate.shape == one.output.shape == one.state.shape
            assert 0 < gate.min() < gate.max() < 1
        if one.kept is None:
            assert not one.gates
            assert one.memory is None
        else:
            assert one.kept.shape == one.state.shape


@WAYS
@pytest.mark.parametrize("cell", sorted(GATED_CELLS - {"grid"}))
def test_what_is_kept_is_what_a_step_leaves_of_the_memory(cell: Any, bidirectional: bool) -> None:
    """What is written is the input gate, or 1 - kept, times something within -1..1."""
    trace = traced(cell, bidirectional)[2][0]
    for one in trace.layers:
        assert one.kept is not None
        written = one.state - one.kept * state_before(one)
        if "depth" in one.gates:
            continue  # what comes from below is unbounded; the outputs prove the sum
        most = 1 - one.gates["update"] if cell == "gru" else one.gates["input"]
        assert (np.abs(written) <= most + 1e-12).all()
        assert one.memory is None or (np.abs(one.output) <= one.gates["output"]).all()
        if cell == "coupled":
            np.testing.assert_allclose(one.gates["forget"] + one.gates["input"], 1, atol=1e-12)
        if cell == "lstm-1997":
            assert (one.kept == 1).all()
        else:
            np.testing.assert_array_equal(next(iter(one.gates.values())), one.kept)


@pytest.mark.parametrize("cell", ["lstm", "gru", "depth-gated", "grid", "attention"])
def test_a_row_is_traced_alone_as_in_a_batch(cell: Any, rng: np.random.Generator) -> None:
    model, features = build(cell, rng), batch(rng)
    for row, together in enumerate(trace_network(model, features, LENGTHS)):
        length = int(LENGTHS[row])
        one = slice(row, row + 1)
        (alone,) = trace_network(model, features[one, :length], LENGTHS[one])
        assert_alike(alone, together)


def assert_alike(ours: NetworkTrace, theirs: NetworkTrace) -> None:
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-5)
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        assert (one.layer, one.direction) == (other.layer, other.direction)
        np.testing.assert_allclose(one.state, other.state, atol=1e-5)
        for name, gate in one.gates.items():
            np.testing.assert_allclose(gate, other.gates[name], atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "peephole"])
def test_only_the_backward_direction_knows_what_comes(cell: Any, rng: np.random.Generator) -> None:
    model, features = build(cell, rng, num_layers=1), batch(rng)
    later = features.copy()
    later[:, 5:] += 1
    before, after = (trace_network(model, each, LENGTHS)[0] for each in (features, later))
    for one, other in zip(before.layers, after.layers, strict=True):
        changed = [np.abs(gate - other.gates[name])[:5] for name, gate in one.gates.items()]
        assert (np.max(changed) > 1e-3) == (one.direction == "backward")


def test_a_step_of_the_lstm_by_hand() -> None:
    """σ(ln 3) = 3/4 and tanh(ln 2) = 3/5: c = 3/5 · 1/4, then 3/4 of it with as much again."""
    bias = np.array([-math.log(3), math.log(3), math.log(2), 0.0])
    weights = {"kernel": np.zeros((1, 4)), "recurrent_kernel": np.zeros((1, 4)), "bias": bias}
    found = run_gates("lstm", weights, np.zeros((2, 1)))
    assert found.memory is not None
    for name, value in (("input", 0.25), ("forget", 0.75), ("output", 0.5)):
        np.testing.assert_allclose(found.gates[name], value)
    np.testing.assert_allclose(found.memory[:, 0], [0.15, 0.75 * 0.15 + 0.15])
    np.testing.assert_allclose(found.output, 0.5 * np.tanh(found.memory))


def test_what_is_rounded_is_traced_unrounded_and_left_as_it_was(rng: np.random.Generator) -> None:
    exact = build("lstm", rng)
    rounding = build("lstm", rng, precision="bfloat16")
    rounding.set_weights(exact.get_weights())
    features = batch(rng)
    inputs = {"features": features, "feature_lengths": LENGTHS}
    before = rounding.predict_on_batch(inputs)
    found = trace_network(rounding, features, LENGTHS)
    for ours, theirs in zip(found, trace_network(exact, features, LENGTHS), strict=True):
        assert_alike(ours, theirs)
    assert max(one.deviation for one in found[0].layers) <= 1e-5
    np.testing.assert_array_equal(rounding.predict_on_batch(inputs), before)
    layers = [layer for layer in rounding.layers if hasattr(layer, "precision")]
    assert [layer.precision for layer in layers] == ["bfloat16"] * 2


def test_a_gate_of_another_network_shows(rng: np.random.Generator) -> None:
    """The deviation can tell: weights changed behind the network's back are noticed."""
    model = build("lstm", rng, num_layers=1, bidirectional=False)
    layer = next(one for one in model.layers if hasattr(one, "forward_layer"))
    row = rng.normal(size=(9, F))
    output = np.asarray(layer(row[None].astype(np.float32), np.array([9])), np.float64)[0]
    (same,) = trace_layer(layer, [row], output, number=1)
    assert same.deviation <= 1e-5
    layer.set_weights([0.9 * one for one in layer.get_weights()])
    (other,) = trace_layer(layer, [row], output, number=1)
    assert other.deviation > 1e-3
