"""What a trained network does at every step: the gates and states of its recurrent layers.

The network itself says what goes into each layer and what comes out. Between the two a layer is run
once more, in numpy and double precision, frame by frame and gate by gate, with the layer's weights.
How far that is from what came out is in every trace: gates that are not the network's would show.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from models.gates import GATED_CELLS, Array, run_gates

if TYPE_CHECKING:
    import keras

Direction = Literal["forward", "backward", "both"]
_WAYS: tuple[Direction, ...] = ("forward", "backward")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One direction of one layer over one row, its steps in the order of the recording.

    Attributes:
        layer: Its number; 1 is the lowest.
        direction: "backward" has read what comes after a step; "both" is attention to all steps.
        cell: What the layer is made of.
        gates: How far each gate is open, from 0 to 1, float64 [T, units], the one that keeps the
            memory first; none in some cells.
        kept: Share of each unit's memory that a step leaves of it, from 0 to 1, [T, units]; None
            where the cell has no gate or rule of its own for that.
        memory: c, [T, units]; None where the cell's only state is what it gives.
        output: What the layer gives, [T, units].
        deviation: The largest difference between `output` and what the network itself computed.
    """

    layer: int
    direction: Direction
    cell: str
    gates: Mapping[str, Array]
    kept: Array | None
    memory: Array | None
    output: Array
    deviation: float

    @property
    def state(self) -> Array:
        """What is remembered from step to step: the memory, or else the output, [T, units]."""
        return self.output if self.memory is None else self.memory


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTrace:
    """A whole network over one row.

    Attributes:
        logits: What it gave, float32 [T, V].
        layers: Its layers from the lowest up, of each the forward direction first.
    """

    logits: npt.NDArray[np.float32]
    layers: tuple[Trace, ...]


def trace_network(
    model: "keras.Model", features: npt.NDArray[np.float32], lengths: npt.NDArray[np.int32]
) -> list[NetworkTrace]:
    """Runs a network and traces its recurrent and attention layers.

    Products that the network computes in bfloat16 are computed in float32 here, as they are once
    it has been exported.

    Args:
        model: As `models.bilstm` builds it.
        features: float32 [B, T, F], right-padded.
        lengths: int32 [B], valid steps of each row, at least one.

    Returns:
        A trace for each row, of its valid steps.
    """
    import keras

    layers = [layer for layer in model.layers if _is_traced(layer)]
    tensors = [(_inputs(layer), _list(layer.output)) for layer in layers]
    probe = keras.Model(model.input, [model.output, *_flat(tensors)])
    with _in_float32(layers):
        found = probe.predict_on_batch({"features": features, "feature_lengths": lengths})
    logits, *arrays = map(np.asarray, found)
    return [
        NetworkTrace(
            logits=logits[row, :length],
            layers=tuple(_layers(layers, tensors, [each[row, :length] for each in arrays])),
        )
        for row, length in enumerate(lengths.tolist())
    ]


def _layers(
    layers: Sequence[Any], tensors: Sequence[tuple[list[Any], list[Any]]], arrays: list[Any]
) -> Iterator[Trace]:
    """Yields the traces of all layers over one row, from what went into and came out of each."""
    values = iter(arrays)
    for number, (layer, (inputs, outputs)) in enumerate(zip(layers, tensors, strict=True), start=1):
        given = [np.asarray(next(values), np.float64) for _ in inputs]
        output, *_ = [np.asarray(next(values), np.float64) for _ in outputs]
        yield from trace_layer(layer, given, output, number=number)


def trace_layer(
    layer: Any, inputs: Sequence[Array], output: Array, *, number: int
) -> Iterator[Trace]:
    """Yields the traces of a layer's directions over one row.

    Args:
        layer: A built layer of `models.recurrent` or `models.cells`.
        inputs: What it takes: [T, F] and, of some cells, the memory below [T, D * units].
        output: What it gave, [T, D * units].
        number: Its number.
    """
    cells = _cells(layer)
    cell = getattr(layer, "cell", "attention")
    if not cells:
        causal: Direction = "forward" if layer.is_causal else "both"
        yield _ungated(number, causal, cell, output)
        return
    sequences, *lower = inputs
    belows = np.split(lower[0], len(cells), axis=1) if lower else [None] * len(cells)
    outputs = np.split(output, len(cells), axis=1)
    for way, part, below, own in zip(_WAYS, cells, belows, outputs, strict=False):
        if cell not in GATED_CELLS:
            yield _ungated(number, way, cell, own)
            continue
        turn = slice(None, None, 1 if way == "forward" else -1)
        weights = {one.name: np.asarray(one.numpy(), np.float64) for one in part.weights}
        found = run_gates(
            cell, weights, sequences[turn], lower=None if below is None else below[turn]
        )
        yield Trace(
            layer=number,
            direction=way,
            cell=cell,
            gates={name: gate[turn] for name, gate in found.gates.items()},
            kept=found.kept[turn],
            memory=None if found.memory is None else found.memory[turn],
            output=found.output[turn],
            deviation=float(np.abs(found.output[turn] - own).max()),
        )


def _ungated(number: int, direction: Direction, cell: str, output: Array) -> Trace:
    return Trace(
        layer=number,
        direction=direction,
        cell=cell,
        gates={},
        kept=None,
        memory=None,
        output=output,
        deviation=0.0,
    )


# The layers as Keras has them.


def _is_traced(layer: Any) -> bool:
    from models.cells.attention import SelfAttention
    from models.cells.layer import ScannedRecurrent
    from models.recurrent import BidirectionalRecurrent

    return isinstance(layer, BidirectionalRecurrent | ScannedRecurrent | SelfAttention)


def _cells(layer: Any) -> list[Any]:
    """Returns the layer's cells, one for each direction; none of attention."""
    if hasattr(layer, "forward_layer"):
        parts = [layer.forward_layer, layer.backward_layer]
        return [part.cell for part in parts if part is not None]
    if hasattr(layer, "forward_cell"):
        return [part for part in (layer.forward_cell, layer.backward_cell) if part is not None]
    return []


def _inputs(layer: Any) -> list[Any]:
    """Returns what a layer takes but the lengths, which come second."""
    sequences, _, *lower = layer.input
    return [sequences, *lower]


def _flat(tensors: Sequence[tuple[list[Any], list[Any]]]) -> Iterator[Any]:
    for inputs, outputs in tensors:
        yield from (*inputs, *outputs)


def _list(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


@contextlib.contextmanager
def _in_float32(layers: Sequence[Any]) -> Iterator[None]:
    """Lets layers that multiply in bfloat16 do so in float32 meanwhile."""
    rounding = [layer for layer in layers if getattr(layer, "precision", "float32") != "float32"]
    before = [layer.precision for layer in rounding]
    try:
        for layer in rounding:
            layer.precision = "float32"
        yield
    finally:
        for layer, precision in zip(rounding, before, strict=True):
            layer.precision = precision
