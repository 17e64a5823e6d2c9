"""A layer of any scanned cell over rows of different lengths, both ways or one way."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from models.cells.cell import Cell, scan
from models.cells.clockwork import Clockwork
from models.cells.gated import LSTM1997, Coupled, DepthGated, Peephole
from models.cells.grid import Grid
from models.reversal import reverse_by_length

_CELLS: dict[str, Callable[..., Cell]] = {
    "lstm-1997": LSTM1997,
    "peephole": Peephole,
    "coupled": Coupled,
    "depth-gated": DepthGated,
    "clockwork": Clockwork,
    "grid": Grid,
}


def make_cell(cell: str, units: int, *, num_modules: int = 1, **kwargs: Any) -> Cell:
    """Returns a cell by its name, not built yet.

    Args:
        cell: "lstm-1997", "peephole", "coupled", "depth-gated", "clockwork" or "grid".
        units: Width of its output.
        num_modules: Of a clockwork; nothing to the others.
        kwargs: Of every Keras layer.

    Raises:
        ValueError: There is no such cell, or it cannot have that many modules.
    """
    if cell not in _CELLS:
        raise ValueError(f"cell: expected one of {sorted(_CELLS)}, received {cell!r}")
    own = {"num_modules": num_modules} if cell == "clockwork" else {}
    return _CELLS[cell](units, **own, **kwargs)


@keras.saving.register_keras_serializable(package="bilstm_asr")
class ScannedRecurrent(keras.layers.Layer):
    """One or two scans of a cell over time, their outputs side by side.

    Rows are reversed within their own lengths for the backward direction, as in
    `models.recurrent`, so that no mask is needed and a batch is exactly its items.

    Args:
        units: Width of each direction.
        cell: A name that `make_cell` knows.
        bidirectional: Whether there is a direction from the last frame to the first.
        num_modules: Modules of a clockwork.

    Call arguments:
        sequences: Float tensor [B, T, F], right-padded.
        lengths: Integer tensor [B], valid frames of each row.
        lower: The memory of the layer below, [B, T, D * units], where the cell takes one and
            there is a layer of it below; D is the number of directions.

    Returns:
        Float tensor [B, T, D * units], of a cell that passes its memory up in a list with that
        memory, of the same shape. Frames beyond a row's length are meaningless.
    """

    def __init__(
        self,
        units: int,
        *,
        cell: str,
        bidirectional: bool = True,
        num_modules: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.num_modules = num_modules
        self.forward_cell = self._make_cell("forward")
        self.backward_cell = self._make_cell("backward") if bidirectional else None

    def build(
        self, sequences_shape: Any, lengths_shape: Any = None, lower_shape: Any = None
    ) -> None:
        """Creates the weights of every direction for inputs [B, T, F]."""
        del lengths_shape  # one length a row: nothing to build
        for cell in self._cells():
            cell.build(sequences_shape, lower_shape)
        self.built = True

    def call(self, sequences: Any, lengths: Any, lower: Any = None) -> Any:
        """Returns [B, T, D * units] for [B, T, F] and [B], and the memory where it is passed."""
        num_results = 2 if self.forward_cell.passes_memory else 1
        halves = [None, None]
        if lower is not None:
            halves = ops.split(lower, len(self._cells()), axis=-1)
        results = scan(self.forward_cell, sequences, halves[0])[:num_results]
        if self.backward_cell is not None:
            turned = reverse_by_length(sequences, lengths)
            below = None if lower is None else reverse_by_length(halves[1], lengths)
            behind = scan(self.backward_cell, turned, below)[:num_results]
            results = tuple(
                ops.concatenate([one, reverse_by_length(other, lengths)], axis=-1)
                for one, other in zip(results, behind, strict=True)
            )
        return list(results) if num_results == 2 else results[0]

    def compute_output_shape(
        self, sequences_shape: Any, lengths_shape: Any = None, lower_shape: Any = None
    ) -> Any:
        """Returns [B, T, D * units], twice where the memory is passed up."""
        del lengths_shape, lower_shape
        shape = (*sequences_shape[:-1], len(self._cells()) * self.units)
        return [shape, shape] if self.forward_cell.passes_memory else shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "units": self.units,
            "cell": self.cell,
            "bidirectional": self.bidirectional,
            "num_modules": self.num_modules,
        }

    def _make_cell(self, direction: str) -> Cell:
        return make_cell(
            self.cell,
            self.units,
            num_modules=self.num_modules,
            name=f"{direction}_cell",
            dtype=self.dtype_policy,
        )

    def _cells(self) -> list[Cell]:
        cells = (self.forward_cell, self.backward_cell)
        return [cell for cell in cells if cell is not None]
