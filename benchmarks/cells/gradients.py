"""How far back a gradient reaches: its norm with respect to the state k frames earlier."""

import argparse
import math
from typing import Any

import numpy as np

from benchmarks.cells.lags import BY_LAG, ENTRIES, Entry
from benchmarks.cells.store import Record, Results

PART = "gradients"
CLIPPING_PART = "clipping"
LAG = 100
STEPS = 200
NUM_ROWS = 64
STRETCHES = (1.0, 1.3, 1.6)
"""Factors of a simple network's recurrent weights: kept, and two that make gradients explode."""
CLIPPING_RATE = 0.05
CLIPPING_STEPS = 100


def measure(results: Results, arguments: argparse.Namespace) -> None:
    """Looks at every cell, and at a simple network with and without clipping."""
    for entry in ENTRIES:
        if arguments.cells and entry.name not in arguments.cells:
            continue
        for seed in range(1 if arguments.quick else arguments.seeds):
            key = f"{entry.name}/{seed}"
            if not results.has(PART, key):
                results.add(PART, key, of_entry(entry, seed=seed, quick=arguments.quick))
                print(f"  gradients of {entry.name}, seed {seed}", flush=True)
    for stretch in STRETCHES:
        key = f"{stretch:g}"
        if not results.has(CLIPPING_PART, key) and not arguments.cells:
            results.add(CLIPPING_PART, key, clipping(stretch, quick=arguments.quick))
            print(f"  clipping with recurrent weights times {stretch:g}", flush=True)


def of_entry(entry: Entry, *, seed: int = 0, quick: bool = False) -> Record:
    """Returns norms by k before and after a short training, averaged over rows."""
    import keras

    from benchmarks.cells import sequence_model
    from benchmarks.cells.tasks import ADDING

    keras.backend.clear_session()
    model = sequence_model.build(sequence_model.options_of(entry.cell, ADDING), ADDING, seed=seed)
    if entry.name == BY_LAG:
        sequence_model.bias_by_lag(model, LAG, seed=seed)
    before = norms(model, seed=seed)
    trainee = sequence_model.Trainee(model, ADDING)
    course = trainee.train(lag=LAG, seed=seed, max_steps=STEPS // (8 if quick else 1))
    after = norms(model, seed=seed)
    return {
        "lag": LAG,
        "steps": course.steps,
        "loss": float(f"{course.losses[-1]:.4g}"),
        "before": _short(before),
        "after": _short(after),
    }


def norms(model: Any, *, seed: int) -> dict[str, list[float]]:
    """Returns the mean norm over rows of the gradient at each state, by k from 0 on."""
    from benchmarks.cells.probe import state_gradients
    from benchmarks.cells.tasks import ADDING

    rng = np.random.default_rng([seed, 1997])
    rows, sums = ADDING.batch(rng, batch_size=NUM_ROWS, lag=LAG)
    found = state_gradients(model, rows, sums)
    return {
        name: np.linalg.norm(each, axis=2).mean(axis=0)[::-1].tolist()
        for name, each in found.items()
    }


def clipping(stretch: float, *, quick: bool = False) -> Record:
    """Trains a simple network whose recurrent weights were stretched, by plain steps downhill.

    Returns the norms by k before training, and the losses with and without clipping.
    """
    import keras

    from benchmarks.cells import sequence_model
    from benchmarks.cells.tasks import ADDING

    record: Record = {}
    for name, clip_norm in (("free", None), ("clipped", sequence_model.CLIP_NORM)):
        keras.backend.clear_session()
        model = sequence_model.build(sequence_model.options_of("rnn", ADDING), ADDING, seed=0)
        weight = model.get_layer("unidirectional_0").forward_layer.cell.recurrent_kernel
        weight.assign(weight * stretch)
        record["before"] = _short(norms(model, seed=0))
        optimizer = keras.optimizers.SGD(CLIPPING_RATE, global_clipnorm=clip_norm)
        trainee = sequence_model.Trainee(model, ADDING, optimizer)
        course = trainee.train(lag=LAG, seed=0, max_steps=CLIPPING_STEPS // (4 if quick else 1))
        record[name] = [_digits(loss) for loss in course.losses]
    return record


def _short(found: dict[str, list[float]]) -> dict[str, list[float | None]]:
    return {name: [_digits(value) for value in values] for name, values in found.items()}


def _digits(value: float) -> float | None:
    """Returns three digits; None for what JSON has no word for."""
    return float(f"{value:.3g}") if math.isfinite(value) else None
