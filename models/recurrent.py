"""A bidirectional recurrent layer that is exact for rows of different lengths.

`keras.layers.Bidirectional` hands its backward layer the padding of a short row before the row's
own last frame, unless a mask forces it off the fused kernels. Here each row is reversed within its
own length instead (padding stays behind it), both directions run forward over time, and the
backward result is reversed back. Padding then comes last in both directions, so it can change no
valid frame, and no mask is needed at all.
"""

from typing import Any, Literal, get_args

import keras
from keras import ops

Cell = Literal["lstm", "gru", "rnn"]
Implementation = Literal["auto", "keras"]
Precision = Literal["float32", "bfloat16"]

_KERAS_CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "rnn": keras.layers.SimpleRNN,
}


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


@keras.saving.register_keras_serializable(package="bilstm_asr")
class BidirectionalRecurrent(keras.layers.Layer):
    """Two recurrent layers over time, one each way, their outputs side by side.

    The weights are those of `keras.layers.Bidirectional` around the same cell, in the same order
    (forward kernel, recurrent kernel, bias, then backward), so either loads the other's.

    Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997; for the LSTM cell
    Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000.

    Args:
        units: Width of each direction.
        cell: "lstm", "gru" or "rnn" (the simple recurrent network).
        implementation: "keras" runs Keras's own layers; "auto" takes the fast path of
            `models.fast_lstm` where there is one (LSTM on TensorFlow). Both give the same numbers.

    Call arguments:
        sequences: Float tensor [B, T, F], right-padded.
        lengths: Integer tensor [B], valid frames of each row.

    Returns:
        Float tensor [B, T, 2 * units]. Frames beyond a row's length are meaningless.
    """

    def __init__(
        self,
        units: int,
        *,
        cell: Cell = "lstm",
        implementation: Implementation = "auto",
        precision: Precision = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if cell not in _KERAS_CELLS:
            raise ValueError(f"cell: expected one of {sorted(_KERAS_CELLS)}, received {cell!r}")
        for name, known, received in (
            ("implementation", get_args(Implementation), implementation),
            ("precision", get_args(Precision), precision),
        ):
            if received not in known:
                raise ValueError(f"{name}: expected one of {known}, received {received!r}")
        self.units = units
        self.cell = cell
        self.implementation = implementation
        self.precision = precision
        layer = _KERAS_CELLS[cell]
        self.forward_layer = layer(units, return_sequences=True, name=f"forward_{cell}")
        self.backward_layer = layer(units, return_sequences=True, name=f"backward_{cell}")

    def build(self, sequences_shape: Any, lengths_shape: Any = None) -> None:
        """Creates both directions' weights for inputs [B, T, F]."""
        del lengths_shape  # one length a row: nothing to build
        self.forward_layer.build(sequences_shape)
        self.backward_layer.build(sequences_shape)
        self.built = True

    def call(self, sequences: Any, lengths: Any) -> Any:
        """Returns [B, T, 2 * units] for [B, T, F] and [B]."""
        if self._is_fast():
            return self._fast(sequences, lengths)
        ahead = self.forward_layer(sequences)
        behind = self.backward_layer(reverse_by_length(sequences, lengths))
        return ops.concatenate([ahead, reverse_by_length(behind, lengths)], axis=-1)

    def compute_output_shape(self, sequences_shape: Any, lengths_shape: Any = None) -> Any:
        """Returns [B, T, 2 * units]."""
        del lengths_shape
        return (*sequences_shape[:-1], 2 * self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "units": self.units,
            "cell": self.cell,
            "implementation": self.implementation,
            "precision": self.precision,
        }

    def _fast(self, sequences: Any, lengths: Any) -> Any:
        from models.fast_lstm import bidirectional_lstm

        return bidirectional_lstm(
            sequences,
            lengths,
            _weights(self.forward_layer),
            _weights(self.backward_layer),
            product_dtype=self.precision,
        )

    def _is_fast(self) -> bool:
        return (
            self.implementation == "auto"
            and self.cell == "lstm"
            and keras.backend.backend() == "tensorflow"
        )


def _weights(layer: keras.layers.LSTM) -> tuple[Any, Any, Any]:
    cell = layer.cell
    return cell.kernel, cell.recurrent_kernel, cell.bias
