"""The same recognizer with each cell: error rates, loss, time, memory."""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells.networks import RECOGNIZERS, fitted
from benchmarks.cells.speech import FEATURES, VOCABULARY, Group, Speech, load
from benchmarks.cells.store import Record, Results
from benchmarks.workers import Worker, serve
from models.bilstm import BiLSTMOptions

PART = "recognition"
CORPUS_PART = "speech"
NUM_PARAMETERS = 100_000
EPOCHS, QUICK_EPOCHS = 12, 1


def measure(results: Results, arguments: argparse.Namespace) -> None:
    """Trains every network with every seed, one after the other in a process of its own.

    Raises:
        SystemExit: No speech was named.
    """
    if arguments.digits is None:
        raise SystemExit(
            "recognition: expected --digits FOLDER, the recordings of the Free Spoken Digit "
            "Dataset (asr prepare --help says where it is), and perhaps --read and --read-dev, "
            "manifests of read sentences; received none"
        )
    seeds = range(1 if arguments.quick else arguments.seeds)
    wanted = {
        name: [seed for seed in seeds if not results.has(PART, f"{name}/{seed}")]
        for name in arguments.cells or RECOGNIZERS
        if name in RECOGNIZERS
    }
    if not any(wanted.values()):
        return
    speech = load(arguments.digits, arguments.new_speaker, arguments.read, arguments.read_dev)
    results.add(CORPUS_PART, "sets", describe(speech))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.npz"
        speech.save(path)
        for name, missing in wanted.items():
            if missing:
                _train(results, name, missing, path, quick=arguments.quick)


def _train(results: Results, name: str, seeds: list[int], path: Path, *, quick: bool) -> None:
    with Worker("cells.recognition", name) as worker:
        for seed in seeds:
            record = worker.ask(speech=str(path), seed=seed, quick=quick)
            results.add(PART, f"{name}/{seed}", record)
            rates = "  ".join(
                f"{group}: {100 * sum(one['errors']) / max(1, sum(one['words'])):.1f} %"
                for group, one in record["test"].items()
            )
            print(f"  {name:12} seed {seed}  {rates}  {record['epoch_s']:.1f} s", flush=True)


def describe(speech: Speech) -> Record:
    """Returns how much speech of each kind there is."""
    return {
        side: {
            group.name: {"utterances": len(group.items), "seconds": round(group.duration_s, 1)}
            for group in groups
        }
        for side, groups in (("train", speech.train), ("test", speech.test))
    }


def options_of(name: str) -> BiLSTMOptions:
    """Returns a network of `RECOGNIZERS`, as wide as its parameters allow."""
    return fitted(
        RECOGNIZERS[name].options,
        num_parameters=NUM_PARAMETERS,
        num_features=FEATURES.num_features,
        vocab_size=len(VOCABULARY),
    )


class Engine:
    """Trains one recognizer, once for each seed; what is compiled is compiled once.

    Args:
        name: Of `RECOGNIZERS`.
    """

    def __init__(self, name: str) -> None:
        self._options = options_of(name)
        self._learning_rate = RECOGNIZERS[name].learning_rate
        self._trainer: Any = None
        self._start: list[Any] = []

    def answer(self, speech: str, seed: int, quick: bool) -> Record:
        """Returns what became of one training."""
        heard = Speech.load(Path(speech))
        epochs = QUICK_EPOCHS if quick else EPOCHS
        self._begin(heard, seed, epochs)
        losses, seconds = [], []
        for epoch in range(epochs):
            start = time.process_time()
            losses.append(self._epoch(heard, np.random.default_rng([seed, epoch])))
            seconds.append(time.process_time() - start)
        test = {group.name: self._test(group) for group in heard.test}
        return {
            "units": self._options.units,
            "parameters": self._trainer.network.count_params(),
            "epochs": epochs,
            "losses": [float(f"{loss:.4g}") for loss in losses],
            "epoch_s": round(statistics.median(seconds[1:] or seconds), 3),
            "bytes": _peak_bytes(),
            "test": test,
        }

    def _begin(self, speech: Speech, seed: int, epochs: int) -> None:
        """Makes the network at the first seed, and gives it fresh weights at every seed."""
        import keras

        from models.bilstm import build_bilstm
        from models.ctc import CTCTrainer
        from pipelines.fitting import assign
        from pipelines.optimizer import build_optimizer
        from pipelines.recipe import TrainingOptions

        keras.utils.set_random_seed(seed)
        shape = {"num_features": FEATURES.num_features, "vocab_size": len(VOCABULARY)}
        network = build_bilstm(self._options, **shape)
        if self._trainer is None:
            steps = epochs * len(list(_plan(speech, np.random.default_rng(0))))
            training = TrainingOptions(
                epochs=epochs,
                learning_rate=self._learning_rate,
                warmup_steps=steps // 10,
                clip_norm=1.0,
            )
            optimizer = build_optimizer(training, total_steps=steps)
            self._trainer = CTCTrainer(network, blank_id=VOCABULARY.blank_id)
            # Whole steps compiled by XLA: TensorFlow cannot, for loops of unknown length.
            jit = False if keras.backend.backend() == "tensorflow" else "auto"
            self._trainer.compile(optimizer=optimizer, jit_compile=jit)
            optimizer.build(self._trainer.trainable_variables)
            self._start = [
                np.array(keras.ops.convert_to_numpy(each)) for each in optimizer.variables
            ]
            return
        fresh = [np.array(keras.ops.convert_to_numpy(each)) for each in network.variables]
        assign(self._trainer.network.variables, fresh)
        assign(self._trainer.optimizer.variables, self._start)

    def _epoch(self, speech: Speech, rng: np.random.Generator) -> float:
        losses = []
        for group, places in _plan(speech, rng):
            x, y = group.batch(places)
            losses.append(float(self._trainer.train_on_batch(x, y)))
        return statistics.fmean(losses)

    def _test(self, group: Group) -> Record:
        from asr.decoding import greedy_decode, log_softmax
        from asr.scoring import score
        from asr.text import TextOptions

        texts: dict[str, str] = {}
        losses: dict[str, float] = {}
        seconds = 0.0
        for places in group.batches():
            x, y = group.batch(places)
            start = time.process_time()
            logits = np.asarray(self._trainer.network.predict_on_batch(x))
            seconds += time.process_time() - start
            found = self._losses(logits, x, y)
            for row, place in enumerate(places):
                item = group.items[place]
                log_probs = log_softmax(logits[row, : len(item.features)])
                spelt = greedy_decode(log_probs, blank_id=VOCABULARY.blank_id).tokens
                texts[item.id] = VOCABULARY.decode(spelt)
                losses[item.id] = float(found[row])
        said = {item.id: item.text for item in group.items}
        rows = score(said, texts, text=TextOptions(language="en")).rows
        num_labels = sum(len(item.text) for item in group.items)
        return {
            "loss": round(sum(losses.values()) / num_labels, 4),
            "errors": [row.words.errors for row in rows],
            "words": [row.words.num_reference for row in rows],
            "character_errors": [row.characters.errors for row in rows],
            "characters": [row.characters.num_reference for row in rows],
            "use_s": round(seconds, 4),
        }

    def _losses(self, logits: Any, x: dict[str, Any], y: dict[str, Any]) -> Any:
        from models.ctc import ctc_loss

        return np.asarray(
            ctc_loss(
                y["labels"],
                logits,
                y["label_lengths"],
                x["feature_lengths"],
                blank_id=VOCABULARY.blank_id,
            )
        )


def _plan(speech: Speech, rng: np.random.Generator) -> Iterator[tuple[Group, list[int]]]:
    """Yields an epoch's batches, each of one group; what is left over waits for another epoch."""
    from benchmarks.cells.speech import BATCH_SIZE

    batches = []
    for group in speech.train:
        order = rng.permutation(len(group.items)).tolist()
        size = min(BATCH_SIZE, len(order))
        starts = range(0, len(order) - size + 1, size)
        batches += [(group, order[start : start + size]) for start in starts]
    for place in rng.permutation(len(batches)):
        yield batches[place]


def _peak_bytes() -> int:
    from pipelines.machine import peak_memory_bytes

    return peak_memory_bytes() or 0


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    serve(Engine(sys.argv[1]).answer)
