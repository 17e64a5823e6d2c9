"""A recurrent layer, both ways or one way, that is exact for rows of different lengths.

`keras.layers.Bidirectional` hands its backward layer the padding of a short row before the row's
own last frame, unless a mask forces it off the fused kernels. Here each row is reversed within its
own length instead (padding stays behind it), both directions run forward over time, and the
backward result is reversed back. Padding then comes last in both directions, so it can change no
valid frame, and no mask is needed at all.
"""

import functools
from typing import Any, Literal, get_args

import keras
from keras import ops

from models.reversal import reverse_by_length

Cell = Literal["lstm", "gru", "rnn"]
Implementation = Literal["auto", "keras"]
Precision = Literal["float32", "bfloat16"]

_KERAS_CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "rnn": keras.layers.SimpleRNN,
}


@keras.saving.register_keras_serializable(package="bilstm_asr")
class BidirectionalRecurrent(keras.layers.Layer):
    """Two recurrent layers over time, one each way, their outputs side by side; or only one.

    The weights are those of `keras.layers.Bidirectional` around the same cell, in the same order
    (forward kernel, recurrent kernel, bias, then backward), so either loads the other's.

    Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997; for the LSTM cell
    Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000.

    Args:
        units: Width of each direction.
        cell: "lstm", "gru" or "rnn" (the simple recurrent network).
        bidirectional: Whether there is a direction from the last frame to the first.
        implementation: "keras" runs Keras's own layers; "auto" takes the fast path of
            `models.fast_lstm` or `models.jax_lstm` where there is one: an LSTM both ways on a CPU,
            or on JAX. Both give the same numbers. On a GPU, TensorFlow has cuDNN below Keras's own.
        precision: Type of the factors of the large matrix products of the fast path, "float32" or
            "bfloat16": faster where the processor multiplies bfloat16, and close rather than
            equal. Weights, sums, gates and states are float32 either way.

    Call arguments:
        sequences: Float tensor [B, T, F], right-padded.
        lengths: Integer tensor [B], valid frames of each row.

    Returns:
        Float tensor [B, T, 2 * units], or [B, T, units] one way. Frames beyond a row's length are
        meaningless.
    """

    def __init__(
        self,
        units: int,
        *,
        cell: Cell = "lstm",
        bidirectional: bool = True,
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
        self.bidirectional = bidirectional
        self.implementation = implementation
        self.precision = precision
        layer = _KERAS_CELLS[cell]
        self.forward_layer = layer(units, return_sequences=True, name=f"forward_{cell}")
        self.backward_layer = None
        if bidirectional:
            self.backward_layer = layer(units, return_sequences=True, name=f"backward_{cell}")

    def build(self, sequences_shape: Any, lengths_shape: Any = None) -> None:
        """Creates the weights of every direction for inputs [B, T, F]."""
        del lengths_shape  # one length a row: nothing to build
        self.forward_layer.build(sequences_shape)
        if self.backward_layer is not None:
            self.backward_layer.build(sequences_shape)
        self.built = True

    def call(self, sequences: Any, lengths: Any) -> Any:
        """Returns [B, T, 2 * units], or [B, T, units] one way, for [B, T, F] and [B]."""
        if self._is_fast():
            return self._fast(sequences, lengths)
        ahead = self.forward_layer(sequences)
        if self.backward_layer is None:
            return ahead  # padding comes last
        behind = self.backward_layer(reverse_by_length(sequences, lengths))
        return ops.concatenate([ahead, reverse_by_length(behind, lengths)], axis=-1)

    def compute_output_shape(self, sequences_shape: Any, lengths_shape: Any = None) -> Any:
        """Returns [B, T, 2 * units], or [B, T, units] one way."""
        del lengths_shape
        return (*sequences_shape[:-1], (2 if self.bidirectional else 1) * self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "units": self.units,
            "cell": self.cell,
            "bidirectional": self.bidirectional,
            "implementation": self.implementation,
            "precision": self.precision,
        }

    def _fast(self, sequences: Any, lengths: Any) -> Any:
        fast: Any
        if keras.backend.backend() == "tensorflow":
            from models import fast_lstm as fast
        else:
            from models import jax_lstm as fast
        return fast.bidirectional_lstm(
            sequences,
            lengths,
            _weights(self.forward_layer),
            _weights(self.backward_layer),
            product_dtype=self.precision,
        )

    def _is_fast(self) -> bool:
        backend = keras.backend.backend()
        return (
            self.implementation == "auto"
            and self.cell == "lstm"
            and self.bidirectional
            and (backend == "jax" or (backend == "tensorflow" and not _has_gpu()))
        )


@functools.cache
def _has_gpu() -> bool:
    """Whether Keras's own layers run on cuDNN: without a mask, they choose it by themselves."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _weights(layer: keras.layers.LSTM) -> tuple[Any, Any, Any]:
    cell = layer.cell
    return cell.kernel, cell.recurrent_kernel, cell.bias
