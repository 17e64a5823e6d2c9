"""From a text to a model of it."""

from collections.abc import Callable
from typing import NamedTuple

from asr.lm.corpus import Corpus
from asr.lm.counts import NgramCounts, count_ngrams
from asr.lm.kneser_ney import Discounts, EstimationOptions, estimate
from asr.lm.ngram import BEGIN, NgramModel
from asr.lm.words import Words

BLOCK_WORDS = 1 << 21
"""Words that are counted at a time: about 100 MB of memory."""


class Estimation(NamedTuple):
    """A model, and how it came about."""

    model: NgramModel
    discounts: tuple[Discounts, ...]
    """Of each order."""
    num_counted: tuple[int, ...]
    """How many n-grams of each order the text has, those pruned included."""


def estimate_model(
    corpus: Corpus,
    options: EstimationOptions,
    *,
    tell: Callable[[str], None] | None = None,
) -> Estimation:
    """Estimates a model of a text.

    Args:
        corpus: The text.
        options: What model.
        tell: Is told what is being done.

    Raises:
        LanguageModelError: The text has no words.
    """
    tell = tell or (lambda _: None)
    words = corpus.vocabulary(max_words=options.vocab_size, min_count=options.min_count)
    begin_id = words.index(BEGIN)
    # The counts have no name here: they are let go of as soon as the estimate needs them no more.
    found = estimate(
        _count(corpus, words, options, tell), thresholds=options.thresholds, begin_id=begin_id
    )
    return Estimation(NgramModel(found.trie, words), found.discounts, found.num_counted)


def _count(
    corpus: Corpus, words: Words, options: EstimationOptions, tell: Callable[[str], None]
) -> NgramCounts:
    tell(f"counting the {options.order}-grams of {corpus.num_words:,} words")
    counts = count_ngrams(
        corpus.blocks(words, max_words=BLOCK_WORDS),
        order=options.order,
        vocab_size=len(words),
        begin_id=words.index(BEGIN),
    )
    tell(f"estimating from {counts.size:,} different {options.order}-grams")
    return counts
