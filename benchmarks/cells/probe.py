"""The gradient of a loss with respect to every state of a layer. Imports Keras.

Something is added to each state of each frame, zero here; the gradient with respect to that is the
state's: what reaches the loss by way of every later frame.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from models.cells.attention import SelfAttention
from models.cells.cell import scan

Array = npt.NDArray[np.floating]
_Probe = tuple[Callable[[Any], Any], int, dict[str, int]]
"""The answers for what is added [B, T, states * units]; how many states; and which are told."""


class KerasStep:
    """One of Keras's own cells in the form that `models.cells.cell.scan` runs.

    Args:
        cell: A built `LSTMCell`, `GRUCell` or `SimpleRNNCell`.
    """

    def __init__(self, cell: Any) -> None:
        self._cell = cell
        self.units = cell.units
        self.num_states = 2 if isinstance(cell, keras.layers.LSTMCell) else 1

    def project(self, sequences: Any, lower: Any = None) -> tuple[Any, ...]:
        """Returns the input as it is: Keras's cells multiply it frame by frame."""
        del lower
        return (sequences,)

    def loop_weight(self) -> Any:
        """Returns what the cell itself knows."""
        return self._cell.recurrent_kernel

    def step(self, frame: Any, states: Any, position: Any, weight: Any) -> tuple[Any, ...]:
        """Goes on by one frame."""
        del position, weight
        _, after = self._cell.call(frame[0], list(states))
        return tuple(after)


class ProbedCell:
    """A cell with something added to every state after every frame.

    Args:
        cell: One of `models.cells`, built, or a `KerasStep`.
    """

    def __init__(self, cell: Any) -> None:
        self._cell = cell
        self.units = cell.units
        self.num_states = cell.num_states

    def project(self, sequences: Any, lower: Any = None) -> tuple[Any, ...]:
        """Returns what the cell projects and, last, what is added."""
        return (*self._cell.project(sequences), lower)

    def loop_weight(self) -> Any:
        """Returns the cell's."""
        return self._cell.loop_weight()

    def step(self, frame: Any, states: Any, position: Any, weight: Any) -> tuple[Any, ...]:
        """Goes on by one frame, then adds."""
        *own, added = frame
        after = self._cell.step(tuple(own), states, position, weight)
        parts = ops.split(added, self.num_states, axis=-1)
        return tuple(state + part for state, part in zip(after, parts, strict=True))


def state_gradients(model: keras.Model, rows: Array, answers: Array) -> dict[str, Array]:
    """Returns ∂loss/∂state of every row and frame, for the loss (answer - given)² of each row.

    Args:
        model: Of `benchmarks.cells.sequence_model.build`, of one layer, for the adding problem.
        rows: [B, T, F].
        answers: [B, 1].

    Returns:
        By "output" and, where the cell has one, "memory": [B, T, units] each. Of a grid these are
        the two that go on in time; of attention, "output" is what its block is given.
    """
    layer = next(one for one in model.layers if one.name in ("unidirectional_0", "attention_0"))
    last = _attention if isinstance(layer, SelfAttention) else _recurrent
    run, num_states, places = last(model, layer, rows)

    def loss(added: Any) -> Any:
        return ops.sum(ops.square(run(added) - answers))

    units = model.get_layer("logits").kernel.shape[0]
    found = gradient(loss, np.zeros((*rows.shape[:2], num_states * units), rows.dtype))
    return {
        name: found[:, :, place * units : (place + 1) * units] for name, place in places.items()
    }


def gradient(function: Callable[[Any], Any], at: Array) -> Array:
    """Returns the gradient of a scalar function of one array."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(at))
    import tensorflow as tf

    place = tf.convert_to_tensor(at)
    with tf.GradientTape() as tape:
        tape.watch(place)
        value = function(place)
    return np.asarray(tape.gradient(value, place))


def _recurrent(model: keras.Model, layer: Any, rows: Array) -> _Probe:
    head = model.get_layer("logits")
    is_own = hasattr(layer, "forward_cell")
    cell = ProbedCell(layer.forward_cell if is_own else KerasStep(layer.forward_layer.cell))
    first = 2 if cell.num_states == 4 else 0  # of a grid, the first two go up and not on
    names = ("output", "memory")[: cell.num_states]

    def run(added: Any) -> Any:
        outputs, *_ = scan(cell, ops.convert_to_tensor(rows), added)  # type: ignore[arg-type]
        return head(outputs[:, -1])

    return run, cell.num_states, {name: first + n for n, name in enumerate(names)}


def _attention(model: keras.Model, layer: Any, rows: Array) -> _Probe:
    """What is added is added to the embedding of the block's rows.

    That is the embedding of longer frames, whose further values are multiplied by one.
    """
    head, norm = model.get_layer("logits"), model.get_layer("norm_output")
    wider = SelfAttention.from_config(layer.get_config())
    wider.build((None, None, rows.shape[-1] + layer.width))
    kernel, *others = layer.get_weights()
    wider.set_weights([np.concatenate([kernel, np.eye(layer.width, dtype=kernel.dtype)]), *others])

    def run(added: Any) -> Any:
        frames = ops.concatenate([ops.convert_to_tensor(rows), added], axis=-1)
        lengths = ops.full((rows.shape[0],), rows.shape[1], dtype="int32")
        return head(norm(wider(frames, lengths))[:, -1])

    return run, 1, {"output": 0}
