"""Figures of traces: how long memories last, by brute force; tables that fit; JSON that parses."""

import json
import math
from typing import Any

import numpy as np
import pytest

from asr.transcript import Word
from models.traces import Trace
from pipelines.progress import num_columns
from pipelines.trace_summary import (
    OPEN,
    lines,
    longest_memories,
    summarise,
    time_constants,
    word_starts,
)

NOWHERE = np.zeros(4, bool)


def trace(kept: Any, *, direction: Any = "forward", **changes: Any) -> Trace:
    kept = None if kept is None else np.asarray(kept, np.float64)
    shape = (4, 2) if kept is None else kept.shape
    fields: dict[str, Any] = {
        "layer": 1,
        "direction": direction,
        "cell": "lstm",
        "gates": {} if kept is None else {"forget": kept},
        "kept": kept,
        "memory": None,
        "output": np.zeros(shape),
        "deviation": 0.0,
    }
    return Trace(**fields | changes)


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_a_gate_that_stands_still_has_the_time_constant_of_its_decay(kept: float) -> None:
    found = time_constants(np.full((7, 3), kept))
    np.testing.assert_allclose(kept**found, 1 / math.e)


def test_nothing_lost_lasts_for_ever_and_all_lost_no_time() -> None:
    assert np.isinf(time_constants(np.ones((5, 1)))).all()
    assert time_constants(np.zeros((5, 1)))[0] < 0.02
    lengths, ends = longest_memories(np.stack([np.ones(5), np.zeros(5)], axis=1))
    assert lengths.tolist() == [5, 0]
    assert ends.tolist() == [True, False]


def test_longest_memories_by_brute_force(rng: np.random.Generator) -> None:
    for _ in range(20):
        kept = rng.uniform(0.3, 1, (12, 4)) ** rng.uniform(0, 1, (12, 4))
        lengths, ends = longest_memories(kept)
        for unit in range(4):
            spans = [
                (stop - start, -start, stop == 12)
                for start in range(13)
                for stop in range(start, 13)
                if np.prod(kept[start:stop, unit]) >= 1 / math.e
            ]
            best = max(spans)
            assert (lengths[unit], ends[unit]) == (best[0], best[2])


def test_a_summary_says_what_the_gates_did() -> None:
    kept = np.array([[1.0, 0.5], [1.0, 0.5], [0.1, 0.5], [0.95, 0.5]])
    found = summarise(trace(kept), step_s=0.03, word_starts=NOWHERE)
    assert found.mean_opening == {"forget": pytest.approx(kept.mean())}
    assert found.kept_share == 3 / 8
    assert (kept > OPEN).sum() == 3
    assert found.longest_ms == pytest.approx(60)
    assert (found.longest_unit, found.lasts) == (1, False)
    assert found.memory_ms == pytest.approx(30 * float(np.median(time_constants(kept))))


def test_a_backward_direction_remembers_from_the_end() -> None:
    """At the recording's start, its last step, it still knows; forward, the last is at the end."""
    kept = np.array([[1.0], [1.0], [0.1], [0.5]])
    assert summarise(trace(kept), step_s=0.01, word_starts=NOWHERE).lasts is False
    assert (
        summarise(trace(kept, direction="backward"), step_s=0.01, word_starts=NOWHERE).lasts is True
    )


@pytest.mark.parametrize("kept", [None, np.ones((4, 2)), np.full((4, 2), 0.5)], ids=str)
def test_json_has_no_infinity(kept: Any) -> None:
    record = summarise(trace(kept), step_s=0.03, word_starts=NOWHERE).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize(
    "names",
    [
        ["forget", "input", "output"],
        ["update", "reset"],
        ["forget", "input", "output", "depth"],
        ["forget", "input", "output", "forget up", "input up", "output up"],
    ],
)
def test_a_table_fits_and_its_columns_are_as_wide(names: list[str]) -> None:
    gates = {name: np.full((400, 3), 0.999) for name in names}
    found = [
        summarise(
            trace(gates[names[0]], direction=way, layer=layer, gates=gates),
            step_s=0.03,
            word_starts=np.arange(400) % 50 == 3,
        )
        for layer in (1, 12)
        for way in ("forward", "backward")
    ]
    shown = list(lines(found, duration_s=12.0))
    assert max(map(num_columns, shown)) <= 80
    assert f"{names[0]} gate where words begin (elsewhere): 1 forward 1.00 (1.00)" in " ".join(
        shown
    )
    rows = shown[1:6]
    assert len({len(row) for row in rows}) == 1
    assert "12 backward" in rows[-1]
    assert ">12000" in rows[-1]


def test_a_gate_that_a_layer_lacks_is_a_dash() -> None:
    gate = np.full((4, 2), 0.5)
    lowest = summarise(trace(gate), step_s=0.03, word_starts=NOWHERE)
    above = summarise(
        trace(gate, layer=2, gates={"forget": gate, "depth": gate}),
        step_s=0.03,
        word_starts=NOWHERE,
    )
    rows = list(lines([lowest, above], duration_s=0.12))[2:4]
    assert ["–" in row for row in rows] == [True, False]


def test_without_gates_one_line_says_so() -> None:
    found = [summarise(trace(None, cell="clockwork"), step_s=0.03, word_starts=NOWHERE)]
    (line,) = lines(found, duration_s=0.12)
    assert "clockwork" in line
    assert num_columns(line) <= 80


def test_gates_are_told_apart_where_words_begin() -> None:
    words = [Word(text="a", start_s=at, end_s=at + 0.05) for at in (0.0, 0.16, 0.299)]
    edges_s = np.linspace(-0.005, 0.295, 11, dtype=np.float64)
    starts = word_starts(words, edges_s)
    assert np.flatnonzero(starts).tolist() == [4, 5, 6, 9]
    gate = np.where(starts, 0.25, 0.75)[:, None]
    found = summarise(trace(gate), step_s=0.03, word_starts=starts)
    assert found.at_word_starts == {"forget": (0.25, 0.75)}
    assert found.to_json()["at_word_starts"] == {"forget": {"at": 0.25, "elsewhere": 0.75}}
    assert not word_starts(words[:1], edges_s).any()
    assert summarise(trace(gate), step_s=0.03, word_starts=~starts | starts).at_word_starts == {}
