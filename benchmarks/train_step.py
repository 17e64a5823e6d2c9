"""A training step: ours inside `fit`, against PyTorch and stock Keras on the same padded batches.

Rows are as long as LibriSpeech's utterances, drawn by the deciles below and scaled so that a
batch's longest row has the length stated. Drawn anyhow ("mixed"), about half of a batch is padding,
over which the peers compute and ours does not. This project's own batches go by length, which
"alike" stands for: all rows from 94 to 100 % of the longest.

Peers: torch, in the dependency group `peers`; `make bench` has it.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import write_results
from benchmarks.train_engines import NUM_LAYERS, VOCAB_SIZE
from benchmarks.workers import Worker

DECILES_S = (1.1, 2.6, 3.3, 3.9, 4.7, 5.7, 6.8, 8.3, 10.3, 13.9, 34.5)
"""Durations of 6,960 utterances of LibriSpeech (Panayotov et al. 2015): least, deciles, most."""

MAIN_ENGINES = (
    "ours", "ours bfloat16", "ours bare", "torch", "torch packed", "keras", "peak",
)  # fmt: skip
GRID_ENGINES = ("ours", "torch", "peak")
QUICK_ENGINES = GRID_ENGINES
MAX_BATCHES = 3
"""Batches of a cell: of one longest length, each with rows of its own."""
LONG_FLOP = 5e11
"""Some four seconds on two cores: a cell whose batch needs more has one batch only."""
ROUND_S = 3.0
"""Short steps are repeated until a round takes about so long."""
MAX_PASSES = 32
ENGINE_S = 40.0
"""An engine that has taken so long over a cell, and had two rounds, has no more of them."""


class Cell(NamedTuple):
    """What is measured: batch size, longest row, its mix of lengths, inputs and width."""

    batch_size: int
    num_steps: int
    mix: str
    num_features: int
    units: int

    def __str__(self) -> str:
        return (
            f"B {self.batch_size}, T {self.num_steps} ({self.mix}), {self.num_features} inputs, "
            f"{NUM_LAYERS} x {self.units}"
        )

    @property
    def num_batches(self) -> int:
        """How many batches a pass goes over."""
        return MAX_BATCHES if self._flops_a_frame() * self.num_frames < LONG_FLOP else 1

    @property
    def num_frames(self) -> int:
        """Frames of a batch, padding included."""
        return self.batch_size * self.num_steps

    def lengths(self) -> list[list[int]]:
        """Returns the rows' lengths of every batch, the same ones at every call."""
        rng = np.random.default_rng([1997, self.batch_size])
        shape = (self.num_batches, self.batch_size)
        if self.mix == "mixed":
            rows = np.interp(rng.uniform(0, 10, shape), np.arange(11), DECILES_S)
        else:
            rows = rng.uniform(0.94, 1.0, shape)
        scaled = rows / rows.max(axis=1, keepdims=True) * self.num_steps
        return [[max(1, round(length)) for length in batch] for batch in scaled.tolist()]

    def flops(self) -> float:
        """Returns the multiplications and additions one step needs, padding left out, on average.

        Two for each weight and frame going forward, and four going back.
        """
        return self._flops_a_frame() * sum(map(sum, self.lengths())) / self.num_batches

    def _flops_a_frame(self) -> float:
        widths = [self.num_features] + [2 * self.units] * (NUM_LAYERS - 1)
        weights = sum(2 * 4 * self.units * (width + self.units) for width in widths)
        weights += 2 * self.units * VOCAB_SIZE
        return 6.0 * weights


MAIN_CELLS = (
    Cell(16, 133, "alike", 117, 320),
    Cell(16, 133, "mixed", 117, 320),
    Cell(16, 400, "alike", 39, 320),
    Cell(16, 400, "mixed", 39, 320),
)
GRID = tuple(
    Cell(batch_size, num_steps, "alike", 39, units)
    for units in (128, 320, 512)
    for num_steps in (100, 400, 1600)
    for batch_size in (1, 8, 32)
)


def measure(cell: Cell, workers: Sequence[Worker], *, rounds: int) -> dict[str, Any]:
    """Times all engines in turns, after one round that does not count (compilation)."""
    shape = {"units": cell.units, "num_features": cell.num_features, "lengths": cell.lengths()}
    times: dict[str, list[float]] = {worker.name: [] for worker in workers}
    waited: list[float] = []
    for worker in workers:
        worker.ask(shape=shape)
    slowest = max(worker.ask()["step_s"] for worker in workers if worker.name != "peak")
    passes = min(MAX_PASSES, max(1, round(ROUND_S / slowest / cell.num_batches)))
    for number in range(rounds):
        for worker in workers if number % 2 else reversed(workers):
            if number >= 2 and sum(times[worker.name]) * passes * cell.num_batches > ENGINE_S:
                continue
            answer = worker.ask(passes=passes)
            times[worker.name].append(answer["step_s"])
            if worker.name == "ours":
                waited.append(answer["waited_s"] / answer["step_s"])
    peak = 2 * 4096**3 / statistics.median(times["peak"])
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = {
        name: _quartiles([their / our for their, our in zip(each, times["ours"], strict=False)])
        for name, each in times.items()
        if name not in ("ours", "peak")
    }
    return cell._asdict() | {
        "padding_share": 1 - sum(map(sum, cell.lengths())) / cell.num_batches / cell.num_frames,
        "step_s": medians,
        "ratio_to_ours": ratios,
        "peak_gflops": peak / 1e9,
        "share_of_peak": {
            name: cell.flops() / seconds / peak
            for name, seconds in medians.items()
            if name != "peak"
        },
        "waiting_share": statistics.median(waited),
    }


def main(argv: Sequence[str] = ()) -> None:
    """Prints a table, and writes benchmarks/results/train_step.json and .md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks train_step")
    parser.add_argument("--quick", action="store_true", help="one cell, one peer")
    parser.add_argument("--rounds", type=int, help="rounds of each cell")
    parser.add_argument("--engines", nargs="+", choices=MAIN_ENGINES, help="only these")
    options = parser.parse_args(argv)
    rounds = options.rounds or (2 if options.quick else 5)
    main_cells, grid = (MAIN_CELLS[:1], ()) if options.quick else (MAIN_CELLS, GRID)
    engines = options.engines or (QUICK_ENGINES if options.quick else MAIN_ENGINES)
    cells = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker("train_engines", name)) for name in engines]
        for cell in main_cells:
            cells.append(measure(cell, workers, rounds=rounds))
            _report(cell, cells[-1])
        few = [worker for worker in workers if worker.name in GRID_ENGINES]
        for cell in grid:
            cells.append(measure(cell, few, rounds=max(3, rounds // 2)))
            _report(cell, cells[-1])
    write_results("train_step", {"cells": cells}, _tables(cells), quick=options.quick)


def _report(cell: Cell, result: dict[str, Any]) -> None:
    print(f"  {cell}: {100 * result['padding_share']:.0f} % padding")
    for name, seconds in result["step_s"].items():
        low, ratio, high = result["ratio_to_ours"].get(name, (1.0, 1.0, 1.0))
        said = f"{ratio:5.2f} of ours ({low:.2f} to {high:.2f})" if name != "peak" else ""
        print(f"    {name:14} {1e3 * seconds:9.1f} ms  {said}", flush=True)


def _tables(cells: Sequence[dict[str, Any]]) -> str:
    """Returns the results in Markdown: a line for each cell."""
    lines = [
        "| batch | longest row | padding | inputs | width | ours | torch ÷ ours | "
        "torch packed ÷ ours | keras ÷ ours | bfloat16 | `fit` adds | waiting | "
        "of the peak, ours | torch |",
        "|---" * 14 + "|",
    ]
    for cell in cells:
        step_s, share = cell["step_s"], cell["share_of_peak"]
        bare, rounded = step_s.get("ours bare"), step_s.get("ours bfloat16")
        values = [
            cell["batch_size"],
            cell["num_steps"],
            _percent(cell["padding_share"]),
            cell["num_features"],
            cell["units"],
            f"{1e3 * step_s['ours']:.0f} ms",
            *(_ratio(cell["ratio_to_ours"], name) for name in ("torch", "torch packed", "keras")),
            "" if rounded is None else f"{step_s['ours'] / rounded:.2f} x",
            "" if bare is None else _percent(step_s["ours"] / bare - 1),
            _percent(cell["waiting_share"]),
            _percent(share["ours"]),
            _percent(share["torch"]),
        ]
        lines.append("| " + " | ".join(map(str, values)) + " |")
    return "\n".join(lines)


def _ratio(ratios: dict[str, Sequence[float]], name: str) -> str:
    if name not in ratios:
        return ""
    low, ratio, high = ratios[name]
    return f"{ratio:.2f} ({low:.2f}–{high:.2f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


if __name__ == "__main__":
    main(sys.argv[1:])
