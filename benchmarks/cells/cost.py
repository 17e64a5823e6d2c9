"""Time and memory against length, each cell in a process of its own on TensorFlow."""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cells.store import Results
from benchmarks.workers import Worker, serve
from models.bilstm import BiLSTMOptions, Cell

PART = "cost"
COST_CELLS: tuple[Cell, ...] = ("lstm", "gru", "peephole", "attention")
LENGTHS = (100, 200, 400, 800, 1600, 3200)
NUM_FEATURES, VOCAB_SIZE = 78, 29
NUM_PARAMETERS = 400_000
NUM_LABELS = 20
ROUNDS = 3
_SHORT_S, _LONG_S = 0.2, 2.0
"""Calls shorter than the one are repeated, those longer than the other timed once."""


def measure(results: Results, arguments: argparse.Namespace) -> None:
    """Measures cell after cell, the lengths from short to long, so that a peak is its length's."""
    lengths = LENGTHS[:2] if arguments.quick else LENGTHS
    for cell in arguments.cells or COST_CELLS:
        keys = [f"{cell}/{length}" for length in lengths]
        if all(results.has(PART, key) for key in keys):
            continue
        with Worker("cells.cost", cell) as worker:
            for key, length in zip(keys, lengths, strict=True):
                record = worker.ask(length=length)
                if not results.has(PART, key):
                    results.add(PART, key, record)
                print(
                    f"  {cell:10} {length:5} frames  use {1e3 * record['use_s']:8.1f} ms  training "
                    f"{1e3 * record['train_s']:8.1f} ms, {record['bytes'] / 2**20:6.0f} MiB",
                    flush=True,
                )


def options_of(cell: Cell) -> BiLSTMOptions:
    """Returns the network that is measured: two layers, both ways."""
    from benchmarks.cells.networks import fitted

    return fitted(
        BiLSTMOptions(cell=cell, num_layers=2, dropout=0.0),
        num_parameters=NUM_PARAMETERS,
        num_features=NUM_FEATURES,
        vocab_size=VOCAB_SIZE,
    )


class Engine:
    """A network that is used, and trained, on one row of any length.

    Args:
        cell: Of the network.
    """

    def __init__(self, cell: Cell) -> None:
        import keras

        from models.bilstm import build_bilstm
        from models.ctc import CTCTrainer

        keras.utils.set_random_seed(0)
        options = options_of(cell)
        network = build_bilstm(options, num_features=NUM_FEATURES, vocab_size=VOCAB_SIZE)
        self._trainer = CTCTrainer(network, blank_id=0)
        self._trainer.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=False)
        self._network = network
        self._parameters = network.count_params()
        for length in (30, 40):  # what is traced, and compiled, once
            self._use(_rows(length))
            self._train(_rows(length))
        self._bytes_before = _peak_bytes()

    def answer(self, length: int) -> dict[str, Any]:
        """Returns seconds of a use and of a training step, and what memory they added at most."""
        rows = _rows(length)
        use_s = _median_s(lambda: self._use(rows))
        train_s = _median_s(lambda: self._train(rows))
        return {
            "use_s": use_s,
            "train_s": train_s,
            "bytes": _peak_bytes() - self._bytes_before,
            "parameters": self._parameters,
        }

    def _use(self, rows: dict[str, Any]) -> None:
        self._network.predict_on_batch(rows)

    def _train(self, rows: dict[str, Any]) -> None:
        labels = np.arange(NUM_LABELS, dtype=np.int32)[None] % (VOCAB_SIZE - 1) + 1
        count = np.array([NUM_LABELS], np.int32)
        self._trainer.train_on_batch(rows, {"labels": labels, "label_lengths": count})


def _rows(length: int) -> dict[str, Any]:
    values = np.random.default_rng(length).standard_normal((1, length, NUM_FEATURES), np.float32)
    return {"features": values, "feature_lengths": np.array([length], np.int32)}


def _median_s(call: Callable[[], object]) -> float:
    """Returns the processor time of a call, after one that does not count."""
    call()
    start = time.process_time()
    call()
    once = max(time.process_time() - start, 1e-6)
    repeats = max(1, min(20, round(_SHORT_S / once)))
    found = []
    for _ in range(ROUNDS if once < _LONG_S else 1):
        start = time.process_time()
        for _ in range(repeats):
            call()
        found.append((time.process_time() - start) / repeats)
    return statistics.median(found)


def _peak_bytes() -> int:
    from pipelines.machine import peak_memory_bytes

    return peak_memory_bytes() or 0


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    serve(Engine(sys.argv[1]).answer)  # type: ignore[arg-type]
