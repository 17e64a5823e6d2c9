"""How sure a network is of a word: not only at its letters, but all the way through it.

CTC shows a letter for a step or two. What else might have been said there shows in the steps
between, where the network would rather have written something that the text does not hold; above
all where a language model has overruled it.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def text_log_probs(
    log_probs: npt.NDArray[np.floating[Any]],
    tokens: Sequence[int],
    frames: Sequence[int],
    *,
    blank_id: int,
) -> npt.NDArray[np.float64]:
    """Returns what a network gives a text at every step, float64 [num_steps].

    At its frame that is a token's own log-probability, and between two frames the highest of the
    blank's and both tokens'.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        tokens: The text's token ids.
        frames: The step of each of them; strictly increasing.
        blank_id: Token id of the CTC blank.
    """
    steps = np.arange(len(log_probs))
    behind = np.searchsorted(frames, steps, side="right")  # tokens whose frame is past or here
    around = np.concatenate([[blank_id], np.asarray(tokens, np.intp), [blank_id]])
    given = np.maximum(log_probs[steps, around[behind]], log_probs[steps, around[behind + 1]])
    given = np.maximum(given, log_probs[:, blank_id]).astype(np.float64)
    given[list(frames)] = log_probs[list(frames), list(tokens)]
    return np.asarray(given, np.float64)


def word_probability(given: npt.NDArray[np.float64], frames: Collection[int]) -> float:
    """Returns how sure a network is of a stretch of its text, from 0 to 1.

    Args:
        given: What `text_log_probs` returns.
        frames: Those of the word's tokens, and of the spaces around it if there are any.

    Returns:
        The geometric mean, by tokens, of the probability of all steps from the first frame to the
        last.
    """
    total = float(given[min(frames) : max(frames) + 1].sum())
    # A float32 log-softmax of a sure step may round to a hair above 0.
    return min(1.0, math.exp(total / len(frames)))
