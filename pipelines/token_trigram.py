"""Which tokens follow which in the training texts: the trigram of the MMI criterion."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from asr.errors import TrainingError
from asr.lm import Corpus, EstimationOptions, estimate_model
from asr.lm.ngram import END

MAX_TOKENS = 96
"""The criterion's work grows with the cube of the alphabet, and with more it would outgrow the
network's."""


def token_trigram(
    texts: Iterable[Sequence[int]], *, vocab_size: int, blank_id: int
) -> npt.NDArray[np.float32]:
    """Estimates a trigram of tokens.

    Args:
        texts: The labels of each text.
        vocab_size: V, tokens with the blank.
        blank_id: The blank's token, which stands for a text's edges.

    Returns:
        float32 [V, V, V], as `models.denominator.log_denominator` takes it.

    Raises:
        TrainingError: There are more tokens than the criterion is made for.
    """
    if vocab_size > MAX_TOKENS:
        raise TrainingError(
            f"[training] mmi_share: expected an alphabet of at most {MAX_TOKENS} tokens, received "
            f"{vocab_size}; it is for characters or sounds, and 0 trains any alphabet"
        )
    with Corpus() as corpus:
        for labels in texts:
            corpus.add(" ".join(map(str, labels)))
        model = estimate_model(corpus, EstimationOptions(order=3)).model
    words = [END if token == blank_id else str(token) for token in range(vocab_size)]
    tokens = [token for token in range(vocab_size) if token != blank_id]

    def row(state: int) -> list[float]:
        return [model.advance(state, word).log_prob for word in words]

    found = np.full((vocab_size,) * 3, -np.inf)
    found[blank_id, blank_id] = row(model.begin_state)
    for last in tokens:
        found[blank_id, last] = row(model.advance(model.begin_state, words[last]).state)
        for before in tokens:
            context = model.advance(model.null_state, words[before]).state
            found[before, last] = row(model.advance(context, words[last]).state)
    return np.exp(found).astype(np.float32)
