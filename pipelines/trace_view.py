"""What is drawn of a layer's gates: which units, in which order, under which words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asr.transcript import Word

if TYPE_CHECKING:
    from models.traces import Trace

Array = npt.NDArray[np.float64]

CAPTIONS: Mapping[str, str] = {
    "forget": "near 1 keeps the memory, near 0 drops it",
    "input": "near 1 writes what is new into the memory, near 0 keeps it out",
    "output": "near 1 shows the memory to the layers above, near 0 hides it",
    "update": "near 1 keeps the state as it is, near 0 replaces it",
    "reset": "near 1 lets the old state shape the new one, near 0 leaves it out",
    "depth": "near 1 adds the memory of the layer below, near 0 leaves it out",
    "forget up": "near 1 keeps the memory of the layer below, near 0 drops it",
    "input up": "near 1 writes what is new into the memory that goes up, near 0 keeps it out",
    "output up": "near 1 shows that memory to the layer above, near 0 hides it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is drawn.

    Attributes:
        title: What it is of.
        samples: The recording, float32 [num_samples] at 16 kHz.
        start_s: Where in its file it begins, in seconds.
        words: What was heard, their times counted from there.
        edges_s: Where each step begins, and where the last one ends, likewise: [T + 1].
        trace: The gates.
        units: Those drawn one by one, from 0.
    """

    title: str
    samples: npt.NDArray[np.float32]
    start_s: float
    words: Sequence[Word]
    edges_s: Array
    trace: "Trace"
    units: Sequence[int]

    def at_s(self, time_s: float) -> float:
        """Returns a time of a word in the file's time."""
        return self.start_s + time_s


def most_varying(trace: "Trace", count: int) -> list[int]:
    """Returns the units that vary most over time in what `leading` says, most varying first."""
    return _descending(leading(trace)[1].std(axis=0))[:count]


def row_order(trace: "Trace") -> list[int]:
    """Returns the units in the order of the maps' rows: by the mean of the same, highest first."""
    return _descending(leading(trace)[1].mean(axis=0))


def leading(trace: "Trace") -> tuple[str, Array]:
    """Returns what units are told apart by, in words and as numbers [T, units].

    It is the gate that keeps their memory; where it always keeps all, the first there is; and of a
    cell without gates, what they give.
    """
    for name, gate in trace.gates.items():
        return f"{name} gate", gate
    return "output", trace.state


def state_text(trace: "Trace") -> str:
    """Returns what a trace's state is."""
    if trace.memory is not None:
        return "Cell state: what is in the memory, above 0 (red) or below (blue)"
    if trace.gates:
        return "State: what is remembered and given away, above 0 (red) or below (blue)"
    return f"What the units of the cell {trace.cell} give, above 0 (red) or below (blue)"


def _descending(values: Array) -> list[int]:
    return [int(one) for one in np.argsort(-values, kind="stable")]
