"""Cells with a memory and gates in front of it: the LSTM before and after its standard form."""

from typing import Any

from keras import ops

from models.cells.cell import Cell, States, gates


class _ThreeGates(Cell):
    """A cell with the gates i, g, o, and no more than their kernels and biases."""

    first_biases = (0.0, 0.0, 0.0)
    """What the gates' biases begin at."""

    def build(self, sequences_shape: Any, lower_shape: Any = None) -> None:
        """Creates W, U and b; see `Cell.build`."""
        del lower_shape
        self._add_kernels(sequences_shape[-1], self.first_biases)
        self.built = True

    def num_parameters(self, num_inputs: int, *, is_lowest: bool = True) -> int:
        """Returns 3 units (F + units + 1)."""
        del is_lowest
        return 3 * self.units * (num_inputs + self.units + 1)


class LSTM1997(_ThreeGates):
    """The LSTM as it was first: input and output gates, and a memory that keeps everything.

    Hochreiter and Schmidhuber, "Long short-term memory", 1997:

        i, o = σ(W x_t + U h_{t-1} + b);   g = tanh(W x_t + U h_{t-1} + b)
        c_t = c_{t-1} + i ⊙ g
        h_t = o ⊙ tanh(c_t)

    What reaches c_t comes back to c_{t-1} unchanged: the constant error carousel. Nothing is ever
    forgotten; the forget gate is of Gers, Schmidhuber and Cummins, 2000. The paper squashes g to
    -2..2 and c_t by another logistic function, blocks of several memories share their gates, and
    gradients are cut off at the gates; here all are those of today.

    Parameters: 3 units (F + units + 1), the gates in the order i, g, o.
    """

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Returns h_t and c_t; see `Cell.step`."""
        del position
        h, c = states
        z_i, z_g, z_o = gates(frame[0] + ops.matmul(h, weight), 3)
        c = c + ops.sigmoid(z_i) * ops.tanh(z_g)
        return ops.sigmoid(z_o) * ops.tanh(c), c


class Peephole(Cell):
    """The LSTM whose gates look at the memory itself, not only at what is let out of it.

    Gers and Schmidhuber, "Recurrent nets that time and count", 2000, in the form of Graves, 2013:

        i = σ(W x_t + U h_{t-1} + w ⊙ c_{t-1} + b);   f likewise, with its own w
        g = tanh(W x_t + U h_{t-1} + b)
        c_t = f ⊙ c_{t-1} + i ⊙ g
        o = σ(W x_t + U h_{t-1} + w ⊙ c_t + b)
        h_t = o ⊙ tanh(c_t)

    Each memory is seen by its own gates only. With w = 0, as it begins, it is the standard LSTM.

    Parameters: 4 units (F + units + 1) + 3 units, the gates in the order i, f, g, o.
    """

    def build(self, sequences_shape: Any, lower_shape: Any = None) -> None:
        """Creates W, U, b and the three w; see `Cell.build`."""
        del lower_shape
        self._add_kernels(sequences_shape[-1], (0.0, 1.0, 0.0, 0.0))
        self.input_peephole = self._add_diagonal("input_peephole")
        self.forget_peephole = self._add_diagonal("forget_peephole")
        self.output_peephole = self._add_diagonal("output_peephole")
        self.built = True

    def num_parameters(self, num_inputs: int, *, is_lowest: bool = True) -> int:
        """Returns 4 units (F + units + 1) + 3 units."""
        del is_lowest
        return 4 * self.units * (num_inputs + self.units + 1) + 3 * self.units

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Returns h_t and c_t; see `Cell.step`."""
        del position
        h, c = states
        z_i, z_f, z_g, z_o = gates(frame[0] + ops.matmul(h, weight), 4)
        i = ops.sigmoid(z_i + self.input_peephole * c)
        f = ops.sigmoid(z_f + self.forget_peephole * c)
        c = f * c + i * ops.tanh(z_g)
        return ops.sigmoid(z_o + self.output_peephole * c) * ops.tanh(c), c


class Coupled(_ThreeGates):
    """The LSTM that forgets exactly as much as it takes in.

    "CIFG" of Greff et al., "LSTM: a search space odyssey", 2017:

        i, o = σ(W x_t + U h_{t-1} + b);   g = tanh(W x_t + U h_{t-1} + b)
        c_t = (1 - i) ⊙ c_{t-1} + i ⊙ g
        h_t = o ⊙ tanh(c_t)

    The input gate's bias begins at -1: it then forgets like an LSTM whose forget gate begins at 1.

    Parameters: 3 units (F + units + 1), the gates in the order i, g, o.
    """

    first_biases = (-1.0, 0.0, 0.0)

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Returns h_t and c_t; see `Cell.step`."""
        del position
        h, c = states
        z_i, z_g, z_o = gates(frame[0] + ops.matmul(h, weight), 3)
        i = ops.sigmoid(z_i)
        c = (1 - i) * c + i * ops.tanh(z_g)
        return ops.sigmoid(z_o) * ops.tanh(c), c


class DepthGated(Cell):
    """The LSTM whose memory is fed by the memory of the layer below, through a gate.

    Yao et al., "Depth-gated recurrent neural networks", 2015. With c' the memory below:

        i, f, o = σ(W x_t + U h_{t-1} + b);   g = tanh(W x_t + U h_{t-1} + b)
        d = σ(W x_t + w ⊙ c_{t-1} + v ⊙ c'_t + b)
        c_t = d ⊙ c'_t + f ⊙ c_{t-1} + i ⊙ g
        h_t = o ⊙ tanh(c_t)

    The lowest layer has no d, and is the standard LSTM. The paper's i, f and o look at the memory
    too (see `Peephole`); left out here, what is measured is the depth gate.

    Parameters: 4 units (F + units + 1), and units (F + 3) more above the lowest layer; the gates
    in the order i, f, g, o, d.
    """

    passes_memory = True

    def build(self, sequences_shape: Any, lower_shape: Any = None) -> None:
        """Creates W, U and b, and above the lowest layer those of d, w and v; see `Cell.build`."""
        num_inputs = sequences_shape[-1]
        self._add_kernels(num_inputs, (0.0, 1.0, 0.0, 0.0))
        if lower_shape is not None:
            self.depth_kernel = self.add_weight(
                shape=(num_inputs, self.units), initializer="glorot_uniform", name="depth_kernel"
            )
            self.depth_bias = self._add_diagonal("depth_bias")
            self.own_peephole = self._add_diagonal("own_peephole")
            self.lower_peephole = self._add_diagonal("lower_peephole")
        self.built = True

    def num_parameters(self, num_inputs: int, *, is_lowest: bool = True) -> int:
        """Returns 4 units (F + units + 1), and units (F + 3) more above the lowest layer."""
        depth = 0 if is_lowest else self.units * (num_inputs + 3)
        return 4 * self.units * (num_inputs + self.units + 1) + depth

    def project(self, sequences: Any, lower: Any = None) -> tuple[Any, ...]:
        """Returns W x + b of the LSTM; with a layer below, also that of d, and c'."""
        (projected,) = super().project(sequences)
        if lower is None:
            return (projected,)
        depth = ops.matmul(sequences, self.depth_kernel) + self.depth_bias
        return projected, depth + self.lower_peephole * lower, lower

    def step(self, frame: tuple[Any, ...], states: States, position: Any, weight: Any) -> States:
        """Returns h_t and c_t; see `Cell.step`."""
        del position
        h, c = states
        projected, *depth = frame
        z_i, z_f, z_g, z_o = gates(projected + ops.matmul(h, weight), 4)
        kept = ops.sigmoid(z_f) * c + ops.sigmoid(z_i) * ops.tanh(z_g)
        if depth:
            z_d, lower = depth
            kept = kept + ops.sigmoid(z_d + self.own_peephole * c) * lower
        return ops.sigmoid(z_o) * ops.tanh(kept), kept
