"""One training step by each of the engines compared: `python -m benchmarks.train_engines NAME`.

All have the same layers, the same CTC loss over true lengths (nats a label), clip the gradients to
a global norm of 1 and take a step of AdamW, on the same batches.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.workers import serve

VOCAB_SIZE = 29
NUM_LAYERS = 3
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 1e-3, 0.01, 1.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A network's width, and the lengths in steps of the rows of every batch of a run."""

    units: int
    num_features: int
    lengths: list[list[int]]


def make_batches(shape: Shape) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Returns batches of noise, as `models.ctc.CTCTrainer` takes them: the same ones every time."""
    rng = np.random.default_rng(1997)
    batches = []
    for lengths in shape.lengths:
        # A letter takes about 60 ms of speech: 2 steps of 30 ms, and 6 of 10 ms.
        per_label = 2 if shape.num_features > 100 else 6
        label_lengths = np.array(
            [max(1, length // (per_label + 1)) for length in lengths], np.int32
        )
        features = rng.normal(size=(len(lengths), max(lengths), shape.num_features))
        x = {
            "features": features.astype(np.float32),
            "feature_lengths": np.array(lengths, np.int32),
        }
        labels = rng.integers(1, VOCAB_SIZE, size=(len(lengths), int(label_lengths.max())))
        batches.append((x, {"labels": labels.astype(np.int32), "label_lengths": label_lengths}))
    return batches


class Ours:
    """This project's network, trained by its own `fit_epoch`: optimiser, callback, prefetching."""

    precision: Literal["float32", "bfloat16"] = "float32"

    def __init__(self, shape: Shape) -> None:
        from models.bilstm import BiLSTMOptions, build_bilstm
        from models.ctc import CTCTrainer
        from pipelines.optimizer import build_optimizer
        from pipelines.recipe import TrainingOptions

        options = BiLSTMOptions(
            units=shape.units, num_layers=NUM_LAYERS, precision=self.precision, dropout=0.0
        )
        network = build_bilstm(options, num_features=shape.num_features, vocab_size=VOCAB_SIZE)
        self.trainer = CTCTrainer(network, blank_id=0)
        training = TrainingOptions(
            learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, clip_norm=CLIP_NORM
        )
        optimizer = build_optimizer(training, total_steps=10**6)
        self.trainer.compile(optimizer=optimizer, jit_compile=False)
        optimizer.build(self.trainer.trainable_variables)
        self.batches = make_batches(shape)
        self.average_momentum = training.average

    def run(self, passes: int) -> dict[str, float]:
        """Trains on all batches so many times over; seconds are those of a step."""
        from pipelines.checkpoint import TrainingState
        from pipelines.fitting import Books, SpeechSteps, WeightAverage, fit_epoch

        maker: Any = _Ready(self.batches)
        plan: Any = [[number] for number in _order(len(self.batches), passes)]
        state, laps = TrainingState(), _Laps()
        progress: Any = laps
        average = WeightAverage(self.average_momentum)
        books = Books(
            state=state,
            average=average,
            progress=progress,
            checkpoint=lambda: None,
            interval_s=3600.0,
        )
        callback = SpeechSteps(books, plan, maker)
        fit_epoch(self.trainer, maker, plan, state, callback)
        return {"step_s": laps.step_s, "waited_s": state.waited_s / len(plan)}


class OursInBfloat16(Ours):
    """The same with bfloat16 matrix products."""

    precision: Literal["float32", "bfloat16"] = "bfloat16"


class OursBare(Ours):
    """The same network and optimiser in a bare loop: what `fit` adds is the difference."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        import tensorflow as tf

        self.ready = [tf.nest.map_structure(tf.constant, batch) for batch in self.batches]
        trainer = self.trainer

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = trainer.compute_loss(x, y, trainer(x, training=True))
            gradients = tape.gradient(loss, trainer.trainable_variables)
            trainer.optimizer.apply_gradients(
                zip(gradients, trainer.trainable_variables, strict=True)
            )
            return loss

        self.step = tf.function(step, reduce_retracing=True)

    def run(self, passes: int) -> dict[str, float]:
        """Trains on all batches so many times over; seconds are those of a step."""
        start = time.perf_counter()
        for x, y in self.ready * passes:
            self.step(x, y).numpy()
        return {"step_s": (time.perf_counter() - start) / len(self.ready) / passes}


class StockKeras:
    """Keras's own layers with a mask, which is what makes them exact, its CTC, and its `fit`."""

    def __init__(self, shape: Shape) -> None:
        import keras

        inputs = keras.Input((None, shape.num_features))
        x = keras.layers.Masking()(inputs)
        for _ in range(NUM_LAYERS):
            lstm = keras.layers.LSTM(shape.units, return_sequences=True)
            x = keras.layers.Bidirectional(lstm)(x)
        logits = keras.layers.Dense(VOCAB_SIZE)(x)
        network = keras.Model(inputs, logits)

        class Trainer(keras.Model):  # type: ignore[misc] # Keras is untyped
            def call(self, x: Any, training: bool = False) -> Any:
                return self.network(x["features"], training=training)

            def compute_loss(
                self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
            ) -> Any:
                del sample_weight, training
                losses = keras.ops.ctc_loss(
                    y["labels"], y_pred, y["label_lengths"], x["feature_lengths"], mask_index=0
                )
                return keras.ops.sum(losses) / keras.ops.cast(
                    keras.ops.sum(y["label_lengths"]), "float32"
                )

        self.trainer = Trainer()
        self.trainer.network = network
        self.trainer.compile(
            keras.optimizers.AdamW(
                LEARNING_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM
            )
        )
        self.batches = make_batches(shape)
        for x, _ in self.batches:
            for row, length in zip(x["features"], x["feature_lengths"], strict=True):
                row[length:] = 0.0  # how the mask finds padding

    def run(self, passes: int) -> dict[str, float]:
        """Trains on all batches so many times over; seconds are those of a step."""
        import keras

        laps = _Laps()
        order = _order(len(self.batches), passes)
        callback = keras.callbacks.LambdaCallback(on_train_batch_end=laps.advance)
        self.trainer.fit(
            (self.batches[number] for number in order),
            steps_per_epoch=len(order),
            shuffle=False,
            verbose=0,
            callbacks=[callback],
        )
        return {"step_s": laps.step_s}


class Torch:
    """PyTorch's nn.LSTM over the padded batch; its backward direction reads padding first."""

    packed = False

    def __init__(self, shape: Shape) -> None:
        import torch

        self.torch = torch
        self.lstm = torch.nn.LSTM(
            shape.num_features, shape.units, NUM_LAYERS, bidirectional=True, batch_first=True
        )
        self.logits = torch.nn.Linear(2 * shape.units, VOCAB_SIZE)
        self.parameters = [*self.lstm.parameters(), *self.logits.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        self.loss = torch.nn.CTCLoss(reduction="sum")
        self.batches = [
            {name: torch.from_numpy(array) for name, array in (x | y).items()}
            for x, y in make_batches(shape)
        ]

    def run(self, passes: int) -> dict[str, float]:
        """Trains on all batches so many times over; seconds are those of a step."""
        start = time.perf_counter()
        for batch in self.batches * passes:
            self._step(batch)
        return {"step_s": (time.perf_counter() - start) / len(self.batches) / passes}

    def _step(self, batch: dict[str, Any]) -> None:
        self.optimizer.zero_grad()
        log_probs = self.logits(self._hidden(batch)).log_softmax(-1).transpose(0, 1)
        loss = self.loss(
            log_probs, batch["labels"], batch["feature_lengths"], batch["label_lengths"]
        )
        (loss / batch["label_lengths"].sum()).backward()
        self.torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()

    def _hidden(self, batch: dict[str, Any]) -> Any:
        if not self.packed:
            return self.lstm(batch["features"])[0]
        rnn = self.torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(
            batch["features"], batch["feature_lengths"], batch_first=True, enforce_sorted=False
        )
        return rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


class TorchPacked(Torch):
    """The same over packed sequences, which is exact."""

    packed = True


class Peak:
    """The product of two 4096 × 4096 float32 matrices, in the library ours runs on."""

    def __init__(self, shape: Shape) -> None:
        del shape
        import tensorflow as tf

        self.matmul = tf.linalg.matmul
        self.matrix = tf.random.normal([4096, 4096])

    def run(self, passes: int) -> dict[str, float]:
        """Multiplies once."""
        del passes
        start = time.perf_counter()
        self.matmul(self.matrix, self.matrix).numpy()
        return {"step_s": time.perf_counter() - start}


def _order(num_batches: int, passes: int) -> list[int]:
    """Returns the batches by number, with one ahead that `_Laps` does not count."""
    return [num_batches - 1, *list(range(num_batches)) * passes]


class _Laps:
    """Times steps from the end of the first: what `fit` does at its beginning is an epoch's."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def advance(self, *_: Any, **__: Any) -> None:
        """Takes note of a step's end, in the place of a `Progress` or a callback of Keras's."""
        self._ends.append(time.perf_counter())

    @property
    def step_s(self) -> float:
        return (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)


class _Ready:
    """Stands for a `BatchMaker` whose batches are made already."""

    def __init__(self, batches: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        from pipelines.batching import Batch

        self.batches = [Batch(ids=(), **x, **y, duration_s=1.0) for x, y in batches]

    def make(self, draws: list[int], *, epoch: int) -> Any:
        del epoch
        return self.batches[draws[0]]

    def ids(self, draws: list[int]) -> tuple[str, ...]:
        return tuple(map(str, draws))

    def duration_s(self, draws: list[int]) -> float:
        return float(len(draws))


ENGINES: dict[str, Any] = {
    "ours": Ours,
    "ours bfloat16": OursInBfloat16,
    "ours bare": OursBare,
    "keras": StockKeras,
    "torch": Torch,
    "torch packed": TorchPacked,
    "peak": Peak,
}


def main() -> None:
    """Answers `{"shape": …}` by making the engine anew, and `{"passes": n}` by running it."""
    engine: Any = None
    kind = ENGINES[sys.argv[1]]

    def answer(shape: dict[str, Any] | None = None, passes: int = 1) -> dict[str, float]:
        nonlocal engine
        if shape is not None:
            engine = None  # the old one's memory goes first
            engine = kind(Shape(**shape))
        result: dict[str, float] = engine.run(passes)
        return result

    serve(answer)


if __name__ == "__main__":
    main()
