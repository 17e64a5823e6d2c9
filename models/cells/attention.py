"""A block of self-attention over rows of different lengths: the Transformer's encoder."""

import math
from typing import Any

import keras
from keras import ops

_WIDENING = 4  # of the feed-forward part, as in the paper


@keras.saving.register_keras_serializable(package="bilstm_asr")
class SelfAttention(keras.layers.Layer):
    """Attention of every frame to all frames of its row, then a feed-forward network for each.

    Vaswani et al., "Attention is all you need", 2017, normalised before each part rather than after
    (Xiong et al., 2020), which needs no warm-up to train:

        a = x + O softmax(Q Kᵀ / √d) V   of norm(x), in each of H heads of width d = W / H
        y = a + W₂ relu(W₁ norm(a))      with 4 W values in between

    Nothing in it knows the order of frames, so the first block adds to its input p_t, sines and
    cosines of t from a period of 2π frames to one of 20 000 π: x = P x_t + b + p_t.

    Frames beyond a row's length are never attended to, which makes a batch exactly its items.

    Parameters: 12 W² + 13 W, and W (F + 1) more in the first block.

    Args:
        width: W, which the heads divide evenly.
        num_heads: H.
        is_first: Whether it is the first block, with P, b and p.
        is_causal: Whether a frame attends to itself and those before only.
        dropout: Share of the results of both parts dropped in training.

    Call arguments:
        sequences: Float tensor [B, T, F], right-padded; F = W but for the first block.
        lengths: Integer tensor [B], valid frames of each row.

    Returns:
        Float tensor [B, T, W]. Frames beyond a row's length are meaningless.
    """

    def __init__(
        self,
        width: int,
        *,
        num_heads: int,
        is_first: bool,
        is_causal: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 1 or width % num_heads:
            raise ValueError(
                f"num_heads: expected a divisor of the width {width}, received {num_heads}"
            )
        self.width = width
        self.num_heads = num_heads
        self.is_first = is_first
        self.is_causal = is_causal
        self.dropout = dropout
        same = {"dtype": self.dtype_policy}
        if is_first:
            self.embedding = keras.layers.Dense(width, name="embedding", **same)
        self.attention_norm = keras.layers.LayerNormalization(name="attention_norm", **same)
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, width // num_heads, name="attention", **same
        )
        self.feed_norm = keras.layers.LayerNormalization(name="feed_norm", **same)
        self.widen = keras.layers.Dense(_WIDENING * width, activation="relu", name="widen", **same)
        self.narrow = keras.layers.Dense(width, name="narrow", **same)
        self.drop = keras.layers.Dropout(dropout, name="drop", **same)

    def build(self, sequences_shape: Any, lengths_shape: Any = None) -> None:
        """Creates the weights for inputs [B, T, F]."""
        del lengths_shape
        shape = (*sequences_shape[:-1], self.width)
        if self.is_first:
            self.embedding.build(sequences_shape)
        self.attention_norm.build(shape)
        self.attention.build(shape, shape)
        self.feed_norm.build(shape)
        self.widen.build(shape)
        self.narrow.build((*shape[:-1], _WIDENING * self.width))
        self.built = True

    def call(self, sequences: Any, lengths: Any) -> Any:
        """Returns [B, T, W] for [B, T, F] and [B]."""
        num_frames = ops.shape(sequences)[1]
        x = sequences
        if self.is_first:
            x = self.embedding(x)
            x = x + encode_positions(num_frames, self.width, dtype=x.dtype)
        normal = self.attention_norm(x)
        mask = self._mask(num_frames, lengths)
        x = x + self.drop(self.attention(normal, normal, attention_mask=mask))
        return x + self.drop(self.narrow(self.widen(self.feed_norm(x))))

    def compute_output_shape(self, sequences_shape: Any, lengths_shape: Any = None) -> Any:
        """Returns [B, T, W]."""
        del lengths_shape
        return (*sequences_shape[:-1], self.width)

    def num_parameters(self, num_inputs: int) -> int:
        """Returns 12 W² + 13 W, and W (F + 1) more in the first block."""
        embedding = self.width * (num_inputs + 1) if self.is_first else 0
        return 12 * self.width**2 + 13 * self.width + embedding

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "width": self.width,
            "num_heads": self.num_heads,
            "is_first": self.is_first,
            "is_causal": self.is_causal,
            "dropout": self.dropout,
        }

    def _mask(self, num_frames: Any, lengths: Any) -> Any:
        """Returns which frame [B, T, 1] may attend to which [B, 1, T]: bool [B, T, T]."""
        frames = ops.arange(num_frames, dtype="int32")
        seen = frames[None, None, :] < ops.cast(lengths, "int32")[:, None, None]
        heard = frames[None, :] <= frames[:, None]
        if not self.is_causal:
            heard = ops.ones_like(heard)
        return ops.logical_and(seen, heard[None])


def encode_positions(num_frames: Any, width: int, *, dtype: Any) -> Any:
    """Returns sines, then cosines, of every frame's number, [T, width]."""
    half = (width + 1) // 2
    rates = ops.exp(ops.arange(half, dtype=dtype) * (-math.log(10_000.0) / half))
    angles = ops.arange(num_frames, dtype=dtype)[:, None] * rates
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=1)[:, :width]
