"""The grid LSTM in two dimensions, time and depth: memories go both ways."""

from typing import Any

from keras import ops

from models.cells.cell import Cell, States, gates


class Grid(Cell):
    """Two LSTMs at every crossing of frame and layer, one along time and one up the layers.

    Kalchbrenner, Danihelka and Graves, "Grid long short-term memory", 2015. Both read what comes
    from the frame before, h, and from the layer below, h'; each has a memory of its own, m from
    the frame before and m' from the layer below. For each of the two, with weights of its own:

        i, f, o = σ(W h' + U h + b);   g = tanh(W h' + U h + b)
        m ← f ⊙ m + i ⊙ g
        h ← tanh(o ⊙ m)

    What goes to the next frame is h and m of the first, what goes up is h and m of the second. The
    lowest layer has no layer below and projects its input to both: h' = P x_t, m' = Q x_t. In a
    bidirectional network, h' is the output of both directions below, as in any other cell, and m'
    the memory of the same direction.

    Parameters: 8 units (F + units + 1) above the lowest layer, which has 8 units (2 units + 1) +
    2 units F; the gates in the order i, f, g, o along time, then the same along depth.
    """

    num_states = 4  # h and m that go up, h and m that go on
    passes_memory = True

    def build(self, sequences_shape: Any, lower_shape: Any = None) -> None:
        """Creates W, U and b of both, and P and Q in the lowest layer; see `Cell.build`."""
        num_inputs = sequences_shape[-1]
        self.is_lowest = lower_shape is None
        if self.is_lowest:
            self.input_kernel = self.add_weight(
                shape=(num_inputs, 2 * self.units),
                initializer="glorot_uniform",
                name="input_kernel",
            )
        self._add_kernels(
            self.units if self.is_lowest else num_inputs, (0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
        )
        self.built = True

    def num_parameters(self, num_inputs: int, *, is_lowest: bool = True) -> int:
        """Returns 8 units (F + units + 1), or 8 units (2 units + 1) + 2 units F at the lowest."""
        if is_lowest:
            return 8 * self.units * (2 * self.units + 1) + 2 * self.units * num_inputs
        return 8 * self.units * (num_inputs + self.units + 1)

    def project(self, sequences: Any, lower: Any = None) -> tuple[Any, ...]:
        """Returns W h' + b of both LSTMs, and m'."""
        if self.is_lowest:
            sequences, lower = gates(ops.matmul(sequences, self.input_kernel), 2)
        return *super().project(sequences), lower

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Returns h and m that go up, then h and m that go on; see `Cell.step`."""
        del position
        projected, below = frame
        _, _, h, m = states
        along_time, along_depth = gates(projected + ops.matmul(h, weight), 2)
        return *_transform(along_depth, below), *_transform(along_time, m)


def _transform(z: Any, m: Any) -> tuple[Any, Any]:
    """Returns h and m after an LSTM's gates, [B, 4 * units], have met its memory."""
    z_i, z_f, z_g, z_o = gates(z, 4)
    m = ops.sigmoid(z_f) * m + ops.sigmoid(z_i) * ops.tanh(z_g)
    return ops.tanh(ops.sigmoid(z_o) * m), m
