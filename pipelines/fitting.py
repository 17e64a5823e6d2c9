"""What Keras's `fit` is given: the batches, and callbacks. Imports Keras."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from asr.errors import TrainingError
from models.ctc import CTCTrainer
from pipelines.batching import BatchMaker, Draw
from pipelines.checkpoint import TrainingState
from pipelines.prefetching import Prefetcher
from pipelines.progress import Progress

AVERAGE_EVERY = 8
"""Steps between updates of the running average: a copy of all weights at each would cost a few
per cent of the time, and neighbouring steps differ little."""


class WeightAverage:
    """A running average of the trainable weights (Polyak and Juditsky 1992, exponential).

    Args:
        momentum: Weight of the past at each step; 0 keeps no average.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.weights: list[npt.NDArray[np.float32]] = []

    def update(self, model: keras.Model, step: int) -> None:
        """Takes in the weights after a step, counted from 1."""
        if not self.momentum or step % AVERAGE_EVERY:
            return
        _sync(model)
        now = _numpy(model.trainable_variables)
        if not self.weights:
            self.weights = now
        # The early average is young: it forgets its beginnings faster than its momentum says.
        momentum = min(self.momentum**AVERAGE_EVERY, step / (step + 10 * AVERAGE_EVERY))
        for average, weight in zip(self.weights, now, strict=True):
            average += (1.0 - momentum) * (weight - average)

    def apply(self, model: keras.Model) -> Callable[[], None]:
        """Puts the average in the model's place and returns a function that undoes it."""
        if not self.weights:
            return lambda: None
        own = _numpy(model.trainable_variables)
        assign(model.trainable_variables, self.weights)
        return lambda: assign(model.trainable_variables, own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is kept of a training from step to step.

    Attributes:
        state: Moved on after every step.
        average: Updated after every step.
        progress: Shown what is done.
        checkpoint: Called when `interval_s` has passed since it last was.
        interval_s: Seconds between checkpoints.
    """

    state: TrainingState
    average: WeightAverage
    progress: Progress
    checkpoint: Callable[[], None]
    interval_s: float


class StepCallback(keras.callbacks.Callback):
    """Keeps the books of an epoch: loss, progress, averages, and when to write a checkpoint.

    Args:
        books: The books.
    """

    def __init__(self, books: Books) -> None:
        super().__init__()
        self._books = books
        self._state = state = books.state
        # `fit` reports a running mean over its own steps; the epoch's sums may be older.
        self._sum_before, self._weight_before = state.loss_sum, state.loss_weight
        self._saved_at = self._started_at = time.monotonic()
        self._elapsed_before = state.elapsed_s

    def weight(self) -> int:
        """Returns what the mean loss of step `state.batch` weighs among others."""
        return 1

    def amount(self) -> float:
        """Returns how much of what the progress counts step `state.batch` was."""
        return 1.0

    def advice(self) -> str:
        """Returns what to do where the loss of step `state.batch` is not finite."""
        return "; lower the learning rate"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes in a step's loss.

        Raises:
            TrainingError: It is not finite.
        """
        del batch  # counts from the start of this call of `fit`, not of the epoch
        state = self._state
        mean = float((logs or {})["loss"])
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss became {mean} in epoch {state.epoch + 1}, batch {state.batch + 1}"
                f"{self.advice()}"
            )
        weight, amount = self.weight(), self.amount()
        seen = state.loss_weight - self._weight_before + weight
        state.loss_weight += weight
        state.loss_sum = self._sum_before + mean * seen
        state.batch += 1
        state.step += 1
        state.elapsed_s = self._elapsed_before + time.monotonic() - self._started_at
        self._books.average.update(self.model, state.step)
        self._books.progress.advance(amount, f"loss {state.loss_sum / state.loss_weight:.3f}")
        if time.monotonic() - self._saved_at >= self._books.interval_s:
            self._books.checkpoint()
            self._saved_at = time.monotonic()


class SpeechSteps(StepCallback):
    """The books of an epoch of speech.

    Args:
        books: The books.
        plan: The epoch's batches.
        maker: Knows their ids and durations.
    """

    def __init__(self, books: Books, plan: Sequence[Sequence[Draw]], maker: BatchMaker) -> None:
        super().__init__(books)
        self._plan, self._maker = plan, maker

    def weight(self) -> int:
        """Returns the number of its utterances."""
        return len(self._plan[self._state.batch])

    def amount(self) -> float:
        """Returns the seconds of speech in it."""
        return self._maker.duration_s(self._plan[self._state.batch])

    def advice(self) -> str:
        """Returns the utterances to look at."""
        ids = ", ".join(self._maker.ids(self._plan[self._state.batch]))
        return f", which holds {ids}; look at these utterances, or lower learning_rate or clip_norm"


def fit_epoch(
    trainer: CTCTrainer,
    maker: BatchMaker,
    plan: Sequence[Sequence[Draw]],
    state: TrainingState,
    callback: StepCallback,
) -> None:
    """Trains on what is left of an epoch.

    Raises:
        TrainingError: A loss is not finite.
        AudioError: A recording has become unreadable since the run began.
    """
    prefetcher = Prefetcher(maker, plan[state.batch :], epoch=state.epoch)
    try:
        # One epoch a call, since every epoch has batches of its own and may begin in its middle.
        trainer.fit(
            _for_backend(trainer, prefetcher),
            epochs=1,
            # Without it, Keras warns of data that ends before it was expected to.
            steps_per_epoch=len(plan) - state.batch,
            shuffle=False,  # the plan has done that
            verbose=0,
            callbacks=[callback],
        )
    except Exception:
        if prefetcher.error is None:
            raise
        # The backend has wrapped it in an error, and a traceback, of its own.
        raise prefetcher.error from None
    finally:
        prefetcher.stop()
        state.waited_s += prefetcher.waited_s


def variables(trainer: CTCTrainer, average: WeightAverage) -> dict[str, list[npt.NDArray[Any]]]:
    """Returns all that a checkpoint must hold beside the state: weights, seeds, optimiser."""
    _sync(trainer)
    return {
        "model": _numpy(trainer.variables),
        "optimizer": _numpy(trainer.optimizer.variables),
        "average": list(average.weights),
    }


def restore(
    trainer: CTCTrainer, average: WeightAverage, arrays: dict[str, list[npt.NDArray[Any]]]
) -> None:
    """Puts a checkpoint's arrays back.

    Raises:
        TrainingError: They do not fit the network the recipe describes.
    """
    assign(trainer.variables, arrays.get("model", []))
    assign(trainer.optimizer.variables, arrays.get("optimizer", []))
    average.weights = arrays.get("average", [])


def assign(targets: Sequence[Any], values: Sequence[npt.NDArray[Any]]) -> None:
    """Assigns arrays to variables, one to one.

    Raises:
        TrainingError: Their number or shapes differ.
    """
    shapes = [tuple(target.shape) for target in targets]
    received = [tuple(value.shape) for value in values]
    if shapes != received:
        raise TrainingError(
            f"expected weights of shapes {shapes}, received {received}: the checkpoint belongs "
            f"to another recipe"
        )
    for target, value in zip(targets, values, strict=True):
        target.assign(value)


def _sync(model: keras.Model) -> None:
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()  # on jax the variables are behind until they are asked for


def _numpy(tensors: Sequence[Any]) -> list[npt.NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(tensor)) for tensor in tensors]


def _for_backend(trainer: CTCTrainer, prefetcher: Prefetcher) -> Any:
    """Wraps the batches for `fit`."""
    pairs = (batch.for_fit() for batch in prefetcher)
    if keras.backend.backend() != "tensorflow":
        return pairs
    # Keras would guess the shapes from the first two batches and hold all others to them.
    import tensorflow as tf

    num_features = trainer.network.get_layer("features").output.shape[-1]

    def spec(*shape: int | None, dtype: Any = tf.int32) -> Any:
        return tf.TensorSpec(shape, dtype)

    inputs = {
        "features": spec(None, None, num_features, dtype=tf.float32),
        "feature_lengths": spec(None),
    }
    targets = {"labels": spec(None, None), "label_lengths": spec(None)}
    if trainer.teacher_share:
        targets["guides"] = spec(None, None, None, dtype=tf.float32)
    signature = (inputs, targets)

    def generate() -> Iterator[Any]:
        yield from pairs

    options = tf.data.Options()
    # There is nothing to tune, and its threads can keep a finished program alive for minutes.
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(generate, output_signature=signature).with_options(
        options
    )
