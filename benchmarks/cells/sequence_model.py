"""A recipe's network that answers once, after the last frame, and its training on a task.

Imports Keras.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from benchmarks.cells.networks import fitted
from benchmarks.cells.tasks import CHUNK, Task
from models.bilstm import BiLSTMOptions, Cell, build_bilstm
from pipelines.fitting import assign

BATCH_SIZE = 32
LEARNING_RATE = 5e-3
CLIP_NORM = 1.0
NUM_PARAMETERS = 4_600
"""Of every network on the two tasks: an LSTM of 32 units."""


class Course(NamedTuple):
    """How a training went.

    Attributes:
        losses: Mean loss of every `CHUNK` steps.
        solved: Whether the last of them is below the task's threshold.
        seconds: Processor time, the compilation left out.
    """

    losses: list[float]
    solved: bool
    seconds: float

    @property
    def steps(self) -> int:
        """Steps made."""
        return CHUNK * len(self.losses)


def options_of(cell: Cell, task: Task) -> BiLSTMOptions:
    """Returns one layer of a cell, one way, as wide as the number of parameters allows."""
    options = BiLSTMOptions(
        cell=cell, bidirectional=False, num_layers=1, dropout=0.0, num_modules=8, num_heads=2
    )
    return fitted(
        options,
        num_parameters=NUM_PARAMETERS,
        num_features=task.num_inputs,
        vocab_size=task.num_outputs,
    )


def build(options: BiLSTMOptions, task: Task, *, seed: int) -> keras.Model:
    """Returns the network, from rows [B, T, num_inputs] to answers [B, num_outputs]."""
    keras.utils.set_random_seed(seed)
    network = build_bilstm(options, num_features=task.num_inputs, vocab_size=task.num_outputs)
    answers = network.output[:, -1]
    if task.loss.endswith("crossentropy"):
        answers = keras.layers.Softmax()(answers)
    return keras.Model(network.input, answers)


def bias_by_lag(model: keras.Model, lag: int, *, seed: int) -> None:
    """Begins an LSTM's forget gates where memories last about as long as the task asks for.

    Tallec and Ollivier, "Can recurrent neural networks warp time?", 2018: each forget bias is
    ln(u) for a u drawn evenly from 1 to the lag, and the input gate's bias is its negative.
    """
    bias = model.get_layer("unidirectional_0").forward_layer.cell.bias
    values = np.array(keras.ops.convert_to_numpy(bias))
    units = len(values) // 4  # in the order i, f, g, o
    drawn = np.log(np.random.default_rng(seed).uniform(1.0, max(2.0, lag - 1.0), units))
    values[:units], values[units : 2 * units] = -drawn, drawn
    bias.assign(values)


class Trainee:
    """A network that is compiled once and trained anew with other first weights.

    Args:
        model: Of `build`.
        task: What on.
        optimizer: Adam, clipped to `CLIP_NORM`, if left out.
    """

    def __init__(self, model: keras.Model, task: Task, optimizer: Any = None) -> None:
        self.model, self.task = model, task
        optimizer = optimizer or keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=CLIP_NORM)
        model.compile(optimizer=optimizer, loss=task.loss)
        optimizer.build(model.trainable_variables)
        self._optimizer = optimizer
        self._start = [np.array(keras.ops.convert_to_numpy(each)) for each in optimizer.variables]

    def restart(self, weights: Sequence[Any]) -> None:
        """Gives it first weights, and an optimiser that has seen nothing."""
        self.model.set_weights(weights)
        assign(self._optimizer.variables, self._start)

    def train(
        self, *, lag: int, seed: int, max_steps: int, max_seconds: float = math.inf
    ) -> Course:
        """Trains until the task is learnt or the budget is spent.

        Args:
            lag: Of the task.
            seed: Of the rows.
            max_steps: Most steps, rounded up to whole chunks.
            max_seconds: Most processor time.
        """
        rng = np.random.default_rng([seed, lag])
        losses: list[float] = []
        # The first chunk's time is mostly compilation: it is not counted.
        started = time.process_time()

        def end(epoch: int, logs: Any) -> None:
            nonlocal started
            del epoch
            losses.append(float(logs["loss"]))
            if len(losses) == 1:
                started = time.process_time()
            spent = time.process_time() - started
            is_over = losses[-1] < self.task.solved_below or not math.isfinite(losses[-1])
            self.model.stop_training = is_over or spent > max_seconds

        self.model.fit(
            _batches(self.task, rng, lag),
            epochs=-(-max_steps // CHUNK),
            steps_per_epoch=CHUNK,
            verbose=0,
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=end)],
        )
        seconds = time.process_time() - started
        return Course(losses, losses[-1] < self.task.solved_below, seconds)


def _batches(task: Task, rng: np.random.Generator, lag: int) -> Iterator[Any]:
    while True:
        rows, answers = task.batch(rng, batch_size=BATCH_SIZE, lag=lag)
        lengths = np.full(BATCH_SIZE, rows.shape[1], np.int32)
        yield {"features": rows, "feature_lengths": lengths}, answers
