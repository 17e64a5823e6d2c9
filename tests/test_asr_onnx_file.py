"""What may be in an ONNX file: the operators of our networks, and nothing that reaches outside."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from asr import onnx_file
from asr.errors import BundleError
from asr.onnx_file import read_onnx

UNITS = 3


def small() -> Any:
    """A graph of one LSTM, which is all that a file needs to be let through."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("W", (2, 4 * UNITS, 2)), ("R", (2, 4 * UNITS, UNITS)))
    ]
    node = helper.make_node(
        "LSTM", ["x", "W", "R"], ["y"], hidden_size=UNITS, direction="bidirectional"
    )
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "small",
        [helper.make_tensor_value_info("x", floats, ["T", "B", 2])],
        [helper.make_tensor_value_info("y", floats, ["T", 2, "B", UNITS])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def write(path: Path, model: Any) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_onnx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert "\n" not in message
    return message


def test_a_network_is_let_through(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", small())
    assert read_onnx(path) == (path.read_bytes(), UNITS)


def other_operator(model: Any) -> None:
    model.graph.node.append(helper.make_node("Loop", ["y"], ["z"]))


def operator_of_strangers(model: Any) -> None:
    model.graph.node.append(helper.make_node("Relu", ["y"], ["z"], domain="com.stranger"))


def second_thoughts(model: Any) -> None:
    """Of a field that comes twice the last one counts; for a reader of the first it is an Add."""
    node = helper.make_node("Loop", ["y"], ["z"]).SerializeToString()
    twice = helper.make_node("Add", [], []).SerializeToString() + node
    field = bytes([1 << 3 | 2, len(twice)]) + twice
    graph = model.graph.SerializeToString() + field
    model.ParseFromString(b"")
    model.graph.ParseFromString(graph)


def graph_within_a_node(model: Any) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", model.graph))


def weight_within_a_node(model: Any) -> None:
    value = numpy_helper.from_array(np.zeros(3, np.float32))
    model.graph.node[0].attribute.append(helper.make_attribute("value", value))


def weight_elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def place_without_saying_so(model: Any) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/dev/zero")


def sparse_weight(model: Any) -> None:
    model.graph.sparse_initializer.add()


def function(model: Any) -> None:
    model.functions.add(name="f", domain="")


def no_layer(model: Any) -> None:
    del model.graph.node[:]


def no_graph(model: Any) -> None:
    model.ClearField("graph")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (other_operator, "the operator 'Loop'"),
        (operator_of_strangers, "the operator 'com.stranger.Relu'"),
        (second_thoughts, "the operator 'Loop'"),
        (graph_within_a_node, "within a node"),
        (weight_within_a_node, "within a node"),
        (weight_elsewhere, "weights in other files"),
        (place_without_saying_so, "weights in other files"),
        (sparse_weight, "sparse weights"),
        (function, "functions"),
        (no_layer, "no recurrent layer"),
        (no_graph, "expected one graph"),
    ],
)
def test_what_does_not_belong_is_named(
    tmp_path: Path, damage: Callable[[Any], None], said: str
) -> None:
    model = small()
    damage(model)
    assert said in refusal(write(tmp_path / "model.onnx", model))


def test_two_graphs_are_refused(tmp_path: Path) -> None:
    """A parser merges them: what the second adds would not be looked at."""
    path = write(tmp_path / "model.onnx", small())
    path.write_bytes(path.read_bytes() * 2)
    assert "received 2" in refusal(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "a readable file" in refusal(tmp_path / "none.onnx")
    assert "a readable file" in refusal(tmp_path)


def test_a_file_beyond_the_format_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "model.onnx", small())
    monkeypatch.setattr(onnx_file, "MAX_BYTES", path.stat().st_size - 1)
    assert "at most" in refusal(path)


@given(st.data())
def test_nothing_but_a_refusal_comes_of_a_broken_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(small().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    path = tmp_path_factory.mktemp("broken") / "model.onnx"
    path.write_bytes(content)
    with contextlib.suppress(BundleError):
        assert read_onnx(path)[0] == bytes(content)


@given(st.binary(max_size=60))
def test_noise_is_no_network(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "model.onnx"
    path.write_bytes(noise)
    refusal(path)
