"""Where in an utterance each token of a given text lies."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.decoding.ctc_score import ctc_states
from asr.decoding.posteriors import check_tokens, checked
from asr.errors import DecodingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The most probable alignment of a text: a run of steps for every token, blanks between.

    Attributes:
        tokens: The text's token ids.
        starts: First network step of each token's run; strictly increasing.
        ends: One step past each run's last: above its start, at most the next token's start.
        frames: The step of each run where its token is most probable (the first of equals).
        log_probability: Natural logarithm of this one alignment's probability, at most 0.
    """

    tokens: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    frames: tuple[int, ...]
    log_probability: float


def align_tokens(log_probs: npt.ArrayLike, tokens: Sequence[int], *, blank_id: int) -> Alignment:
    """Finds the best alignment of a text by Viterbi search over its CTC lattice.

    The lattice is that of the CTC forward algorithm (Graves et al. 2006, section 4.1), with the
    best way into each state kept in place of the sum of all. Of equally probable ways the one that
    stays in its state is taken, then the one from the state before.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        tokens: The text's token ids, without blanks.
        blank_id: Token id of the CTC blank.

    Raises:
        DecodingError: The input is not log-probabilities, a token is the blank or outside the
            vocabulary, or no alignment of this many steps spells the text.
    """
    log_probs = checked(log_probs, blank_id=blank_id)
    check_tokens(tokens, log_probs.shape[1], blank_id=blank_id)
    _check_length(tokens, len(log_probs))
    if not len(log_probs):
        return Alignment(tokens=(), starts=(), ends=(), frames=(), log_probability=0.0)
    states, may_skip = ctc_states(tokens, blank_id=blank_id)
    path, log_probability = _best_path(log_probs, states, may_skip)
    if log_probability == -np.inf:
        raise DecodingError(
            "expected a text that the log-probabilities allow, received one of probability 0"
        )
    # Odd states are tokens, each visited once, in order.
    first = np.searchsorted(path, np.arange(1, len(states), 2), side="left")
    last = np.searchsorted(path, np.arange(1, len(states), 2), side="right")
    runs = list(zip(tokens, first.tolist(), last.tolist(), strict=True))
    return Alignment(
        tokens=tuple(tokens),
        starts=tuple(start for _, start, _ in runs),
        ends=tuple(end for _, _, end in runs),
        frames=tuple(s + int(log_probs[s:e, token].argmax()) for token, s, e in runs),
        log_probability=log_probability,
    )


def _check_length(tokens: Sequence[int], num_steps: int) -> None:
    repeats = sum(a == b for a, b in itertools.pairwise(tokens))
    if len(tokens) + repeats > num_steps:
        raise DecodingError(
            f"expected at least {len(tokens) + repeats} steps for a text of {len(tokens)} tokens, "
            f"{repeats} of them equal to the one before, received {num_steps}"
        )


def _best_path(
    log_probs: npt.NDArray[np.float64],
    states: npt.NDArray[np.intp],
    may_skip: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.intp], float]:
    """Returns the state of every step on the best path [num_steps], and its log-probability."""
    num_steps, num_states = len(log_probs), len(states)
    moves = np.zeros((num_steps, num_states), np.uint8)  # how many states back the best way comes
    score = np.full(num_states, -np.inf)
    score[:2] = log_probs[0, states[:2]]
    for t in range(1, num_steps):
        ways = np.full((3, num_states), -np.inf)
        ways[0] = score
        ways[1, 1:] = score[:-1]
        ways[2, 2:] = np.where(may_skip[2:], score[:-2], -np.inf)
        moves[t] = ways.argmax(axis=0)
        score = ways.max(axis=0) + log_probs[t, states]
    path = np.empty(num_steps, np.intp)
    path[-1] = num_states - 1 - int(score[-2:][::-1].argmax())
    for t in range(num_steps - 1, 0, -1):
        path[t - 1] = path[t] - moves[t, path[t]]
    return path, min(float(score[path[-1]]), 0.0)
