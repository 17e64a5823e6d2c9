"""The gates of each cell, frame by frame, in numpy: what a layer computes and keeps to itself.

The formulas are in `models.cells`, that of the LSTM in `models.fast_lstm`; the GRU is Keras's, of
Cho et al., 2014, with z for the update gate and r for the reset gate:

    z, r = σ(W x_t + U h_{t-1} + b);   g = tanh(W x_t + r ⊙ (U h_{t-1} + b') + b)
    h_t = z ⊙ h_{t-1} + (1 - z) ⊙ g
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a cell did over a row, in the order in which it read it.

    Attributes:
        gates: How far each is open, from 0 to 1, [T, units], the one that keeps the memory first.
        kept: Share of each unit's memory that a frame leaves of it, from 0 to 1, [T, units].
        memory: c, [T, units]; None where the cell's only state is what it gives.
        output: What it gives, [T, units].
    """

    gates: Mapping[str, Array]
    kept: Array
    memory: Array | None
    output: Array


def run_gates(
    cell: str, weights: Mapping[str, Array], sequence: Array, *, lower: Array | None = None
) -> Opened:
    """Runs a cell over a row from zero states.

    Args:
        cell: One of `GATED_CELLS`.
        weights: The cell's, by their names.
        sequence: [T, F], at least one frame.
        lower: The memory of the layer below, [T, units], if the cell takes one and there is.
    """
    frames = _PROJECTIONS.get(cell, _project)(weights, sequence, lower)
    states: _States = (np.zeros(len(weights["recurrent_kernel"])),) * _NUM_STATES.get(cell, 2)
    gates: list[_Gates] = []
    trace: list[_States] = []
    for frame in zip(*frames, strict=True):
        opened, states = _STEPS[cell](weights, frame, states)
        gates.append(opened)
        trace.append(states)
    joined = {name: np.array([one[name] for one in gates]) for name in gates[0]}
    output, *others = (np.array(each) for each in zip(*trace, strict=True))
    return Opened(
        gates=joined,
        kept=np.ones_like(output) if cell == "lstm-1997" else joined[_KEEPING.get(cell, "forget")],
        memory=others[-1] if others else None,
        output=output,
    )


# A projection takes weights, [T, F] and the memory below [T, units] or None, and gives what of
# every frame needs no state, [T, ·] each; a step takes weights, one frame of these and the states
# [units] before it, and gives the gates and the states, the output first and the memory last.

_Weights = Mapping[str, Array]
_Frame = tuple[Array, ...]
_States = tuple[Array, ...]
_Gates = dict[str, Array]
_Step = Callable[[_Weights, _Frame, _States], tuple[_Gates, _States]]
_Projection = Callable[[_Weights, Array, Array | None], tuple[Array, ...]]


def _lstm(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    h, c = states
    gates, c = _remember(frame[0] + h @ w["recurrent_kernel"], c)
    return gates, (gates["output"] * np.tanh(c), c)


def _lstm_1997(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    h, c = states
    i, g, o = np.split(frame[0] + h @ w["recurrent_kernel"], 3)
    gates = {"input": _logistic(i), "output": _logistic(o)}
    c = c + gates["input"] * np.tanh(g)
    return gates, (gates["output"] * np.tanh(c), c)


def _coupled(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    h, c = states
    i, g, o = np.split(frame[0] + h @ w["recurrent_kernel"], 3)
    gates = {"forget": _logistic(-i), "input": _logistic(i), "output": _logistic(o)}
    c = gates["forget"] * c + gates["input"] * np.tanh(g)
    return gates, (gates["output"] * np.tanh(c), c)


def _peephole(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    h, c = states
    i, f, g, o = np.split(frame[0] + h @ w["recurrent_kernel"], 4)
    gates = {
        "forget": _logistic(f + w["forget_peephole"] * c),
        "input": _logistic(i + w["input_peephole"] * c),
    }
    c = gates["forget"] * c + gates["input"] * np.tanh(g)
    gates["output"] = _logistic(o + w["output_peephole"] * c)
    return gates, (gates["output"] * np.tanh(c), c)


def _depth_gated(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    h, c = states
    projected, *above = frame
    gates, kept = _remember(projected + h @ w["recurrent_kernel"], c)
    if above:
        depth, lower = above
        gates["depth"] = _logistic(depth + w["own_peephole"] * c)
        kept = kept + gates["depth"] * lower
    return gates, (gates["output"] * np.tanh(kept), kept)


def _gru(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    (h,) = states
    z, r, g = np.split(frame[0], 3)
    z_h, r_h, g_h = np.split(h @ w["recurrent_kernel"] + w["bias"][1], 3)
    gates = {"update": _logistic(z + z_h), "reset": _logistic(r + r_h)}
    g = np.tanh(g + gates["reset"] * g_h)
    return gates, (gates["update"] * h + (1 - gates["update"]) * g,)


def _grid(w: _Weights, frame: _Frame, states: _States) -> tuple[_Gates, _States]:
    projected, below = frame
    _, h, m = states
    along_time, along_depth = np.split(projected + h @ w["recurrent_kernel"], 2)
    gates, m = _remember(along_time, m)
    upwards, m_up = _remember(along_depth, below)
    gates_up = {f"{name} up": gate for name, gate in upwards.items()}
    up, on = np.tanh(upwards["output"] * m_up), np.tanh(gates["output"] * m)
    return gates | gates_up, (up, on, m)


def _remember(z: Array, c: Array) -> tuple[_Gates, Array]:
    """Returns the gates of the standard LSTM, and its memory after them."""
    i, f, g, o = np.split(z, 4)
    gates = {"forget": _logistic(f), "input": _logistic(i), "output": _logistic(o)}
    return gates, gates["forget"] * c + gates["input"] * np.tanh(g)


def _logistic(z: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * z)  # which no z overflows


def _project(w: _Weights, x: Array, _: Array | None) -> tuple[Array, ...]:
    return (x @ w["kernel"] + w["bias"],)


def _project_gru(w: _Weights, x: Array, _: Array | None) -> tuple[Array, ...]:
    return (x @ w["kernel"] + w["bias"][0],)


def _project_depth_gated(w: _Weights, x: Array, lower: Array | None) -> tuple[Array, ...]:
    projected = _project(w, x, None)
    if lower is None:
        return projected
    depth = x @ w["depth_kernel"] + w["depth_bias"] + w["lower_peephole"] * lower
    return *projected, depth, lower


def _project_grid(w: _Weights, x: Array, lower: Array | None) -> tuple[Array, ...]:
    if lower is None:
        x, lower = np.split(x @ w["input_kernel"], 2, axis=1)
    return *_project(w, x, None), lower


_STEPS: Mapping[str, _Step] = {
    "lstm": _lstm,
    "gru": _gru,
    "lstm-1997": _lstm_1997,
    "peephole": _peephole,
    "coupled": _coupled,
    "depth-gated": _depth_gated,
    "grid": _grid,
}
_PROJECTIONS: Mapping[str, _Projection] = {
    "gru": _project_gru,
    "depth-gated": _project_depth_gated,
    "grid": _project_grid,
}
_NUM_STATES: Mapping[str, int] = {"gru": 1, "grid": 3}
_KEEPING: Mapping[str, str] = {"gru": "update"}
"""The gate that says how much of a memory is kept, where it is not the forget gate."""

GATED_CELLS = frozenset(_STEPS)
"""Cells whose gates can be traced; the others have none."""
