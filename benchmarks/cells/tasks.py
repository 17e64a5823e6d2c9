"""Two tasks that cannot be solved without remembering for long, made at random.

Hochreiter and Schmidhuber, "Long short-term memory", 1997, sections 5.2 and 5.4.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NUM_SYMBOLS = 8
CHUNK = 25
"""Steps of a training whose mean loss decides whether a task is learnt."""


class Task(NamedTuple):
    """A task of any length.

    Attributes:
        name: What it is called.
        num_inputs: Values of a frame.
        num_outputs: Values asked for after the last frame.
        loss: Keras's name of the loss.
        solved_below: Loss under which it counts as learnt.
        chance: Loss of one who has understood the answers' distribution and nothing else.
    """

    name: str
    num_inputs: int
    num_outputs: int
    loss: str
    solved_below: float
    chance: float

    def batch(
        self, rng: np.random.Generator, *, batch_size: int, lag: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """Returns rows [batch_size, T, num_inputs] and what is to be answered after each."""
        make = adding if self.name == "adding" else recall
        return make(rng, batch_size=batch_size, lag=lag)


def adding(
    rng: np.random.Generator, *, batch_size: int, lag: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Makes rows of numbers of which two are marked; the answer is the sum of these two.

    A frame is a number, drawn evenly from 0 to 1, and a mark, 0 or 1. One mark is on one of the
    first ten frames (of fewer, where the row is short), the other further on in the first half, so
    that at least half of the row passes between the last mark and the answer.

    Args:
        rng: Source of chance.
        batch_size: Rows.
        lag: Frames of a row, at least 4.

    Returns:
        Rows, float32 [batch_size, lag, 2], and sums, float32 [batch_size, 1].
    """
    half = lag // 2
    first_end = min(10, half - 1)
    first = rng.integers(0, first_end, batch_size)
    second = rng.integers(first_end, half, batch_size)
    rows = np.zeros((batch_size, lag, 2), np.float32)
    rows[:, :, 0] = rng.random((batch_size, lag), np.float32)
    each = np.arange(batch_size)
    rows[each, first, 1] = rows[each, second, 1] = 1.0
    return rows, (rows[each, first, 0] + rows[each, second, 0])[:, None]


def recall(
    rng: np.random.Generator, *, batch_size: int, lag: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Makes rows that begin with one of eight symbols, which is asked for at their end.

    Between the two nothing happens: the frames are zeros. The last frame holds the question, a
    one beside the symbols' places.

    Args:
        rng: Source of chance.
        batch_size: Rows.
        lag: Frames from the symbol to the question.

    Returns:
        Rows, float32 [batch_size, lag + 1, NUM_SYMBOLS + 1], and symbols, int32 [batch_size].
    """
    symbols = rng.integers(0, NUM_SYMBOLS, batch_size, dtype=np.int32)
    rows = np.zeros((batch_size, lag + 1, NUM_SYMBOLS + 1), np.float32)
    rows[np.arange(batch_size), 0, symbols] = 1.0
    rows[:, lag, NUM_SYMBOLS] = 1.0
    return rows, symbols


ADDING = Task("adding", 2, 1, "mean_squared_error", 0.01, 1 / 6)
RECALL = Task(
    "recall", NUM_SYMBOLS + 1, NUM_SYMBOLS, "sparse_categorical_crossentropy", 0.1,
    float(np.log(NUM_SYMBOLS)),
)  # fmt: skip
TASKS = {task.name: task for task in (ADDING, RECALL)}
