"""The clockwork RNN: a simple recurrent network whose parts keep different time."""

from typing import Any

import numpy as np
from keras import ops

from models.cells.cell import Cell, States

MAX_MODULES = 31
"""The slowest of them has the longest period that an int32 can hold."""


class Clockwork(Cell):
    """A simple recurrent network in modules, of which the slow ones are rarely renewed.

    Koutník et al., "A clockwork RNN", 2014. Module k of K has units / K units and the period
    2^k, k = 0 ... K-1. At frame t, counted from 0 at the row's first frame in the direction of the
    layer, the modules whose period divides t are renewed and the others keep what they have:

        h_t = tanh(W x_t + U h_{t-1} + b)   in the former
        h_t = h_{t-1}                       in the latter

    A module sees itself and the slower ones, so U is a triangle of blocks; only these are weights.
    With one module it is the simple recurrent network.

    Parameters: units (F + 1) + units² (K + 1) / (2 K).

    Args:
        units: Width of all modules together.
        num_modules: K, which divides the units.
    """

    num_states = 1

    def __init__(self, units: int, *, num_modules: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if not 1 <= num_modules <= MAX_MODULES or units % num_modules:
            raise ValueError(
                f"num_modules: expected a divisor of the {units} units, at most {MAX_MODULES}, "
                f"received {num_modules}"
            )
        self.num_modules = num_modules

    def build(self, sequences_shape: Any, lower_shape: Any = None) -> None:
        """Creates W and b, and for each module U from what it sees; see `Cell.build`."""
        del lower_shape
        units, width = self.units, self.units // self.num_modules
        self.kernel = self.add_weight(
            shape=(sequences_shape[-1], units), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.recurrent_kernels = [
            self.add_weight(
                shape=(units - first, width), initializer="orthogonal", name=f"recurrent_{first}"
            )
            for first in range(0, units, width)
        ]
        self.built = True

    def num_parameters(self, num_inputs: int, *, is_lowest: bool = True) -> int:
        """Returns units (F + 1) + units² (K + 1) / (2 K)."""
        del is_lowest
        count = self.num_modules
        return self.units * (num_inputs + 1) + self.units**2 * (count + 1) // (2 * count)

    def loop_weight(self) -> Any:
        """Returns U [units, units], zero where a module would see a faster one."""
        columns = [
            ops.pad(kernel, ((self.units - kernel.shape[0], 0), (0, 0)))
            for kernel in self.recurrent_kernels
        ]
        return ops.concatenate(columns, axis=1)

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Returns h_t; see `Cell.step`."""
        (h,) = states
        periods = np.repeat(2 ** np.arange(self.num_modules), self.units // self.num_modules)
        is_due = ops.equal(position % ops.convert_to_tensor(periods, dtype="int32"), 0)
        return (ops.where(is_due, ops.tanh(frame[0] + ops.matmul(h, weight)), h),)
