"""What a recurrent cell is, and the one loop over frames that runs any of them.

Notation of all formulas: x_t the input [F] of frame t, h_t the output and c_t the memory [units],
σ the logistic function, ⊙ the product of elements. W are weights of the input, U of the state one
frame earlier, w vectors. States begin at zero.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

States = tuple[Any, ...]
"""Tensors [B, units]: the output first; then, where the cell has one, the memory."""


class Cell(keras.layers.Layer):
    """A recurrent cell in one direction, with zero states to begin with.

    A cell says what of every frame needs no state (`project`, one large product for all frames)
    and what has to be done frame after frame (`step`); `scan` does the rest.

    Args:
        units: Width of its output, and of each of its states.

    Attributes:
        num_states: Tensors that are carried from a frame to the next.
        passes_memory: Whether a layer of it hands its memory to the layer above, besides its
            output.
    """

    num_states = 2
    passes_memory = False

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, sequences_shape: Any, lower_shape: Any = None) -> None:
        """Creates the weights.

        Args:
            sequences_shape: Of the input, (B, T, F).
            lower_shape: Of the memory of the layer below, (B, T, units); None if there is none.
        """
        raise NotImplementedError

    def num_parameters(self, num_inputs: int, *, is_lowest: bool = True) -> int:
        """Returns how many weights it has, by its formula, before they are created.

        Args:
            num_inputs: F, values of a frame.
            is_lowest: Whether there is no layer of the same cell below.
        """
        raise NotImplementedError

    def project(self, sequences: Any, lower: Any = None) -> tuple[Any, ...]:
        """Computes what of every frame needs no state.

        Args:
            sequences: Float tensor [B, T, F].
            lower: The memory of the layer below, [B, T, units], if there is one.

        Returns:
            Float tensors [B, T, ·]; `step` gets one frame of each.
        """
        del lower
        return (ops.matmul(sequences, self.kernel) + self.bias,)

    def loop_weight(self) -> Any:
        """Returns the matrix that `step` multiplies a state by, made once for all frames."""
        return self.recurrent_kernel

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Goes on by one frame.

        Args:
            frame: One frame of what `project` gave, [B, ·] each.
            states: Those after the frame before.
            position: Number of the frame within its row, from 0, in the order of the scan.
            weight: What `loop_weight` gave.

        Returns:
            The states after this frame.
        """
        raise NotImplementedError

    def _add_kernels(self, num_inputs: int, biases: Sequence[float]) -> None:
        """Creates W [F, G], U [units, G] and b [G] for G = units times the number of biases."""
        width = len(biases) * self.units
        self.kernel = self.add_weight(
            shape=(num_inputs, width), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(
            shape=(width,), initializer=_blocks(self.units, biases), name="bias"
        )

    def _add_diagonal(self, name: str) -> Any:
        """Creates w [units]: nothing of the memory is looked at until it is learnt."""
        return self.add_weight(shape=(self.units,), initializer="zeros", name=name)


def scan(cell: Cell, sequences: Any, lower: Any = None) -> States:
    """Runs a cell over rows, from their first frame to their last.

    Args:
        cell: A built cell.
        sequences: Float tensor [B, T, F].
        lower: The memory of the layer below, [B, T, units], if there is one.

    Returns:
        The states after every frame, [B, T, units] each.
    """
    parts = cell.project(sequences, lower)
    # One tensor to scan over: of several, Keras 3.15 on TensorFlow wants to know T beforehand. For
    # the same reason the position is carried along.
    frames = _swap(parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1))
    ends = np.cumsum([part.shape[-1] for part in parts])[:-1].tolist()
    zero = ops.zeros((ops.shape(sequences)[0], cell.units), dtype=frames.dtype)
    weight = ops.convert_to_tensor(cell.loop_weight())

    def step(carried: States, at: Any) -> tuple[States, States]:
        position, *states = carried
        frame = tuple(ops.split(at, ends, axis=-1)) if ends else (at,)
        carried = (position + 1, *cell.step(frame, tuple(states), position, weight))
        return carried, carried

    start = ops.zeros((), dtype="int32")
    _, (_, *traces) = ops.scan(step, (start, *(zero,) * cell.num_states), frames)
    return tuple(_swap(each) for each in traces)


def gates(z: Any, count: int) -> list[Any]:
    """Cuts [B, count * units] into its gates, [B, units] each."""
    return ops.split(z, count, axis=-1)


def _swap(tensor: Any) -> Any:
    return ops.transpose(tensor, (1, 0, 2))


def _blocks(units: int, values: Sequence[float]) -> Any:
    """An initialiser of biases: one value for each gate."""

    def initialise(shape: Any, dtype: Any = None) -> Any:
        del shape
        return ops.repeat(ops.convert_to_tensor(list(values), dtype=dtype), units)

    return initialise
