"""A bidirectional LSTM over rows of different lengths on TensorFlow, with its gradient written out.

What costs time in a recurrent layer on a CPU is the part that cannot be batched over time, and what
surrounds it. So:

* Frames are packed (`models.packing`): time first, no padding. Everything below sees slots [N].
* The input product x·W of all slots is one large matrix product before the loop.
* The loop runs in blocks of frames. A block is compiled by XLA into one program, where a frame is
  a single product with U and a few fused elementwise passes. Blocks have a fixed number of frames
  and few different numbers of rows, so little is compiled whatever shapes the batches have.
* The loop's gradient is written out: going back, a frame is a single product with Uᵀ. The weight
  gradients are one large product each after the loop; automatic differentiation would instead add
  up a full-sized dU at every frame.

The equations are those of Keras (gate order i, f, g, o; Gers et al. 2000):

    z_t = x_t W + b + h_{t-1} U
    i, f, o = σ(z_i), σ(z_f), σ(z_o);   g = tanh(z_g)
    c_t = f c_{t-1} + i g;              h_t = o tanh(c_t)

The two directions are two independent loops, which TensorFlow runs side by side on two cores.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from models.packing import BLOCK_FRAMES, Order, Packing, pack, packing, unpack
from models.xla import has_xla

Weights = tuple[Any, Any, Any]
"""W [F, 4 * units], U [units, 4 * units] and b [4 * units]."""


def bidirectional_lstm(
    sequences: Any, lengths: Any, forward: Weights, backward: Weights, *, product_dtype: str
) -> Any:
    """Runs an LSTM over every row in both directions, from zero states.

    Args:
        sequences: Float tensor [B, T, F], right-padded.
        lengths: Integer tensor [B], each in 0..T.
        forward: Weights of the direction from the first frame to the last.
        backward: Weights of the direction from the last to the first.
        product_dtype: Type of the large matrix products' factors and results; within a product, and
            in gates and states, sums are float32.

    Returns:
        Hidden states, [B, T, 2 * units] of the type of `sequences`; padding frames hold something
        finite.
    """
    num_features, units = sequences.shape[2], forward[1].shape[0]
    run = _layer_program(num_features, units, product_dtype)
    weights = [tf.cast(tf.convert_to_tensor(weight), tf.float32) for weight in forward + backward]
    outputs = run(tf.cast(sequences, tf.float32), tf.cast(lengths, tf.int32), *weights)
    outputs = tf.ensure_shape(outputs, [*sequences.shape[:2], 2 * units])
    return tf.cast(outputs, sequences.dtype)


@functools.cache
def _layer_program(num_features: int, units: int, product_dtype: str) -> Any:
    """Returns the layer as one graph, for eager callers too: eagerly, a loop is Python's."""
    weights = ((num_features, 4 * units), (units, 4 * units), (4 * units,))
    sequences, *others = _specs((None, None, num_features), *weights, *weights)
    lengths = tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=[sequences, lengths, *others])
    def run(sequences: Any, lengths: Any, *weights: Any) -> Any:
        batch_size, num_frames = tf.unstack(tf.shape(sequences)[:2])
        layout = packing(lengths, num_frames)
        frames = tf.cast(tf.reshape(sequences, [-1, num_features]), product_dtype)
        outputs = [
            _direction(frames, layout, order, *weights[first : first + 3])
            for first, order in ((0, layout.forward), (3, layout.backward))
        ]
        return tf.reshape(tf.concat(outputs, axis=1), [batch_size, num_frames, 2 * units])

    return run


def _direction(
    frames: Any, layout: Packing, order: Order, kernel: Any, recurrent_kernel: Any, bias: Any
) -> Any:
    """Returns h [B * T, units] for frames [B * T, F]."""
    projected = tf.matmul(pack(frames, layout, order), tf.cast(kernel, frames.dtype))
    return unpack(_recurrence(projected, recurrent_kernel, bias, layout), layout, order)


def _recurrence(projected: Any, recurrent_kernel: Any, bias: Any, layout: Packing) -> Any:
    """Returns h [N, units] for x·W [N, 4 * units]."""

    @tf.custom_gradient
    def run(projected: Any, recurrent_kernel: Any, bias: Any) -> tuple[Any, Any]:
        hidden, before, trace = _forward_loop(projected, recurrent_kernel, bias, layout)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            gate_gradients, bias_gradient = _backward_loop(
                upstream, trace, recurrent_kernel, layout, dtype=projected.dtype
            )
            recurrent_gradient = tf.matmul(before, gate_gradients, transpose_a=True)
            return gate_gradients, tf.cast(recurrent_gradient, tf.float32), bias_gradient

        return hidden, gradient

    return run(projected, recurrent_kernel, bias)


def _forward_loop(
    projected: Any, recurrent_kernel: Any, bias: Any, layout: Packing
) -> tuple[Any, Any, tuple[Any, ...]]:
    """Runs all blocks in order.

    Returns:
        h [N, units]; h one frame earlier, [N, units] in the type of `projected`; and, by block,
        what the way back needs: gates, cell states, and the cell states before the block.
    """
    units = recurrent_kernel.shape[0]
    num_rows = layout.num_rows
    starts = tf.cumsum(num_rows * BLOCK_FRAMES, exclusive=True)
    zero = tf.zeros([num_rows[0], units])
    block = _forward_program(units, projected.dtype)

    def step(k: Any, h: Any, c: Any, *traces: Any) -> tuple[Any, ...]:
        rows = num_rows[k]
        h, c = h[:rows], c[:rows]  # the others have ended
        z = projected[starts[k] : starts[k] + rows * BLOCK_FRAMES]
        after_h, after_c, *results = block(z, h, c, recurrent_kernel, bias)
        results.append(c)
        written = (trace.write(k, result) for trace, result in zip(traces, results, strict=True))
        return (k + 1, after_h, after_c, *written)

    num_blocks = tf.size(num_rows)
    types = (tf.float32, projected.dtype, tf.float32, tf.float32, tf.float32)
    widths = (units, units, 4 * units, units, units)
    traces = [_trace(num_blocks, *kind) for kind in zip(types, widths, strict=True)]
    *_, hidden, before, gates, cells, first_cells = tf.while_loop(
        lambda k, *_: k < num_blocks,
        step,
        (tf.constant(0), zero, zero, *traces),
        shape_invariants=_invariants(units, num_traces=5),
    )
    return _joined(hidden, units), _joined(before, units), (gates, cells, first_cells)


def _forward_block(z: Any, h: Any, c: Any, recurrent_kernel: Any, bias: Any) -> tuple[Any, ...]:
    """Runs one block of frames.

    Args:
        z: x·W, [BLOCK_FRAMES * rows, 4 * units].
        h: Hidden states before the block, [rows, units].
        c: Cell states before it, [rows, units].
        recurrent_kernel: U.
        bias: b.

    Returns:
        h and c after the block, then of all slots: h, h one frame earlier (in the type of `z`), the
        gates [BLOCK_FRAMES * rows, 4 * units], and c.
    """
    units = recurrent_kernel.shape[0]
    z_by_frame = tf.reshape(z, [BLOCK_FRAMES, -1, 4 * units])

    def step(t: Any, h: Any, c: Any, *traces: Any) -> tuple[Any, ...]:
        z_t = tf.cast(z_by_frame[t], tf.float32) + bias + tf.matmul(h, recurrent_kernel)
        z_i, z_f, z_g, z_o = tf.split(z_t, 4, axis=1)
        i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
        after_c = f * c + i * g
        after_h = o * tf.tanh(after_c)
        results = (after_h, tf.cast(h, z.dtype), tf.concat([i, f, g, o], axis=1), after_c)
        written = (trace.write(t, result) for trace, result in zip(traces, results, strict=True))
        return (t + 1, after_h, after_c, *written)

    traces = [
        _trace(BLOCK_FRAMES, dtype, width, rows=h.shape[0])
        for dtype, width in (
            (tf.float32, units),
            (z.dtype, units),
            (tf.float32, 4 * units),
            (tf.float32, units),
        )
    ]
    _, h, c, *traces = tf.while_loop(
        lambda t, *_: t < BLOCK_FRAMES, step, (tf.constant(0), h, c, *traces)
    )
    return (h, c, *(_stacked(trace) for trace in traces))


def _backward_loop(
    upstream: Any, trace: tuple[Any, ...], recurrent_kernel: Any, layout: Packing, *, dtype: Any
) -> tuple[Any, Any]:
    """Runs all blocks back, and returns ∂/∂z [N, 4 * units] of `dtype` and ∂/∂b [4 * units]."""
    gates, cells, first_cells = trace
    units = recurrent_kernel.shape[0]
    num_rows = layout.num_rows
    starts = tf.cumsum(num_rows * BLOCK_FRAMES, exclusive=True)
    transposed_kernel = tf.transpose(recurrent_kernel)
    zero = tf.zeros([num_rows[-1], units])
    block = _backward_program(units, dtype)

    def step(k: Any, dh: Any, dc: Any, bias_gradient: Any, gate_gradients: Any) -> tuple[Any, ...]:
        rows = num_rows[k]
        ended = [[0, rows - tf.shape(dh)[0]], [0, 0]]  # they begin here, with no gradient
        dh, dc, dz, db = block(
            upstream[starts[k] : starts[k] + rows * BLOCK_FRAMES],
            gates.read(k),
            cells.read(k),
            first_cells.read(k),
            tf.pad(dh, ended),
            tf.pad(dc, ended),
            transposed_kernel,
        )
        return k - 1, dh, dc, bias_gradient + db, gate_gradients.write(k, dz)

    num_blocks = tf.size(num_rows)
    bias_gradient = tf.zeros([4 * units])
    row, states, *_ = _invariants(units, num_traces=0)
    *_, bias_gradient, gate_gradients = tf.while_loop(
        lambda k, *_: k >= 0,
        step,
        (num_blocks - 1, zero, zero, bias_gradient, _trace(num_blocks, dtype, 4 * units)),
        shape_invariants=(row, states, states, bias_gradient.shape, tf.TensorShape(None)),
    )
    return _joined(gate_gradients, 4 * units), bias_gradient


def _backward_block(
    upstream: Any,
    gates: Any,
    cells: Any,
    first_cell: Any,
    dh: Any,
    dc: Any,
    transposed_kernel: Any,
    *,
    dtype: Any,
) -> tuple[Any, ...]:
    """Runs one block back.

    Args:
        upstream: ∂/∂h of every slot from outside the loop, [BLOCK_FRAMES * rows, units].
        gates: i, f, g and o of every slot, [BLOCK_FRAMES * rows, 4 * units].
        cells: c of every slot.
        first_cell: c before the block, [rows, units].
        dh: ∂/∂h of the block's last frame from the frame after it, [rows, units].
        dc: The same for c.
        transposed_kernel: Uᵀ.
        dtype: Type wanted of ∂/∂z.

    Returns:
        dh and dc for the block before, ∂/∂z of every slot, and their sum [4 * units].
    """
    units = transposed_kernel.shape[1]

    def by_frame(slots: Any, width: int) -> Any:
        return tf.reshape(slots, [BLOCK_FRAMES, -1, width])

    upstream, gates = by_frame(upstream, units), by_frame(gates, 4 * units)
    cells = by_frame(cells, units)
    before = tf.concat([first_cell[None], cells[:-1]], axis=0)

    def step(t: Any, dh: Any, dc: Any, bias_gradient: Any, trace: Any) -> tuple[Any, ...]:
        i, f, g, o = tf.split(gates[t], 4, axis=1)
        tanh_c = tf.tanh(cells[t])
        dh = dh + upstream[t]
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        dz = tf.concat(
            [
                dc * g * i * (1 - i),
                dc * before[t] * f * (1 - f),
                dc * i * (1 - g * g),
                dh * tanh_c * o * (1 - o),
            ],
            axis=1,
        )
        bias_gradient = bias_gradient + tf.reduce_sum(dz, axis=0)
        trace = trace.write(t, tf.cast(dz, dtype))
        return t - 1, tf.matmul(dz, transposed_kernel), dc * f, bias_gradient, trace

    trace = _trace(BLOCK_FRAMES, dtype, 4 * units, rows=dh.shape[0])
    _, dh, dc, bias_gradient, trace = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (tf.constant(BLOCK_FRAMES - 1), dh, dc, tf.zeros([4 * units]), trace),
    )
    return dh, dc, _stacked(trace), bias_gradient


@functools.cache
def _forward_program(units: int, dtype: Any) -> Any:
    """Returns `_forward_block`, compiled for each number of rows it meets."""
    state, kernel = (None, units), (units, 4 * units)
    z = tf.TensorSpec([None, 4 * units], dtype)
    return _program(_forward_block, [z, *_specs(state, state, kernel, (4 * units,))])


@functools.cache
def _backward_program(units: int, dtype: Any) -> Any:
    """Returns `_backward_block`, compiled for each number of rows it meets."""
    state, gates = (None, units), (None, 4 * units)
    specs = _specs(state, gates, state, state, state, state, (4 * units, units))
    return _program(functools.partial(_backward_block, dtype=dtype), specs)


def _program(function: Callable[..., Any], specs: Sequence[Any]) -> Any:
    return tf.function(function, input_signature=specs, jit_compile=has_xla())


def _specs(*shapes: tuple[int | None, ...]) -> list[Any]:
    return [tf.TensorSpec(shape, tf.float32) for shape in shapes]


def _trace(size: Any, dtype: Any, width: int, *, rows: int | None = None) -> Any:
    return tf.TensorArray(dtype, size, infer_shape=False, element_shape=[rows, width])


def _stacked(trace: Any) -> Any:
    """Joins frames of equal numbers of rows: [frames * rows, width]."""
    stacked = trace.stack()
    return tf.reshape(stacked, [-1, stacked.shape[2]])


def _joined(trace: Any, width: int) -> Any:
    """Joins blocks of different numbers of rows: [N, width]."""
    return tf.ensure_shape(trace.concat(), [None, width])


def _invariants(units: int, *, num_traces: int) -> tuple[Any, ...]:
    """Shapes of a loop over blocks: the counter, h, c, and the traces."""
    states = tf.TensorShape([None, units])
    return (tf.TensorShape([]), states, states, *[tf.TensorShape(None)] * num_traces)
