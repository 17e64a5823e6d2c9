"""How likely a network holds each token whatever it hears, and what it says without that.

A network trained on texts has learnt how often each letter occurs, the blank before all. A
language model knows that better, and both together count it twice. Log-probabilities less a share
of the priors' make up for it: Bourlard and Morgan, "Connectionist speech recognition", 1994; with
CTC, Miao, Gowayyed and Metze, "EESEN", 2015.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from asr.decoding.posteriors import checked

Floats = npt.NDArray[np.float64]


def token_log_priors(utterances: Iterable[npt.ArrayLike], *, vocab_size: int) -> Floats:
    """Measures priors: each token's mean probability over all steps.

    Args:
        utterances: Natural log-probabilities of each, float [num_steps, vocab_size].
        vocab_size: Tokens, the blank included.

    Returns:
        Their natural logarithms, float64 [vocab_size]. Each token counts as said once more than
        it was, so that one not said in little speech is not taken for impossible.

    Raises:
        DecodingError: The input is not log-probabilities.
    """
    said, num_steps = np.ones(vocab_size), 0
    for log_probs in utterances:
        array = checked(log_probs, blank_id=0)
        said += np.exp(array).sum(axis=0)
        num_steps += len(array)
    return np.asarray(np.log(said / (num_steps + vocab_size)))


def less_priors(log_probs: npt.ArrayLike, log_priors: npt.ArrayLike, *, scale: float) -> Floats:
    """Takes a share of the priors out of log-probabilities.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        log_priors: The tokens', float [vocab_size].
        scale: The share.

    Returns:
        float64 [num_steps, vocab_size], whose probabilities sum to 1 at every step again.

    Raises:
        DecodingError: The input is not log-probabilities.
    """
    scaled = checked(log_probs, blank_id=0) - scale * np.asarray(log_priors, np.float64)
    return np.asarray(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
