"""Rows of a padded batch turned round, each within its own length."""

from typing import Any

import keras
from keras import ops


def reverse_by_length(sequences: Any, lengths: Any) -> Any:
    """Reverses each row within its own length and leaves its padding where it is.

    Args:
        sequences: Tensor [B, T, F], right-padded.
        lengths: Integer tensor [B], each in 0..T.

    Returns:
        Tensor [B, T, F]; applying it twice gives the input back.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.reverse_sequence(sequences, lengths, seq_axis=1, batch_axis=0)
    frame = ops.arange(ops.shape(sequences)[1], dtype="int32")[None, :]  # [1, T]
    last = ops.cast(lengths, "int32")[:, None] - 1  # [B, 1]
    source = ops.where(frame <= last, last - frame, frame)  # [B, T]
    return ops.take_along_axis(sequences, source[:, :, None], axis=1)
