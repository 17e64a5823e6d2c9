"""How probable a given text is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asr.decoding.posteriors import check_tokens, checked


def ctc_log_probability(log_probs: npt.ArrayLike, tokens: Sequence[int], *, blank_id: int) -> float:
    """Sums all alignments of a text by the CTC forward algorithm (Graves et al. 2006, section 4.1).

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        tokens: The text's token ids, without blanks.
        blank_id: Token id of the CTC blank.

    Returns:
        Natural log-probability of the text, at most 0; `-inf` when no alignment of this many
        steps spells it.

    Raises:
        DecodingError: The input is not log-probabilities, or a token is the blank or outside the
            vocabulary.
    """
    log_probs = checked(log_probs, blank_id=blank_id)
    check_tokens(tokens, log_probs.shape[1], blank_id=blank_id)
    states, may_skip = ctc_states(tokens, blank_id=blank_id)
    if not len(log_probs):
        return -np.inf if len(tokens) else 0.0
    alpha = np.full(len(states), -np.inf)  # of all alignments so far that end in each state
    alpha[:2] = log_probs[0, states[:2]]
    for row in log_probs[1:]:
        alpha = _advance(alpha, may_skip) + row[states]
    return min(float(np.logaddexp.reduce(alpha[-2:])), 0.0)


def ctc_states(
    tokens: Sequence[int], *, blank_id: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Returns the states of a text's lattice, and which may be entered over the one before.

    The states are _ t1 _ t2 _ … tL _, [2 * len(tokens) + 1]. A token may follow another without a
    blank between only if the two differ.
    """
    states = np.full(2 * len(tokens) + 1, blank_id, np.intp)
    states[1::2] = tokens
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    return states, may_skip


def _advance(
    alpha: npt.NDArray[np.float64], may_skip: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Lets every state be reached from itself, its neighbour, and over a blank where allowed."""
    reached = alpha.copy()
    reached[1:] = np.logaddexp(reached[1:], alpha[:-1])
    over_blank = np.where(may_skip[2:], alpha[:-2], -np.inf)
    reached[2:] = np.logaddexp(reached[2:], over_blank)
    return reached
