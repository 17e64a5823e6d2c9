"""How well a model foresees a text."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from asr.errors import LanguageModelError
from asr.lm.ngram import NgramModel
from asr.lm.trie import Ints

_BLOCK_SENTENCES = 10_000


class Perplexity(NamedTuple):
    """What a model made of a text; the end of each sentence is scored too."""

    num_sentences: int
    num_words: int
    num_unknown: int
    """Words that the model does not know."""
    log_prob: float
    """Natural log-probability of the whole text."""
    unknown_log_prob: float
    """The part of it that the unknown words have."""

    @property
    def value(self) -> float:
        """Perplexity over known words and sentence ends, as toolkits quote it.

        Unknown words are left out, since they are all one word to the model; they remain where they
        stand in the contexts of others.
        """
        num_scored = self.num_sentences + self.num_words - self.num_unknown
        return math.exp(-(self.log_prob - self.unknown_log_prob) / num_scored)

    @property
    def value_with_unknown(self) -> float:
        """Perplexity over all words and sentence ends, `<unk>` taken for a word."""
        return math.exp(-self.log_prob / (self.num_sentences + self.num_words))

    @property
    def unknown_rate(self) -> float:
        """Share of the words that the model does not know."""
        return self.num_unknown / self.num_words


def perplexity(model: NgramModel, sentences: Iterable[str]) -> Perplexity:
    """Scores a text.

    Args:
        model: The model.
        sentences: Normalised as the model's text was, with spaces between the words; those of no
            words are left out.

    Raises:
        LanguageModelError: The text has no words.
    """
    num_sentences = num_words = num_unknown = 0
    log_prob = unknown_log_prob = 0.0
    for ids in _blocks(model, sentences):
        found = model.score_ids(ids)
        unknown = ids == model.unknown_id
        count = int(np.count_nonzero(ids == model.begin_id))
        num_sentences += count
        num_words += len(ids) - 2 * count
        num_unknown += int(np.count_nonzero(unknown))
        log_prob += float(found.sum())
        unknown_log_prob += float(found[unknown].sum())
    if not num_words:
        raise LanguageModelError("expected a text of at least one word to score, received none")
    return Perplexity(num_sentences, num_words, num_unknown, log_prob, unknown_log_prob)


def _blocks(model: NgramModel, sentences: Iterable[str]) -> Iterator[Ints]:
    known: dict[str, int] = {}
    ids: list[int] = []
    for number, sentence in enumerate(sentences, start=1):
        words = sentence.split()
        if not words:
            continue
        for word in words:
            if word not in known:
                found = model.word_id(word)
                known[word] = model.unknown_id if found is None else found
        ids += [model.begin_id, *(known[word] for word in words), model.end_id]
        if number % _BLOCK_SENTENCES == 0:
            yield np.array(ids, np.int32)
            ids = []
    yield np.array(ids, np.int32)
