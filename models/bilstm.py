"""The BiLSTM-CTC network: stacked bidirectional recurrent layers and one output per token.

In the place of the LSTM any cell of `models.recurrent` and `models.cells` may stand.

Graves, Mohamed and Hinton, "Speech recognition with deep recurrent neural networks", 2013.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import keras

KerasCell = Literal["lstm", "gru", "rnn"]
OwnCell = Literal[
    "lstm-1997", "peephole", "coupled", "depth-gated", "clockwork", "grid", "attention"
]
KERAS_CELLS: tuple[KerasCell, ...] = get_args(KerasCell)
"""Those that Keras has layers of, and ONNX operators."""
Cell = Literal[KerasCell, OwnCell]
CELLS: tuple[Cell, ...] = get_args(Cell)

_MAX_MODULES = 31  # as `models.cells.clockwork`, which is not imported here: it loads Keras
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class BiLSTMOptions:
    """What a BiLSTM-CTC network looks like between its features and its tokens.

    Attributes:
        cell: What the layers are made of: "lstm", "gru" or "rnn" (`models.recurrent`); or one that
            is slower, and computed by Keras alone: "lstm-1997", "peephole", "coupled",
            "depth-gated", "clockwork", "grid" or "attention" (`models.cells`).
        bidirectional: Whether every layer reads both ways, else from the first frame on only. For
            "attention", whether a frame attends to those after it.
        units: Width of each direction of every recurrent layer. Attention is as wide as both
            directions together.
        num_layers: Recurrent layers.
        input_units: Width of a dense layer before them; 0 for none.
        dropout: Share of each recurrent layer's inputs, and of the output layer's, dropped in
            training; of attention, of what its parts add to their input.
        layer_norm: Normalise the output of every recurrent layer (Ba et al. 2016).
        residual: Add a layer's input to its output where both have the same width.
        implementation: "auto" for the fastest exact path, "keras" for Keras's own layers.
        precision: "float32", or "bfloat16" for large matrix products of factors of that type:
            faster on processors that multiply it, close rather than equal, for bidirectional LSTMs
            only.
        num_modules: Modules of a "clockwork", each half as fast as the one before.
        num_heads: Heads of "attention".
    """

    cell: Cell = "lstm"
    bidirectional: bool = True
    units: int = 320
    num_layers: int = 3
    input_units: int = 0
    dropout: float = 0.2
    layer_norm: bool = False
    residual: bool = False
    implementation: Literal["auto", "keras"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    num_modules: int = 4
    num_heads: int = 4

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell: expected one of {CELLS}, received {self.cell!r}")
        for name, minimum in (
            *(("units", 1), ("num_layers", 1), ("input_units", 0)),
            *(("num_modules", 1), ("num_heads", 1)),
        ):
            value = getattr(self, name)
            if value < minimum:
                raise ValueError(f"{name}: expected at least {minimum}, received {value}")
        if self.cell not in KERAS_CELLS and self.implementation == "keras":
            raise ValueError(
                f"implementation: expected auto, since Keras has no layer of the cell {self.cell}"
            )
        self._check_parts()
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision: expected one of {PRECISIONS}, received {self.precision!r}"
            )
        is_fast = (self.cell, self.implementation, self.bidirectional) == ("lstm", "auto", True)
        if self.precision == "bfloat16" and not is_fast:
            ways = "both ways" if self.bidirectional else "one way"
            raise ValueError(
                f"precision: expected float32, which is all there is for the cell {self.cell} "
                f"{ways} in the implementation {self.implementation}, received {self.precision!r}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: expected 0 to below 1, received {self.dropout}")

    @property
    def width(self) -> int:
        """Values a step that a layer gives: those of its directions together."""
        return (2 if self.bidirectional else 1) * self.units

    def _check_parts(self) -> None:
        """Refuses modules or heads that do not come out even, where the cell has them."""
        for cell, name, whole, most in (
            ("clockwork", "num_modules", self.units, _MAX_MODULES),
            ("attention", "num_heads", self.width, self.width),
        ):
            count = getattr(self, name)
            if self.cell == cell and (whole % count or count > most):
                raise ValueError(
                    f"{name}: expected a divisor of {whole}, the width of the cell {cell}, at "
                    f"most {most}, received {count}"
                )


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

    x, memory = features, None
    if options.input_units:
        x = keras.layers.Dense(options.input_units, activation="relu", name="input")(x)
    for index in range(options.num_layers):
        x, memory = _block(x, memory, lengths, options, index)
    if options.cell == "attention" and not options.layer_norm:
        x = keras.layers.LayerNormalization(name="norm_output")(x)  # its blocks begin with theirs
    x = keras.layers.Dropout(options.dropout, name="dropout_output")(x)
    logits = keras.layers.Dense(vocab_size, dtype="float32", name="logits")(x)

    ways = "bi" if options.bidirectional else ""
    return keras.Model(
        {"features": features, "feature_lengths": lengths}, logits, name=f"{ways}{options.cell}_ctc"
    )


def _block(
    x: Any, memory: Any, lengths: Any, options: BiLSTMOptions, index: int
) -> tuple[Any, Any]:
    """One layer of the cell with what surrounds it.

    Args:
        x: [B, T, W].
        memory: That of the layer below, [B, T, options.width], if its cell passes one up.
        lengths: [B].
        options: The network's.
        index: Of the layer, from 0.

    Returns:
        [B, T, options.width], and the layer's own memory or None.
    """
    import keras

    skipped = x
    # The features themselves are never dropped out, and attention drops its own results instead.
    if (index > 0 or options.input_units) and options.cell != "attention":
        x = keras.layers.Dropout(options.dropout, name=f"dropout_{index}")(x)
    if options.cell == "attention":
        x = _attention(options, index)(x, lengths)
    else:
        x = _recurrent(options, index)(x, lengths, *([] if memory is None else [memory]))
    x, memory = x if isinstance(x, list) else (x, None)
    if options.layer_norm:
        x = keras.layers.LayerNormalization(name=f"norm_{index}")(x)
    if options.residual and skipped.shape[-1] == x.shape[-1]:
        x = keras.layers.Add(name=f"residual_{index}")([skipped, x])
    return x, memory


def _recurrent(options: BiLSTMOptions, index: int) -> Any:
    from models.cells.layer import ScannedRecurrent
    from models.recurrent import BidirectionalRecurrent

    same: Any = {"cell": options.cell, "bidirectional": options.bidirectional}
    same["name"] = f"{'bi' if options.bidirectional else 'uni'}directional_{index}"
    if options.cell not in KERAS_CELLS:
        return ScannedRecurrent(options.units, num_modules=options.num_modules, **same)
    return BidirectionalRecurrent(
        options.units, implementation=options.implementation, precision=options.precision, **same
    )


def _attention(options: BiLSTMOptions, index: int) -> Any:
    from models.cells.attention import SelfAttention

    return SelfAttention(
        options.width,
        num_heads=options.num_heads,
        is_first=index == 0,
        is_causal=not options.bidirectional,
        dropout=options.dropout,
        name=f"attention_{index}",
    )
