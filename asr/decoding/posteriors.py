"""The one gate through which log-probabilities enter a decoder."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.errors import DecodingError

# A float32 log-softmax of a confident step may round to a hair above 0.
_ROUNDING = 1e-4


def checked(log_probs: npt.ArrayLike, *, blank_id: int) -> npt.NDArray[np.float64]:
    """Returns the log-probabilities of one utterance as float64, or refuses them.

    Nothing is guessed: probabilities and logits hold positive numbers and are refused.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size]; `-inf` is allowed.
        blank_id: Token id of the CTC blank.

    Returns:
        float64 [num_steps, vocab_size], at most 0.

    Raises:
        DecodingError: Not two-dimensional, not numbers, NaN or positive values, or a blank
            outside the vocabulary.
    """
    array = np.asarray(log_probs)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DecodingError(
            "expected log-probabilities of shape [num_steps, vocab_size], "
            f"received {array.dtype} of shape {list(array.shape)}"
        )
    if not 0 <= blank_id < array.shape[1]:
        raise DecodingError(
            f"expected blank_id within a vocabulary of {array.shape[1]}, received {blank_id}"
        )
    _check_values(array)
    return np.minimum(array.astype(np.float64), 0.0)


def check_tokens(tokens: Iterable[int], vocab_size: int, *, blank_id: int) -> None:
    """Refuses tokens that no text can hold.

    Raises:
        DecodingError: One is the blank, or outside the vocabulary.
    """
    for token in tokens:
        if token == blank_id or not 0 <= token < vocab_size:
            raise DecodingError(
                f"expected tokens other than the blank {blank_id} within a vocabulary of "
                f"{vocab_size}, received {token}"
            )


def _check_values(array: npt.NDArray[Any]) -> None:
    """Refuses NaN and positive values, naming the first one and its place."""
    bad = np.argwhere(~(array <= _ROUNDING))  # negated, so that NaN is caught too
    if len(bad):
        step, token = bad[0].tolist()
        raise DecodingError(
            f"expected log-probabilities of at most 0, received {array[step, token]} "
            f"at step {step}, token {token}"
        )


def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turns logits [T, V] into natural log-probabilities, float32 [T, V]; the only place to."""
    with np.errstate(invalid="ignore"):  # infinity gives NaN, which the decoders refuse
        shifted = logits - logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(shifted.astype(np.float64)).sum(axis=-1, keepdims=True))
    return np.asarray(shifted - normaliser, dtype=np.float32)
