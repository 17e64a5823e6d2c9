"""Long time lags: the longest that each cell learns, and in how many steps."""

import argparse
from typing import Any, NamedTuple

from benchmarks.cells.networks import CELLS
from benchmarks.cells.store import Record, Results
from models.bilstm import Cell

PART = "lags"
LAGS = (50, 100, 200, 500, 1000)
TASK_NAMES = ("recall", "adding")
MAX_FRAMES = {"recall": 300_000, "adding": 500_000}
"""Frames of a row times steps that a training may take: the same for every lag."""
MAX_STEPS = 3_000
MAX_SECONDS = 120.0
BY_LAG = "lstm, bias by lag"
_ALIKE = {"depth-gated"}
"""Cells that are an LSTM where there is one layer."""


class Entry(NamedTuple):
    """What is measured: a cell, or one that begins with other biases."""

    name: str
    cell: Cell


ENTRIES = (
    *(Entry(cell, cell) for cell in CELLS if cell not in _ALIKE),
    Entry(BY_LAG, "lstm"),
)


def key_of(task: str, name: str, lag: int, seed: int) -> str:
    """Returns the key of a training's record."""
    return f"{task}/{name}/{lag}/{seed}"


def max_steps(task: str, lag: int) -> int:
    """Returns the steps a training may take."""
    return min(MAX_STEPS, MAX_FRAMES[task] // lag)


def measure(results: Results, arguments: argparse.Namespace) -> None:
    """Trains every cell at lag after lag, until it fails at one."""
    lags = LAGS[:2] if arguments.quick else LAGS
    for task in arguments.tasks:
        for entry in ENTRIES:
            if arguments.cells and entry.name not in arguments.cells:
                continue
            for lag in lags:
                if not _learns(results, task, entry, lag, arguments):
                    break


def majority(seeds: int) -> int:
    """Returns how many of so many trainings decide."""
    return seeds // 2 + 1


def _learns(
    results: Results, task: str, entry: Entry, lag: int, arguments: argparse.Namespace
) -> bool:
    """Trains with seed after seed until most have learnt it, or most have not."""
    seeds = 1 if arguments.quick else arguments.seeds
    pupil = None
    outcomes: list[bool] = []
    for seed in range(seeds):
        key = key_of(task, entry.name, lag, seed)
        if not results.has(PART, key):
            pupil = pupil or Pupil(task, entry, lag, quick=arguments.quick)
            results.add(PART, key, pupil.learn(seed))
            _report(key, results.part(PART)[key])
        outcomes.append(results.part(PART)[key]["solved"])
        if max(outcomes.count(True), outcomes.count(False)) >= majority(seeds):
            break
    return outcomes.count(True) >= majority(seeds)


def _report(key: str, record: Record) -> None:
    solved = f"in {record['steps']} steps" if record["solved"] else "not learnt"
    print(
        f"  {key:34} {solved:15} loss {record['loss']:.4f}  {record['seconds']:.1f} s", flush=True
    )


class Pupil:
    """A network of an entry at one lag of a task, compiled once for all seeds.

    Args:
        task: The task's name.
        entry: What the network is of.
        lag: Of the task.
        quick: A tenth of the budget.
    """

    def __init__(self, task: str, entry: Entry, lag: int, *, quick: bool = False) -> None:
        import keras

        from benchmarks.cells import sequence_model
        from benchmarks.cells.tasks import TASKS

        keras.backend.clear_session()
        self._task, self._entry, self._lag = TASKS[task], entry, lag
        self._options = sequence_model.options_of(entry.cell, self._task)
        self._max_steps = max_steps(task, lag) // (10 if quick else 1)
        self._trainee = sequence_model.Trainee(self._fresh(0), self._task)

    def learn(self, seed: int) -> Record:
        """Trains once and returns what became of it."""
        self._trainee.restart(self._fresh(seed).get_weights())
        course = self._trainee.train(
            lag=self._lag, seed=seed, max_steps=self._max_steps, max_seconds=MAX_SECONDS
        )
        return {
            "solved": course.solved,
            "steps": course.steps,
            "loss": round(course.losses[-1], 5),
            "seconds": round(course.seconds, 2),
            "units": self._options.units,
            "parameters": self._trainee.model.count_params(),
            "losses": thinned(course.losses),
        }

    def _fresh(self, seed: int) -> Any:
        from benchmarks.cells import sequence_model

        model = sequence_model.build(self._options, self._task, seed=seed)
        if self._entry.name == BY_LAG:
            sequence_model.bias_by_lag(model, self._lag, seed=seed)
        return model


def thinned(values: list[float], most: int = 40) -> list[Any]:
    """Returns at most so many of a curve's values, evenly chosen, to four digits."""
    step = max(1, -(-len(values) // most))
    return [float(f"{value:.4g}") for value in values[step - 1 :: step]]
