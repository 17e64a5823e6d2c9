"""The BiLSTM-CTC network: stacked bidirectional recurrent layers and one output per token.

Graves, Mohamed and Hinton, "Speech recognition with deep recurrent neural networks", 2013.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import keras

CELLS = ("lstm", "gru", "rnn")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class BiLSTMOptions:
    """What a BiLSTM-CTC network looks like between its features and its tokens.

    Attributes:
        cell: Recurrent cell: "lstm", "gru" or "rnn".
        units: Width of each direction of every recurrent layer.
        num_layers: Recurrent layers.
        input_units: Width of a dense layer before them; 0 for none.
        dropout: Share of each recurrent layer's inputs, and of the output layer's, dropped in
            training.
        layer_norm: Normalise the output of every recurrent layer (Ba et al. 2016).
        residual: Add a layer's input to its output where both have the same width.
        implementation: "auto" for the fastest exact path, "keras" for Keras's own layers.
        precision: "float32", or "bfloat16" for large matrix products of factors of that type:
            faster on processors that multiply it, close rather than equal, for LSTMs only.
    """

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    units: int = 320
    num_layers: int = 3
    input_units: int = 0
    dropout: float = 0.2
    layer_norm: bool = False
    residual: bool = False
    implementation: Literal["auto", "keras"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell: expected one of {CELLS}, received {self.cell!r}")
        for name, minimum in (("units", 1), ("num_layers", 1), ("input_units", 0)):
            value = getattr(self, name)
            if value < minimum:
                raise ValueError(f"{name}: expected at least {minimum}, received {value}")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision: expected one of {PRECISIONS}, received {self.precision!r}"
            )
        if self.precision == "bfloat16" and (self.cell, self.implementation) != ("lstm", "auto"):
            raise ValueError(
                f"precision: expected float32, which is all there is for the cell {self.cell} in "
                f"the implementation {self.implementation}, received {self.precision!r}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: expected 0 to below 1, received {self.dropout}")


def build_bilstm(options: BiLSTMOptions, *, num_features: int, vocab_size: int) -> "keras.Model":
    """Builds the network.

    Args:
        options: Its shape.
        num_features: F, values a time step.
        vocab_size: V, tokens including the blank.

    Returns:
        A functional model from `{"features": float32 [B, T, F], "feature_lengths": int32 [B]}` to
        logits, float32 [B, T, V]. A row's valid logits are its first `feature_lengths` ones, and
        do not depend on the other rows or on the padding.
    """
    import keras

    features = keras.Input((None, num_features), dtype="float32", name="features")
    lengths = keras.Input((), dtype="int32", name="feature_lengths")

    x = features
    if options.input_units:
        x = keras.layers.Dense(options.input_units, activation="relu", name="input")(x)
    for index in range(options.num_layers):
        x = _block(x, lengths, options, index)
    x = keras.layers.Dropout(options.dropout, name="dropout_output")(x)
    logits = keras.layers.Dense(vocab_size, dtype="float32", name="logits")(x)

    return keras.Model(
        {"features": features, "feature_lengths": lengths}, logits, name=f"bi{options.cell}_ctc"
    )


def _block(x: Any, lengths: Any, options: BiLSTMOptions, index: int) -> Any:
    """One recurrent layer with what surrounds it: [B, T, W] to [B, T, 2 * units]."""
    import keras

    from models.recurrent import BidirectionalRecurrent

    skipped = x
    if index > 0 or options.input_units:  # the features themselves are never dropped out
        x = keras.layers.Dropout(options.dropout, name=f"dropout_{index}")(x)
    x = BidirectionalRecurrent(
        options.units,
        cell=options.cell,
        implementation=options.implementation,
        precision=options.precision,
        name=f"bidirectional_{index}",
    )(x, lengths)
    if options.layer_norm:
        x = keras.layers.LayerNormalization(name=f"norm_{index}")(x)
    if options.residual and skipped.shape[-1] == x.shape[-1]:
        x = keras.layers.Add(name=f"residual_{index}")([skipped, x])
    return x
