"""An LSTM that foresees text, for training; `asr.lm.lstm` says what it computes and uses it.

Sundermeyer, Schlüter and Ney, "LSTM neural networks for language modeling", 2012; one matrix for
the pieces that are read and those that are written: Press and Wolf 2017.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
from keras import ops


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLstmOptions:
    """Shape of the network.

    Attributes:
        vocab_size: V, pieces.
        width: E, values a piece is told by.
        units: U, of the LSTM.
        dropout: Share of the LSTM's inputs and outputs dropped in training.
        precision: Type of the matrix products on TensorFlow: "bfloat16" is three times as fast
            where the processor multiplies it.
    """

    vocab_size: int
    width: int = 256
    units: int = 512
    dropout: float = 0.2
    precision: Literal["float32", "bfloat16"] = "bfloat16"


class TextLstm(keras.Model):
    """An LSTM over pieces of text, with its loss, in the form `fit` and `compile` expect.

    Its input is int32 [B, T + 1]: of each row the first T pieces are read, and the last T foreseen.

    Args:
        options: Its shape.
    """

    def __init__(self, options: TextLstmOptions) -> None:
        super().__init__(name="text_lstm")
        self.options = options
        # Also the output's weights, and of a size that suits these.
        small = keras.initializers.RandomNormal(stddev=0.05)
        self.embedding = keras.layers.Embedding(
            options.vocab_size, options.width, embeddings_initializer=small, name="embedding"
        )
        self.lstm = keras.layers.LSTM(options.units, return_sequences=True, name="lstm")
        self.projection = keras.layers.Dense(options.width, name="projection")
        self.dropout_in = keras.layers.Dropout(options.dropout, name="dropout_in")
        self.dropout_out = keras.layers.Dropout(options.dropout, name="dropout_out")
        self.embedding.build((None, None))
        self.lstm.build((None, None, options.width))
        self.projection.build((None, None, options.units))
        shape = (options.vocab_size,)
        self.output_bias = self.add_weight(shape=shape, initializer="zeros", name="output_bias")
        self.built = True

    def weight_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Returns its weights by the names that `asr.lm.lstm.LstmWeights` has for them."""
        return {name: ops.convert_to_numpy(weight) for name, weight in self._named().items()}

    def assign_arrays(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Takes over weights in the form that `weight_arrays` returns.

        Raises:
            ValueError: One has another shape.
        """
        for name, weight in self._named().items():
            weight.assign(arrays[name])

    def _named(self) -> dict[str, Any]:
        cell = self.lstm.cell
        return {
            "embedding": self.embedding.embeddings,
            "kernel": cell.kernel,
            "recurrent_kernel": cell.recurrent_kernel,
            "bias": cell.bias,
            "projection": self.projection.kernel,
            "projection_bias": self.projection.bias,
            "output_bias": self.output_bias,
        }

    def call(self, rows: Any, training: bool = False) -> Any:
        """Returns what the next piece's embedding is to be like, [B, T, E], for int32 [B, T + 1].

        The logits of the pieces are its products with all embeddings, and the output's bias.
        """
        x = self.dropout_in(self.embedding(rows[:, :-1]), training=training)
        x = self._fast_lstm(x) if _is_fast() else self.lstm(x)
        return self.projection(ops.cast(self.dropout_out(x, training=training), "float32"))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the mean of -log p(next piece), in nats a piece, a scalar."""
        del y, sample_weight, training
        labels = ops.reshape(x[:, 1:], (-1,))
        columns = ops.reshape(y_pred, (-1, self.options.width))
        table = ops.convert_to_tensor(self.embedding.embeddings)
        bias = ops.convert_to_tensor(self.output_bias)
        if _is_fast():
            from models.text_lstm_tf import mean_surprise

            return mean_surprise(columns, table, bias, labels, product_dtype=self.options.precision)
        logits = ops.matmul(columns, ops.transpose(table)) + bias
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    def _fast_lstm(self, x: Any) -> Any:
        from models.text_lstm_tf import lstm

        cell = self.lstm.cell
        given = map(ops.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias))
        return lstm(x, *given, product_dtype=self.options.precision)


def _is_fast() -> bool:
    """Whether there is a faster way than Keras's own layers."""
    return bool(keras.backend.backend() == "tensorflow")
