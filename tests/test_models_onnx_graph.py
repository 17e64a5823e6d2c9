"""The network as ONNX: the same numbers, one node a layer, nothing else."""

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from models.bilstm import CELLS, KERAS_CELLS, BiLSTMOptions, build_bilstm
from models.onnx_graph import build_onnx, can_quantise, quantise

F, V = 5, 4
LENGTHS = np.array([9, 1, 6], np.int32)
KINDS = KERAS_CELLS
PLAIN = BiLSTMOptions(units=6, num_layers=2)

NETWORKS = {
    **{cell: BiLSTMOptions(units=6, num_layers=2, cell=cell) for cell in KINDS},
    **{
        f"{cell} with all parts": BiLSTMOptions(
            units=6, num_layers=3, cell=cell, input_units=12, layer_norm=True, residual=True
        )
        for cell in KINDS
    },
    **{
        f"{cell} one way": BiLSTMOptions(units=6, num_layers=2, cell=cell, bidirectional=False)
        for cell in KINDS
    },
    "one layer": BiLSTMOptions(units=3, num_layers=1),
    "stock": BiLSTMOptions(units=6, num_layers=2, implementation="keras"),
}


def build(options: BiLSTMOptions, seed: int = 0) -> keras.Model:
    """A network with weights of every sign and size: zero biases would hide their order."""
    network = build_bilstm(options, num_features=F, vocab_size=V)
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return network


def run(model: onnx.ModelProto | Path, features: Any, lengths: Any) -> Any:
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    logits, logit_lengths = session.run(None, {"features": features, "feature_lengths": lengths})
    np.testing.assert_array_equal(logit_lengths, lengths)
    return logits


@pytest.mark.parametrize("options", NETWORKS.values(), ids=list(NETWORKS))
def test_it_computes_what_keras_computes(options: BiLSTMOptions, rng: np.random.Generator) -> None:
    network = build(options)
    features = rng.normal(size=(3, 9, F)).astype(np.float32)  # padding is noise, not zeros
    expected = network.predict_on_batch({"features": features, "feature_lengths": LENGTHS})
    model = build_onnx(network)
    found = run(model, features, LENGTHS)
    assert found.shape == expected.shape
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(found[row, :length], expected[row, :length], atol=1e-5)
        one = slice(row, row + 1)
        alone = run(model, features[one, :length], LENGTHS[one])
        np.testing.assert_allclose(found[row, :length], alone[0], atol=1e-5)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=list(NETWORKS))
def test_a_layer_is_one_node_and_there_is_no_loop(options: BiLSTMOptions) -> None:
    model = build_onnx(build(options))
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators[options.cell.upper()] == options.num_layers
    assert not operators.keys() & {"Loop", "Scan", "If"}
    assert operators["LayerNormalization"] == (options.num_layers if options.layer_norm else 0)


def test_batch_and_time_are_free() -> None:
    model = build_onnx(build(PLAIN))
    shapes = {
        item.name: [axis.dim_param or axis.dim_value for axis in item.type.tensor_type.shape.dim]
        for item in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "features": ["B", "T", F],
        "feature_lengths": ["B"],
        "logits": ["B", "T", V],
        "logit_lengths": ["B"],
    }


def test_it_can_be_written_from_a_saved_network(tmp_path: Path) -> None:
    network = build(NETWORKS["lstm with all parts"])
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert build_onnx(loaded).SerializeToString() == build_onnx(network).SerializeToString()


def stranger(layer: keras.layers.Layer) -> keras.Model:
    features = keras.Input((None, F), name="features")
    lengths = keras.Input((), dtype="int32", name="feature_lengths")
    inputs = {"features": features, "feature_lengths": lengths}
    return keras.Model(inputs, layer(layer(features)) if layer.name == "twice" else layer(features))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.Conv1D(V, 3, name="c"), "layer 'c': expected one of Add, .*received Conv1D"),
        (keras.layers.Dense(V, "gelu", name="d"), "layer 'd': expected linear or relu, .*gelu"),
        (keras.layers.Dense(F, name="twice"), "layer 'twice': expected one call"),
    ],
)
def test_what_it_does_not_know_is_named(layer: keras.layers.Layer, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_onnx(stranger(layer))


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in KINDS])
def test_a_cell_that_onnx_does_not_have_is_named(cell: Any) -> None:
    network = build_bilstm(BiLSTMOptions(units=4, cell=cell), num_features=F, vocab_size=V)
    with pytest.raises(ValueError, match=f"ONNX has no operator for its cell {cell}; Keras is"):
        build_onnx(network)


def test_a_network_without_features_is_refused() -> None:
    sound = keras.Input((None, F), name="sound")
    with pytest.raises(ValueError, match="an input features"):
        build_onnx(keras.Model(sound, keras.layers.Dense(V)(sound)))


# int8


def test_int8_layers_are_really_int8(tmp_path: Path, rng: np.random.Generator) -> None:
    options = BiLSTMOptions(units=16, num_layers=2, layer_norm=True)
    model = build_onnx(build(options))
    assert can_quantise(model)
    before = model.SerializeToString()
    quantise(model, tmp_path / "int8.onnx")
    assert model.SerializeToString() == before
    written = onnx.load(tmp_path / "int8.onnx")
    operators = Counter(node.op_type for node in written.graph.node)
    assert operators["DynamicQuantizeLSTM"] == options.num_layers
    assert operators["LSTM"] == operators["MatMul"] == 0
    features = rng.normal(size=(3, 9, F)).astype(np.float32)
    exact = run(model, features, LENGTHS)
    rough = run(tmp_path / "int8.onnx", features, LENGTHS)
    for row, length in enumerate(LENGTHS):
        off = np.abs(exact[row, :length] - rough[row, :length]).max()
        assert 0 < off < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_what_has_no_int8_layer_is_not_made_int8(cell: Any, tmp_path: Path) -> None:
    model = build_onnx(build(BiLSTMOptions(units=6, num_layers=1, cell=cell)))
    assert not can_quantise(model)
    with pytest.raises(ValueError, match="LSTM"):
        quantise(model, tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()


def test_making_it_int8_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    quantise(build_onnx(build(PLAIN)), tmp_path / "int8.onnx")
    assert capfd.readouterr() == ("", "")
