"""The LSTM over a whole sequence on TensorFlow, with its gradient written out.

What costs time in a recurrent layer on a CPU is the part that cannot be batched over time. So as
little as possible is left in the loop:

* The input product x·W + b of all frames is one large matrix product before the loop.
* Going back, the derivatives of the gates are formed for all frames at once before the loop; the
  loop itself holds one product with Uᵀ and a handful of elementwise operations per frame.
* The weight gradients are one large product each after the loop. Automatic differentiation would
  instead add up a full-sized dU at every frame.

The equations are those of Keras (gate order i, f, g, o; Gers et al. 2000):

    z_t = x_t W + b + h_{t-1} U
    i, f, o = σ(z_i), σ(z_f), σ(z_o);   g = tanh(z_g)
    c_t = f c_{t-1} + i g;              h_t = o tanh(c_t)

The two directions of a bidirectional layer are two independent loops, which TensorFlow runs side by
side on two cores.
"""

from typing import Any

import tensorflow as tf


def lstm(sequences: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
    """Runs an LSTM forward over every row, from zero states.

    Args:
        sequences: Float tensor [B, T, F].
        kernel: W, [F, 4 * units].
        recurrent_kernel: U, [units, 4 * units].
        bias: b, [4 * units].

    Returns:
        Hidden states h, [B, T, units], of the type of `sequences`.
    """
    time_major = tf.transpose(sequences, [1, 0, 2])  # [T, B, F]
    kernel, recurrent_kernel, bias = (
        tf.cast(weight, time_major.dtype) for weight in (kernel, recurrent_kernel, bias)
    )
    projected = tf.tensordot(time_major, kernel, axes=1) + bias  # [T, B, 4 * units]
    projected.set_shape([sequences.shape[1], sequences.shape[0], kernel.shape[1]])
    return tf.transpose(_recurrence(projected, recurrent_kernel), [1, 0, 2])


@tf.custom_gradient
def _recurrence(projected: Any, recurrent_kernel: Any) -> tuple[Any, Any]:
    """Returns h [T, B, units] for x·W + b [T, B, 4 * units], and the function of its gradient."""
    gates, cells, hidden = _forward_loop(projected, recurrent_kernel)

    def gradient(hidden_gradient: Any) -> tuple[Any, Any]:
        return _gradients(hidden_gradient, gates, cells, hidden, recurrent_kernel)

    return hidden, gradient


def _forward_loop(projected: Any, recurrent_kernel: Any) -> tuple[Any, Any, Any]:
    """Returns activated gates [T, B, 4 * units], cell states and hidden states [T, B, units]."""
    num_frames, batch_size = tf.shape(projected)[0], tf.shape(projected)[1]
    units = recurrent_kernel.shape[0]
    state = tf.zeros([batch_size, units], projected.dtype)

    def step(t: Any, h: Any, c: Any, gates: Any, cells: Any, hidden: Any) -> tuple[Any, ...]:
        z = projected[t] + tf.matmul(h, recurrent_kernel)
        i_f = tf.sigmoid(z[:, : 2 * units])
        g = tf.tanh(z[:, 2 * units : 3 * units])
        o = tf.sigmoid(z[:, 3 * units :])
        c = i_f[:, units:] * c + i_f[:, :units] * g
        h = o * tf.tanh(c)
        activated = tf.concat([i_f, g, o], axis=1)
        return t + 1, h, c, gates.write(t, activated), cells.write(t, c), hidden.write(t, h)

    def trace(width: int) -> Any:
        return tf.TensorArray(projected.dtype, num_frames, element_shape=[None, width])

    traces = (trace(4 * units), trace(units), trace(units))
    *_, gates, cells, hidden = tf.while_loop(
        lambda t, *_: t < num_frames, step, (tf.constant(0), state, state, *traces)
    )
    return gates.stack(), cells.stack(), hidden.stack()


def _gradients(
    hidden_gradient: Any, gates: Any, cells: Any, hidden: Any, recurrent_kernel: Any
) -> tuple[Any, Any]:
    """Returns ∂/∂(x·W + b) [T, B, 4 * units] and ∂/∂U [units, 4 * units]."""
    units = recurrent_kernel.shape[0]
    i, f, g, o = tf.split(gates, 4, axis=2)
    tanh_c = tf.tanh(cells)
    cell_from_hidden = o * (1 - tanh_c * tanh_c)
    # ∂z / ∂c for the gates that feed the cell state, and ∂z_o / ∂h: all frames at once.
    factors = tf.concat(
        [g * i * (1 - i), _previous(cells) * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)],
        axis=2,
    )
    gate_gradients = _backward_loop(hidden_gradient, cell_from_hidden, factors, f, recurrent_kernel)
    recurrent_gradient = tf.matmul(
        tf.reshape(_previous(hidden), [-1, units]),
        tf.reshape(gate_gradients, [-1, 4 * units]),
        transpose_a=True,
    )
    return gate_gradients, recurrent_gradient


def _backward_loop(
    hidden_gradient: Any, cell_from_hidden: Any, factors: Any, forget: Any, recurrent_kernel: Any
) -> Any:
    """Returns ∂/∂z of every frame, [T, B, 4 * units], going from the last frame to the first."""
    num_frames = tf.shape(factors)[0]
    units = recurrent_kernel.shape[0]
    transposed_kernel = tf.transpose(recurrent_kernel)
    zero = tf.zeros_like(forget[0])

    def step(t: Any, dh: Any, dc: Any, gate_gradients: Any) -> tuple[Any, ...]:
        dh = dh + hidden_gradient[t]
        dc = dc + dh * cell_from_hidden[t]
        dz = tf.concat([dc, dc, dc, dh], axis=1) * factors[t]
        return t - 1, tf.matmul(dz, transposed_kernel), dc * forget[t], gate_gradients.write(t, dz)

    trace = tf.TensorArray(factors.dtype, num_frames, element_shape=[None, 4 * units])
    *_, gate_gradients = tf.while_loop(
        lambda t, *_: t >= 0, step, (num_frames - 1, zero, zero, trace)
    )
    return gate_gradients.stack()


def _previous(states: Any) -> Any:
    """Shifts [T, B, units] one frame later, with the zero state first."""
    return tf.concat([tf.zeros_like(states[:1]), states[:-1]], axis=0)
