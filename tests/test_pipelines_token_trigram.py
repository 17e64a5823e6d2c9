"""The trigram of tokens: a distribution after every two tokens, learnt from texts."""

import itertools

import numpy as np
import pytest

from asr.errors import TrainingError
from pipelines.token_trigram import MAX_TOKENS, token_trigram

BLANK = 2
"""Not the first token: nothing is to rest on its number."""


def test_every_context_has_a_distribution(rng: np.random.Generator) -> None:
    texts = [rng.choice([0, 1, 3], rng.integers(1, 9)).tolist() for _ in range(50)]
    trigram = token_trigram(texts, vocab_size=5, blank_id=BLANK)  # token 4 is in no text
    assert trigram.dtype == np.float32
    tokens = [0, 1, 3, 4]
    pairs = [
        (BLANK, BLANK),
        *((BLANK, last) for last in tokens),
        *itertools.product(tokens, tokens),
    ]
    for pair in pairs:
        assert (trigram[pair] > 0).all()
        # The rest is for words that are unknown to the model; token 4 has all of it.
        assert trigram[pair].sum() == pytest.approx(1.0, abs=1e-3)
    # Between two tokens a text has no edge.
    assert not trigram[[0, 1, 3, 4], BLANK].any()


def test_what_follows_in_texts_is_likely() -> None:
    trigram = token_trigram([[0, 1, 3]] * 20 + [[1, 1]], vocab_size=4, blank_id=BLANK)
    for context, follows in (
        ((BLANK, BLANK), 0),
        ((BLANK, 0), 1),
        ((0, 1), 3),
        ((1, 3), BLANK),  # the text ends
    ):
        assert trigram[context].argmax() == follows
        assert trigram[context][follows] > 0.8


def test_more_tokens_than_letters_are_refused() -> None:
    with pytest.raises(TrainingError, match=f"at most {MAX_TOKENS} tokens, received 97"):
        token_trigram([[1]], vocab_size=MAX_TOKENS + 1, blank_id=0)
