"""A second choice among the texts that the beam search found best, by a model that reads slowly.

The search asks an n-gram model after every word of every prefix. A recurrent model remembers whole
sentences, but is too slow for that; so it reads whole texts, a few hundred at most, and the best is
the one of the highest

    log p(text | audio) + rescored_alpha · log p(text) + rescored_beta · words + hotwords,

where log p(text) is `recurrent_share` of the recurrent model's and the rest of the other's: the
weighted product of both, as is usual for second passes (Mikolov et al. 2010).
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asr.decoding import DecodingOptions, Hypothesis


class TextScorer(Protocol):
    """What says how likely texts are."""

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Returns the natural log-probability of each text and its end, float64 [num_texts]."""
        ...


def rescored(
    found: Sequence[Hypothesis],
    texts: Sequence[str],
    options: DecodingOptions,
    rescorer: TextScorer,
    *,
    has_language_model: bool,
) -> list[Hypothesis]:
    """Returns hypotheses in the order of their new scores, the best first.

    Args:
        found: What the search found.
        texts: What each of them spells.
        options: What the search was told, and how the new score is made.
        rescorer: The recurrent language model.
        has_language_model: Whether the search asked another; else it counted no words.
    """
    alpha, beta = (options.alpha, options.beta) if has_language_model else (0.0, 0.0)
    read = rescorer.score([" ".join(text.split()) for text in texts])
    share, again = options.recurrent_share, []
    for one, text, log_prob in zip(found, texts, read.tolist(), strict=True):
        num_words, language = len(text.split()), one.lm_log_probability
        hotwords = one.fusion_score - alpha * language - beta * num_words
        mixed = (1 - share) * language + share * log_prob
        fused = options.rescored_alpha * mixed + options.rescored_beta * num_words + hotwords
        again.append(dataclasses.replace(one, fusion_score=fused, lm_log_probability=mixed))
    return sorted(again, key=lambda one: -one.score)
