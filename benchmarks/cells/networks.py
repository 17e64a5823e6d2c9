"""Networks of every cell with as many parameters as the others."""

import dataclasses
from typing import NamedTuple

from models.bilstm import BiLSTMOptions, Cell

CELLS: tuple[Cell, ...] = (
    *("rnn", "lstm-1997", "lstm", "gru", "peephole", "coupled"),
    *("clockwork", "depth-gated", "grid", "attention"),
)
"""In the order of interest, in which they are measured."""
MEMORYLESS = {"rnn", "gru", "clockwork", "attention"}
"""Those that have an output and no memory beside it."""
NUM_LAYERS = 2
DROPOUT = 0.1
LEARNING_RATE = 4e-3


class Recognizer(NamedTuple):
    """A network that learns speech, and in steps of what size."""

    options: BiLSTMOptions
    learning_rate: float = LEARNING_RATE


def _of_cell(cell: Cell, learning_rate: float = LEARNING_RATE) -> Recognizer:
    options = BiLSTMOptions(cell=cell, num_layers=NUM_LAYERS, dropout=DROPOUT)
    return Recognizer(options, learning_rate)


_LSTM = BiLSTMOptions(num_layers=NUM_LAYERS, dropout=DROPOUT)
_SLOW: tuple[Cell, ...] = ("rnn", "lstm", "attention")
RECOGNIZERS: dict[str, Recognizer] = {
    **{cell: _of_cell(cell) for cell in CELLS},
    "lstm, one way": Recognizer(dataclasses.replace(_LSTM, bidirectional=False)),
    "lstm, 4 layers": Recognizer(dataclasses.replace(_LSTM, num_layers=4)),
    "lstm, 4 layers, residual": Recognizer(dataclasses.replace(_LSTM, num_layers=4, residual=True)),
    **{f"{cell}, small steps": _of_cell(cell, LEARNING_RATE / 4) for cell in _SLOW},
}
"""By name: each cell's, and then other forms of the LSTM's and other rates of learning."""
TOLERANCE = 0.1
"""How far numbers of parameters may differ from what was asked for: widths are whole numbers."""
_MOST_UNITS = 4096


def fitted(
    options: BiLSTMOptions, *, num_parameters: int, num_features: int, vocab_size: int
) -> BiLSTMOptions:
    """Returns the options with the width whose number of parameters is nearest to the one wanted.

    Raises:
        ValueError: No width comes within `TOLERANCE` of it.
    """

    def count(units: int) -> int:
        wide = dataclasses.replace(options, units=units)
        return count_parameters(wide, num_features=num_features, vocab_size=vocab_size)

    step = _step(options)
    below = step
    while below + step <= _MOST_UNITS and count(below + step) <= num_parameters:
        below += step
    best = min((below, below + step), key=lambda units: abs(count(units) - num_parameters))
    if abs(count(best) - num_parameters) > TOLERANCE * num_parameters:
        raise ValueError(
            f"{options.cell}: expected a width of some {num_parameters:,} parameters, the nearest "
            f"has {count(best):,}"
        )
    return dataclasses.replace(options, units=best)


def count_parameters(options: BiLSTMOptions, *, num_features: int, vocab_size: int) -> int:
    """Counts the weights of `build_bilstm`'s network without building it.

    Normalisation (`layer_norm`) and dense layers before the others (`input_units`) are left out.
    """
    total, num_inputs = 0, num_features
    for index in range(options.num_layers):
        total += _layer_parameters(options, num_inputs, is_lowest=index == 0)
        num_inputs = options.width
    norm = 2 * options.width if options.cell == "attention" else 0
    return total + norm + (options.width + 1) * vocab_size


def _step(options: BiLSTMOptions) -> int:
    """Returns what the width is a multiple of."""
    if options.cell == "clockwork":
        return options.num_modules
    if options.cell == "attention":
        ways = 2 if options.bidirectional else 1
        return max(1, options.num_heads // ways)
    return 1


def _layer_parameters(options: BiLSTMOptions, num_inputs: int, *, is_lowest: bool) -> int:
    units, ways = options.units, 2 if options.bidirectional else 1
    of_keras = {
        "rnn": units * (num_inputs + units + 1),
        "gru": 3 * units * (num_inputs + units + 2),  # Keras's has two biases
        "lstm": 4 * units * (num_inputs + units + 1),
    }
    if options.cell in of_keras:
        return ways * of_keras[options.cell]
    if options.cell == "attention":
        width = options.width
        return 12 * width**2 + 13 * width + (width * (num_inputs + 1) if is_lowest else 0)
    from models.cells.layer import make_cell

    cell = make_cell(options.cell, units, num_modules=options.num_modules)
    return ways * cell.num_parameters(num_inputs, is_lowest=is_lowest)
