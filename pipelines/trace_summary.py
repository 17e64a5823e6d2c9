"""What the gates of a network did over a recording, in a few figures for each layer."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from asr.transcript import Word
    from models.traces import Trace

Array = npt.NDArray[np.float64]

COLUMNS = 80
OPEN = 0.9
"""A unit whose gate is above this keeps nearly all it has."""

_TINY = 1e-30  # a gate that is shut altogether, whose logarithm there is none of
_GATE_COLUMNS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """One direction of one layer over one recording.

    What a step leaves of a memory is the product of all later keeping gates: a memory lasts until
    that product has fallen to 1/e.

    Attributes:
        layer: Its number; 1 is the lowest.
        direction: As the trace's.
        cell: What the layer is made of.
        num_units: Units of the direction.
        mean_opening: Of each gate, over all steps and units.
        at_word_starts: Of each gate, over the steps where words begin, and over all others; none
            where fewer than two words were heard.
        kept_share: Share of steps and units at which more than `OPEN` of the memory is kept; None
            where no gate decides that, and so with those below.
        memory_ms: How long a memory lasts in the median unit, by the geometric mean of its gate;
            infinite if it loses nothing.
        longest_ms: How long one lasted at most, in any unit; no longer than the recording.
        longest_unit: In which, from 1.
        lasts: Whether that was still there at the recording's end.
        deviation: As the trace's.
    """

    layer: int
    direction: str
    cell: str
    num_units: int
    mean_opening: Mapping[str, float]
    at_word_starts: Mapping[str, tuple[float, float]]
    kept_share: float | None
    memory_ms: float | None
    longest_ms: float | None
    longest_unit: int | None
    lasts: bool
    deviation: float

    def to_json(self) -> dict[str, Any]:
        """Returns it for a JSON file; what is infinite or unknown is null."""
        memory_ms = self.memory_ms
        if memory_ms is not None:
            memory_ms = round(memory_ms, 1) if np.isfinite(memory_ms) else None
        return {
            "layer": self.layer,
            "direction": self.direction,
            "cell": self.cell,
            "units": self.num_units,
            "mean_opening": {name: round(one, 4) for name, one in self.mean_opening.items()},
            "at_word_starts": {
                name: {"at": round(at, 4), "elsewhere": round(elsewhere, 4)}
                for name, (at, elsewhere) in self.at_word_starts.items()
            },
            "kept_above_0.9": None if self.kept_share is None else round(self.kept_share, 4),
            "median_memory_ms": memory_ms,
            "longest_memory_ms": None if self.longest_ms is None else round(self.longest_ms, 1),
            "longest_memory_unit": self.longest_unit,
            "longest_memory_lasts": self.lasts,
            "deviation": self.deviation,
        }


def summarise(trace: "Trace", *, step_s: float, word_starts: npt.NDArray[np.bool_]) -> TraceSummary:
    """Returns a trace's figures.

    Args:
        trace: One direction of a layer.
        step_s: Seconds from one of its steps to the next.
        word_starts: Whether a word begins at each step, [T].
    """
    told_apart = bool(word_starts.any() and not word_starts.all())
    share = memory_ms = longest_ms = unit = None
    lasts = False
    if trace.kept is not None:
        kept = trace.kept if trace.direction != "backward" else trace.kept[::-1]
        share = float((kept > OPEN).mean())
        memory_ms = 1e3 * step_s * float(np.median(time_constants(kept)))
        lengths, ends = longest_memories(kept)
        best = int(lengths.argmax())
        longest_ms, unit = 1e3 * step_s * float(lengths[best]), best + 1
        lasts = bool(ends[best])
    return TraceSummary(
        layer=trace.layer,
        direction=trace.direction,
        cell=trace.cell,
        num_units=trace.output.shape[1],
        mean_opening={name: float(gate.mean()) for name, gate in trace.gates.items()},
        at_word_starts={
            name: (float(gate[word_starts].mean()), float(gate[~word_starts].mean()))
            for name, gate in trace.gates.items()
            if told_apart
        },
        kept_share=share,
        memory_ms=memory_ms,
        longest_ms=longest_ms,
        longest_unit=unit,
        lasts=lasts,
        deviation=trace.deviation,
    )


def word_starts(words: "Sequence[Word]", edges_s: Array) -> npt.NDArray[np.bool_]:
    """Returns which steps a word begins at, or the step before or after; the first word is none.

    What comes before the first is silence, and the network's own beginning.

    Args:
        words: With times from the recording's start.
        edges_s: Where each step begins, and the last one ends, [T + 1].
    """
    found = np.zeros(len(edges_s) - 1, bool)
    for word in words[1:]:
        step = int(np.searchsorted(edges_s, word.start_s, side="right")) - 1
        found[max(0, step - 1) : step + 2] = True
    return found


def time_constants(kept: Array) -> Array:
    """Returns each unit's steps until 1/e is left, at its mean rate of loss.

    Args:
        kept: Share of the memory that each step leaves, [T, units].

    Returns:
        Steps, [units]; infinite where nothing is lost.
    """
    lost = -np.log(np.maximum(kept, _TINY)).mean(axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(1 / lost)


def longest_memories(kept: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Returns, of each unit, the most steps in a row that together left at least 1/e.

    Args:
        kept: Share of the memory that each step leaves, [T, units], in the order of reading.

    Returns:
        Steps [units], and whether the first such row of steps reached the last step.
    """
    num_steps, num_units = kept.shape
    lost = np.cumsum(-np.log(np.maximum(kept, _TINY)), axis=0)
    lost = np.concatenate([np.zeros((1, num_units)), lost])
    lengths, ends = np.zeros(num_units), np.zeros(num_units, bool)
    for unit in range(num_units):
        stops = np.searchsorted(lost[:, unit], lost[:, unit] + 1, side="right") - 1
        runs = stops - np.arange(num_steps + 1)
        first = int(runs.argmax())
        lengths[unit], ends[unit] = runs[first], stops[first] == num_steps
    return lengths, ends


def lines(summaries: Sequence[TraceSummary], *, duration_s: float) -> Iterator[str]:
    """Yields the figures as a table of at most 80 columns, and what they mean.

    Args:
        summaries: Of one network, in its order.
        duration_s: Length of the recording; a median memory beyond it is said to be longer.
    """
    names = list(dict.fromkeys(name for one in summaries for name in one.mean_opening))
    if not names:
        cells = ", ".join(dict.fromkeys(one.cell for one in summaries))
        yield f"no gates: of the cell {cells} only what it gives can be shown"
        return
    heads = [["", *name.split()][-2:] for name in names]
    top = "".join(f"{first:>{_GATE_COLUMNS}}" for first, _ in heads)
    low = "".join(f"{last:>{_GATE_COLUMNS}}" for _, last in heads)
    yield f"{'':11}{top}   kept   memory, ms".rstrip()
    yield f"{'layer':11}{low}  > {OPEN:g}  median  longest"
    for one in summaries:
        yield _row(one, names, duration_s)
    yield from _wrapped(
        f"gates: mean opening; kept > {OPEN:g}: share of steps and units that keep that much of "
        "their memory; memory: how long until 1/e of it is left, by the products of the gate that "
        "keeps, in the median unit and in the one that kept longest in this recording"
    )
    first = names[0]
    told = [one for one in summaries if first in one.at_word_starts]
    pairs = (
        f"{one.layer} {one.direction} {at:.2f} ({elsewhere:.2f})"
        for one in told
        for at, elsewhere in [one.at_word_starts[first]]
    )
    if told:
        yield from _wrapped(f"{first} gate where words begin (elsewhere): {', '.join(pairs)}")


def _row(one: TraceSummary, names: Sequence[str], duration_s: float) -> str:
    label = f"{one.layer} {one.direction}"
    gates = "".join(
        f"{one.mean_opening[name]:{_GATE_COLUMNS}.2f}"
        if name in one.mean_opening
        else f"{'–':>{_GATE_COLUMNS}}"
        for name in names
    )
    if one.kept_share is None or one.memory_ms is None or one.longest_ms is None:
        return f"{label:11}{gates}"
    whole_ms = 1e3 * duration_s
    median = f">{whole_ms:.0f}" if one.memory_ms > whole_ms else f"{one.memory_ms:.0f}"
    longest = f"{'>' if one.lasts else ''}{one.longest_ms:.0f}"
    return f"{label:11}{gates}{100 * one.kept_share:5.0f} %{median:>8}{longest:>9}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS)
