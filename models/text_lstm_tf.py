"""What training a language model's LSTM spends its time on, written out for TensorFlow on a CPU.

Rows of text are cut to one length, so that the loop over it needs no packing (`models.fast_lstm`
has that, for speech) and can be unrolled. Processors that multiply bfloat16 do it three to four
times as fast as float32, but TensorFlow asks them to outside XLA only. So the matrix products stay
out of it, in the type that is asked for, and XLA makes one pass of what is between two of them.
Sums, gates and cell states are float32 whatever the products are.

The gradients are written out, for the reason that `models.fast_lstm` gives: the recurrent kernel's
is one large product after the loop, where automatic differentiation adds up one a step.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from models.xla import has_xla


def lstm(inputs: Any, kernel: Any, recurrent_kernel: Any, bias: Any, *, product_dtype: str) -> Any:
    """Runs an LSTM over rows of one length, from zero states.

    Args:
        inputs: Float tensor [B, T, F], T known.
        kernel: W [F, 4 * U], gates in Keras's order.
        recurrent_kernel: U [U, 4 * U].
        bias: b [4 * U].
        product_dtype: Type of the matrix products' factors and results.

    Returns:
        Hidden states, [B, T, U] of the type of the products.
    """

    @tf.custom_gradient
    def run(inputs: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> tuple[Any, Any]:
        steps = tf.transpose(tf.cast(inputs, product_dtype), [1, 0, 2])
        factors = tf.cast(kernel, product_dtype), tf.cast(recurrent_kernel, product_dtype)
        hidden, trace = _forward(steps, *factors, bias)

        def gradient(upstream: Any) -> tuple[Any, ...]:
            dz = _backward(tf.transpose(upstream, [1, 0, 2]), trace, factors[1])
            columns = tf.reshape(dz, [-1, dz.shape[2]])
            before = tf.reshape(tf.stack(trace[0]), [-1, recurrent_kernel.shape[0]])
            read = tf.reshape(steps, [-1, kernel.shape[0]])
            backwards = tf.matmul(columns, factors[0], transpose_b=True)
            by_row = tf.transpose(tf.reshape(backwards, tf.shape(steps)), [1, 0, 2])
            return (
                tf.cast(by_row, inputs.dtype),
                tf.cast(tf.matmul(read, columns, transpose_a=True), kernel.dtype),
                tf.cast(tf.matmul(before, columns, transpose_a=True), recurrent_kernel.dtype),
                tf.reduce_sum(tf.cast(columns, bias.dtype), axis=0),
            )

        return tf.transpose(hidden, [1, 0, 2]), gradient

    # Read, for TensorFlow refuses variables here.
    return run(inputs, *map(tf.identity, (kernel, recurrent_kernel, bias)))


def mean_surprise(columns: Any, table: Any, bias: Any, labels: Any, *, product_dtype: str) -> Any:
    """Returns the mean of -log softmax(columns · tableᵀ + bias)[labels].

    Args:
        columns: float32 [N, E].
        table: float32 [V, E].
        bias: float32 [V].
        labels: Integers [N].
        product_dtype: Type of the matrix product's factors and result.
    """
    factors = tf.cast(columns, product_dtype), tf.cast(table, product_dtype)
    return _mean_surprise(tf.matmul(*factors, transpose_b=True), bias, labels)


def _mean_surprise(logits: Any, bias: Any, labels: Any) -> Any:
    @tf.custom_gradient
    def run(logits: Any, bias: Any) -> tuple[Any, Any]:
        loss, dlogits, dbias = _surprise_program()(logits, bias, labels)
        return loss, lambda upstream: (tf.cast(upstream, dlogits.dtype) * dlogits, upstream * dbias)

    return run(logits, tf.identity(bias))


def _forward(
    steps: Any, kernel: Any, recurrent_kernel: Any, bias: Any
) -> tuple[Any, tuple[list[Any], list[Any], list[Any], list[Any]]]:
    """Returns h [T, B, U] and the trace: by step h before, c before, c, and the gates."""
    num_steps, units = steps.shape[0], recurrent_kernel.shape[0]
    flat = tf.matmul(tf.reshape(steps, [-1, steps.shape[2]]), kernel)
    h = tf.zeros([tf.shape(steps)[1], units], steps.dtype)
    c = tf.zeros(tf.shape(h), tf.float32)
    hidden, befores, cells, gates = [], [], [], []
    for z in tf.unstack(tf.reshape(flat, [num_steps, -1, 4 * units])):
        befores.append((h, c))
        h, c, gate = _cell_program()(z + tf.matmul(h, recurrent_kernel), bias, c)
        hidden.append(h)
        cells.append(c)
        gates.append(gate)
    return tf.stack(hidden), ([h for h, _ in befores], [c for _, c in befores], cells, gates)


def _backward(upstream: Any, trace: Any, recurrent_kernel: Any) -> Any:
    """Returns ∂/∂z [T, B, 4 * U] in the products' type."""
    _, befores, cells, gates = trace
    dh, dc = tf.zeros_like(upstream[0]), tf.zeros_like(cells[0])
    found = []
    for t in reversed(range(len(cells))):
        dz, dc = _cell_back_program()(upstream[t], dh, dc, gates[t], befores[t], cells[t])
        dh = tf.matmul(dz, recurrent_kernel, transpose_b=True)
        found.append(dz)
    return tf.stack(found[::-1])


def _cell(z: Any, bias: Any, c: Any) -> tuple[Any, Any, Any]:
    z_i, z_f, z_g, z_o = tf.split(tf.cast(z, tf.float32) + bias, 4, axis=1)
    i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
    c = f * c + i * g
    gates = tf.concat([i, f, g, o], axis=1)
    return tf.cast(o * tf.tanh(c), z.dtype), c, tf.cast(gates, z.dtype)


def _cell_back(
    upstream: Any, dh: Any, dc: Any, gates: Any, before: Any, cell: Any
) -> tuple[Any, Any]:
    i, f, g, o = tf.split(tf.cast(gates, tf.float32), 4, axis=1)
    dh = tf.cast(upstream, tf.float32) + tf.cast(dh, tf.float32)
    tanh_c = tf.tanh(cell)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    dz = [dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g)]
    dz.append(dh * tanh_c * o * (1 - o))
    return tf.cast(tf.concat(dz, axis=1), gates.dtype), dc * f


def _surprise(logits: Any, bias: Any, labels: Any) -> tuple[Any, Any, Any]:
    z = tf.cast(logits, tf.float32) + bias
    z = z - tf.reduce_max(z, axis=1, keepdims=True)
    powers = tf.exp(z)
    totals = tf.reduce_sum(powers, axis=1, keepdims=True)
    said = tf.one_hot(labels, tf.shape(logits)[1])
    count = tf.cast(tf.shape(logits)[0], tf.float32)
    losses = tf.math.log(totals)[:, 0] - tf.reduce_sum(z * said, axis=1)
    dz = (powers / totals - said) / count
    return tf.reduce_sum(losses) / count, tf.cast(dz, logits.dtype), tf.reduce_sum(dz, axis=0)


@functools.cache
def _cell_program() -> Any:
    return _program(_cell)


@functools.cache
def _cell_back_program() -> Any:
    return _program(_cell_back)


@functools.cache
def _surprise_program() -> Any:
    return _program(_surprise)


def _program(function: Callable[..., Any]) -> Any:
    return tf.function(function, jit_compile=has_xla())
