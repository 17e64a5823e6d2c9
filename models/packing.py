"""Padded rows laid out for a recurrence: time first, longest row first, padding left out.

A recurrence wants all rows' frame t side by side, and no work for rows that have ended. So rows are
sorted by length and cut into blocks of `BLOCK_FRAMES` frames; a block holds the rows that still run
at its beginning:

    rows sorted, T = 5, blocks of 2       slots, in order
    a a a a a                             a0 b0 c0 | a1 b1 c1     block 0: 3 rows
    b b b                                 a2 b2    | a3 (b)       block 1: 2 rows
    c                                     a4       | (a)          block 2: 1 row

All slots of a batch are one axis, [N], over which the large matrix products run. A slot behind the
end of its row (in brackets) repeats some frame of the batch: it comes after the row's own frames,
so it can reach none of them, and its gradient is set to zero.

The backward direction is the same with every row's frames taken from its last to its first, so the
two directions differ only in where a slot finds its frame. To change between both layouts is a
gather each way, and the gradient of either is the other; padding, time order and reversal cost no
pass of their own.
"""

from typing import Any, NamedTuple

import tensorflow as tf

BLOCK_FRAMES = 16
"""Frames of a block: more of them mean fewer calls, but more slots behind the ends of rows."""

ROW_STEP = 4
"""Blocks have a multiple of this many rows, or all rows of a smaller batch: one program is compiled
for each number of rows there is."""


class Order(NamedTuple):
    """One direction's way between the layouts."""

    frames: Any
    """int32 [N]: the frame, b * T + t, that each slot holds."""
    slots: Any
    """int32 [B * T]: the slot that holds each frame; any slot for padding."""


class Packing(NamedTuple):
    """A batch's two layouts."""

    num_rows: Any
    """int32 [num_blocks]: rows of each block."""
    in_slot: Any
    """float32 [N, 1]: 1 where a slot holds a frame of its own, 0 behind a row's end."""
    in_row: Any
    """float32 [B * T, 1]: 1 for a frame, 0 for padding."""
    forward: Order
    """From first frame to last."""
    backward: Order
    """From last frame to first."""


def packing(lengths: Any, num_frames: Any) -> Packing:
    """Lays out a batch.

    Args:
        lengths: Integer tensor [B], each in 0..T.
        num_frames: T, a scalar.
    """
    lengths = tf.cast(lengths, tf.int32)
    batch_size = tf.size(lengths)
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    ranked_lengths = tf.gather(lengths, order)
    num_rows = _rows_of_blocks(ranked_lengths)
    rows_at = tf.repeat(num_rows, BLOCK_FRAMES)  # [num_blocks * BLOCK_FRAMES]
    first_slot = tf.cumsum(rows_at, exclusive=True)

    running = tf.sequence_mask(rows_at, num_rows[0])
    time, rank = tf.unstack(tf.cast(tf.where(running), tf.int32), num=2, axis=1)  # [N] each
    # In a batch of a number of rows that is no multiple of ROW_STEP, some ranks have no row.
    is_row = rank < batch_size
    rank = tf.minimum(rank, batch_size - 1)
    start = tf.gather(order, rank) * num_frames
    length = tf.gather(ranked_lengths, rank)
    in_slot = is_row & (time < length)

    frame = tf.range(num_frames)[None, :]
    in_row = frame < lengths[:, None]  # [B, T]
    rank_of_row = tf.argsort(order)[:, None]

    def slots(steps: Any) -> Any:
        # Padding points at slot 0: somewhere that exists.
        slot = tf.gather(first_slot, tf.where(in_row, steps, 0)) + rank_of_row
        return tf.reshape(tf.where(in_row, slot, 0), [-1])

    return Packing(
        num_rows,
        tf.cast(in_slot, tf.float32)[:, None],
        tf.reshape(tf.cast(in_row, tf.float32), [-1, 1]),
        Order(start + tf.where(in_slot, time, 0), slots(frame)),
        Order(start + tf.where(in_slot, length - 1 - time, 0), slots(lengths[:, None] - 1 - frame)),
    )


def pack(frames: Any, layout: Packing, order: Order) -> Any:
    """Takes frames [B * T, W] to slots [N, W]."""
    return _gather(frames, order.frames, order.slots, layout.in_row)


def unpack(slots: Any, layout: Packing, order: Order) -> Any:
    """Takes slots [N, W] to frames [B * T, W]; padding receives whatever slot 0 holds."""
    return _gather(slots, order.slots, order.frames, layout.in_slot)


def _rows_of_blocks(ranked_lengths: Any) -> Any:
    batch_size = tf.size(ranked_lengths)
    num_blocks = tf.maximum((ranked_lengths[0] + BLOCK_FRAMES - 1) // BLOCK_FRAMES, 1)
    begins = tf.range(num_blocks) * BLOCK_FRAMES
    running = tf.math.count_nonzero(
        ranked_lengths[None, :] > begins[:, None], axis=1, dtype=tf.int32
    )
    steps = (tf.maximum(running, 1) + ROW_STEP - 1) // ROW_STEP
    return tf.where(batch_size < ROW_STEP, batch_size, steps * ROW_STEP)


@tf.custom_gradient
def _gather(values: Any, indices: Any, back: Any, is_own: Any) -> tuple[Any, Any]:
    """Gathers rows; `back` finds each of `values` again among them, if `is_own` says it is there.

    The gradient of a gather is a sum over equal indices. Here every row that counts goes to one
    place only, so that sum is a gather too, and many times faster.
    """

    def gradient(upstream: Any) -> tuple[Any, None, None, None]:
        return tf.gather(upstream, back) * tf.cast(is_own, upstream.dtype), None, None, None

    return tf.gather(values, indices), gradient
