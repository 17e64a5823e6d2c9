"""A network as an ONNX graph: one fused node for each recurrent layer, and no loop.

The graph is written out node by node, not traced, so that a layer becomes exactly one operator of
the ONNX standard (https://onnx.ai/onnx/operators/), with its directions in it and the length of
every row as an input. Between the transposes at its ends everything is time-major, [T, B, ...],
which is the layout those operators have. Cells that the standard does not have are refused.

What the two conventions do not share:

* Keras orders an LSTM's gates i, f, g, o and ONNX i, o, f, g. Both order a GRU's z, r, h.
* Keras adds one bias to a gate (a GRU's two are rows of one array), ONNX one to the input's
  product and one to the state's.
* Keras's GRU applies its reset gate after the product with the state: `linear_before_reset`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras
    import onnx

Array = npt.NDArray[np.float32]

OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8  # of the same time: runtimes from 2022 on read it
_OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
_LSTM_GATES = (0, 3, 1, 2)  # where Keras has ONNX's i, o, f, g
_QUANTISED = ("LSTM", "MatMul")
_LOW_HALF = 0 if sys.byteorder == "little" else 1  # of a float32, as two numbers of 16 bits


def build_onnx(model: "keras.Model") -> "onnx.ModelProto":
    """Writes a network out as an ONNX model with the same weights, float32.

    Args:
        model: From features [B, T, F] and feature_lengths [B] to logits [B, T, V], as
            `models.bilstm` builds it.

    Returns:
        A model with inputs `features` float32 [B, T, F] and `feature_lengths` int32 [B], and
        outputs `logits` float32 [B, T, V] and `logit_lengths` int32 [B]. B and T are free. Logits
        beyond a row's length are meaningless.

    Raises:
        ValueError: The network has a layer, or a setting of one, that this module does not know.
    """
    graph = _Graph()
    graph.add("Transpose", ["features"], "features/time_major", perm=[1, 0, 2])
    names = {id(tensor): tensor.name for tensor in model.inputs}
    names[id(_input(model, "features"))] = "features/time_major"
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            continue
        if len(layer._inbound_nodes) != 1:
            raise ValueError(f"layer {layer.name!r}: expected one call, received several")
        inputs = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
        write = _WRITERS.get(type(layer).__name__)
        if write is None:
            raise ValueError(_refusal(layer))
        names[id(layer.output)] = write(graph, layer, [names[id(tensor)] for tensor in inputs])
    (output,) = model.outputs
    graph.add("Transpose", [names[id(output)]], "logits", perm=[1, 0, 2])
    graph.add("Identity", ["feature_lengths"], "logit_lengths")
    return graph.model(
        num_features=_input(model, "features").shape[-1], vocab_size=output.shape[-1]
    )


def can_quantise(model: "onnx.ModelProto") -> bool:
    """Whether `quantise` gains anything: ONNX Runtime has an int8 LSTM, but no int8 GRU or RNN."""
    return any(node.op_type == "LSTM" for node in model.graph.node)


def quantise(model: "onnx.ModelProto", path: Path) -> None:
    """Writes a model with the weights of its LSTMs and matrix products as int8.

    A weight has one scale for each of its outputs. What is multiplied with them becomes int8 as it
    comes, by a scale taken from all rows at once ("dynamic"): a row's logits then depend a little
    on the rows beside it, so whoever wants them to be a matter of the row alone runs rows alone.

    Args:
        model: A float32 model of `build_onnx`.
        path: The file to write.

    Raises:
        ValueError: The model has no LSTM.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    if not can_quantise(model):
        raise ValueError("expected a model with LSTM nodes, received one without")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    # The mark of ONNX Runtime's own optimiser, without which it logs that one should run it.
    copy.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    quantize_dynamic(
        copy,
        path,
        op_types_to_quantize=list(_QUANTISED),
        per_channel=True,
        # 7 bits: with 8, processors without VNNI would let sums of two products overflow.
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )


def store_in_16_bits(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Returns a float32 model whose matrices are stored as bfloat16: half the size.

    They are converted once, when the file is opened. Matrices whose numbers bfloat16 cannot hold
    exactly stay as they are, so that the network is the same one.

    Args:
        model: A float32 model of `build_onnx`.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        halves = np.ascontiguousarray(numpy_helper.to_array(tensor)).view(np.uint16)
        if halves.reshape(-1)[_LOW_HALF::2].any():
            continue
        name, dims = tensor.name, list(tensor.dims)
        stored = halves.reshape(-1)[1 - _LOW_HALF :: 2].astype("<u2").tobytes()
        half = helper.make_tensor(f"{name}/16", TensorProto.BFLOAT16, dims, stored, raw=True)
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [f"{name}/16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    onnx.checker.check_model(copy, full_check=True)
    return copy


class _Graph:
    """Nodes and weights as they are added, by the names of their tensors."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name: str, value: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """Adds a constant; returns its name."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(np.asarray(value, dtype))
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def model(self, *, num_features: int, vocab_size: int) -> "onnx.ModelProto":
        """Returns the whole, checked."""
        from onnx import TensorProto, checker, helper

        lengths = {"elem_type": TensorProto.INT32, "shape": ["B"]}
        floats = TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            "bilstm_ctc",
            [
                helper.make_tensor_value_info("features", floats, ["B", "T", num_features]),
                helper.make_tensor_value_info("feature_lengths", **lengths),
            ],
            [
                helper.make_tensor_value_info("logits", floats, ["B", "T", vocab_size]),
                helper.make_tensor_value_info("logit_lengths", **lengths),
            ],
            self._weights,
        )
        model = helper.make_model(
            graph,
            producer_name="bilstm-asr",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        checker.check_model(model, full_check=True)
        return model


def _input(model: "keras.Model", name: str) -> Any:
    found = [tensor for tensor in model.inputs if tensor.name == name]
    if len(found) != 1:
        raise ValueError(f"expected a network with an input {name}, received {model.inputs}")
    return found[0]


def _refusal(layer: Any) -> str:
    kind = type(layer).__name__
    if kind in ("ScannedRecurrent", "SelfAttention"):
        cell = layer.cell if kind == "ScannedRecurrent" else "attention"
        return f"layer {layer.name!r}: ONNX has no operator for its cell {cell}; Keras is used"
    return f"layer {layer.name!r}: expected one of {', '.join(sorted(_WRITERS))}, received {kind}"


def _write_recurrent(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    """Adds one node, and joins its D directions: [T, B, F] to [T, B, D * units]."""
    name, units = layer.name, layer.units
    weights = [np.asarray(array, np.float32) for array in layer.get_weights()]
    starts = range(0, len(weights), 3)
    directions = [_CONVERTERS[layer.cell](*weights[start : start + 3]) for start in starts]
    kernels, recurrent_kernels, biases = (np.stack(each) for each in zip(*directions, strict=True))
    attributes = {"linear_before_reset": 1} if layer.cell == "gru" else {}
    output = graph.add(
        _OPERATORS[layer.cell],
        [
            inputs[0],
            graph.weight(f"{name}/W", kernels),
            graph.weight(f"{name}/R", recurrent_kernels),
            graph.weight(f"{name}/B", biases),
            inputs[1],  # sequence_lens: the backward direction begins at a row's own last frame
        ],
        f"{name}/directions",  # [T, D, B, units]
        direction="bidirectional" if layer.bidirectional else "forward",
        hidden_size=units,
        **attributes,
    )
    graph.add("Transpose", [output], f"{name}/rows", perm=[0, 2, 1, 3])
    shape = graph.weight(f"{name}/shape", [0, 0, len(directions) * units], np.int64)  # 0: as it is
    return graph.add("Reshape", [f"{name}/rows", shape], f"{name}/output")


def _convert_lstm(kernel: Array, recurrent_kernel: Array, bias: Array) -> tuple[Array, ...]:
    reorder = [np.split(np.arange(len(bias)), 4)[gate] for gate in _LSTM_GATES]
    gates = np.concatenate(reorder)
    biases = np.concatenate([bias[gates], np.zeros_like(bias)])
    return kernel.T[gates], recurrent_kernel.T[gates], biases


def _convert_gru(kernel: Array, recurrent_kernel: Array, bias: Array) -> tuple[Array, ...]:
    return kernel.T, recurrent_kernel.T, bias.reshape(-1)


def _convert_rnn(kernel: Array, recurrent_kernel: Array, bias: Array) -> tuple[Array, ...]:
    return kernel.T, recurrent_kernel.T, np.concatenate([bias, np.zeros_like(bias)])


def _write_dense(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    name, activation = layer.name, layer.activation.__name__
    if activation not in ("linear", "relu"):
        raise ValueError(f"layer {name!r}: expected linear or relu, received {activation}")
    kernel = graph.weight(f"{name}/kernel", layer.get_weights()[0])
    output = graph.add("MatMul", [inputs[0], kernel], f"{name}/product")
    if layer.use_bias:
        bias = graph.weight(f"{name}/bias", layer.get_weights()[1])
        output = graph.add("Add", [output, bias], f"{name}/sum")
    return graph.add("Relu", [output], f"{name}/relu") if activation == "relu" else output


def _write_norm(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    # Over the last axis: Keras can build it over no other one, their sizes being unknown.
    name, width = layer.name, layer.output.shape[-1]
    scale = np.ones(width) if layer.gamma is None else np.asarray(layer.gamma)
    shift = np.zeros(width) if layer.beta is None else np.asarray(layer.beta)
    return graph.add(
        "LayerNormalization",
        [inputs[0], graph.weight(f"{name}/scale", scale), graph.weight(f"{name}/shift", shift)],
        f"{name}/output",
        axis=-1,
        epsilon=float(layer.epsilon),
    )


def _write_add(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    if len(inputs) != 2:
        raise ValueError(f"layer {layer.name!r}: expected two inputs, received {len(inputs)}")
    return graph.add("Add", inputs, f"{layer.name}/output")


def _write_nothing(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    del graph, layer  # dropout: nothing once training is over
    return inputs[0]


_CONVERTERS: dict[str, Callable[[Array, Array, Array], tuple[Array, ...]]] = {
    "lstm": _convert_lstm,
    "gru": _convert_gru,
    "rnn": _convert_rnn,
}
_WRITERS: dict[str, Callable[[_Graph, Any, list[str]], str]] = {
    "Add": _write_add,
    "BidirectionalRecurrent": _write_recurrent,
    "Dense": _write_dense,
    "Dropout": _write_nothing,
    "LayerNormalization": _write_norm,
}
