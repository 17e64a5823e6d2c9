"""What an ONNX file may hold to be opened: a plain graph of the operators our networks are made of.

Models come from strangers. A file in this format may also name other files to be read as weights,
loops that need not end, and operators of other people's code. None of that is in the files that
`models.onnx_graph` writes, so none of it is let through to ONNX Runtime. The format is Protocol
Buffers (https://protobuf.dev/programming-guides/encoding/, fields as numbered in onnx.proto), of
which the few fields that matter are read here: the onnx package is not needed to use a model.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.errors import BundleError

MAX_BYTES = 2**31 - 1
"""Protocol Buffers end there."""

OPERATORS = frozenset(
    {
        *("Add", "Cast", "Identity", "LayerNormalization", "MatMul", "Mul", "Relu"),
        *("GRU", "LSTM", "RNN", "Reshape", "Transpose"),
        *("DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger"),
    }
)
_DOMAINS = ("", "ai.onnx", "com.microsoft")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE_TENSOR = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER = 1, 3
_ATTRIBUTE_PLAIN = frozenset({1, 2, 3, 4, 7, 8, 9, 13, 20, 21})  # numbers, strings, their names
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14

Field = tuple[int, int | memoryview]


def read_onnx(path: Path) -> tuple[bytes, int]:
    """Reads an ONNX file and makes sure that it holds nothing but a network.

    Args:
        path: The file.

    Returns:
        Its content, and the width of its widest recurrent layer in one direction.

    Raises:
        BundleError: It cannot be read, is no ONNX file, or holds what a network of ours does not.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path}: expected at most {MAX_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: expected a readable file: {error.strerror}") from None
    try:
        units = _check_model(memoryview(content))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: expected an ONNX network ({error})") from None
    return content, units


def _check_model(data: memoryview) -> int:
    graphs = [_message(value) for number, value in _fields(data) if number == _MODEL_GRAPH]
    if len(graphs) != 1:
        raise ValueError(f"expected one graph, received {len(graphs)}")
    if any(number == _MODEL_FUNCTIONS for number, _ in _fields(data)):
        raise ValueError("functions are not part of one")
    units = 0
    for number, value in _fields(graphs[0]):
        if number == _GRAPH_NODE:
            units = max(units, _check_node(_message(value)))
        elif number == _GRAPH_TENSOR:
            _check_tensor(_message(value))
        elif number == _GRAPH_SPARSE_TENSOR:
            raise ValueError("sparse weights are not part of one")
    if units < 1:
        raise ValueError("there is no recurrent layer in it")
    return units


def _check_node(node: memoryview) -> int:
    """Returns the width of a recurrent node; 0 of any other."""
    operator = domain = ""
    units = 0
    for number, value in _fields(node):
        if number == _NODE_OPERATOR:
            operator = str(_message(value), "utf-8")
        elif number == _NODE_DOMAIN:
            domain = str(_message(value), "utf-8")
        elif number == _NODE_ATTRIBUTE:
            units = max(units, _check_attribute(_message(value)))
    if operator not in OPERATORS or domain not in _DOMAINS:
        name = f"{domain}.{operator}" if domain else operator
        raise ValueError(f"the operator {name!r} is not part of one")
    return units


def _check_attribute(attribute: memoryview) -> int:
    """Returns the value of `hidden_size`; 0 for any other attribute."""
    name, integer = "", 0
    for number, value in _fields(attribute):
        if number not in _ATTRIBUTE_PLAIN:
            raise ValueError("graphs and weights within a node are not part of one")
        if number == _ATTRIBUTE_NAME:
            name = str(_message(value), "utf-8")
        elif number == _ATTRIBUTE_INTEGER and isinstance(value, int):
            integer = value
    return integer if name == "hidden_size" else 0


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
            raise ValueError("weights in other files are not part of one")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number is where a message should be")
    return value


def _fields(data: memoryview) -> Iterator[Field]:
    """Yields the fields of a message: their number, and a number or bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        value: int | memoryview
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("not in its format")
        if position + size > len(data):
            raise ValueError("cut off")
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Returns a number of 7 bits a byte, lowest first, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("not in its format")
