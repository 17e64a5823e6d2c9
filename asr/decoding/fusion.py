"""What else than the network has a say in a text: a language model, and words to be expected.

Shallow fusion (Gulcehre et al. 2015): among texts the search ranks highest not the most probable
one but the one of the highest score,

    log p(text | audio) + alpha · log p(text) + beta · words + hotwords,

where log p(text) is the language model's, with the end of the text, as soon as a word is complete.
Until then the best word that begins so stands for it, by its log-probability without context (the
look-ahead of Ortmanns, Ney and Eiden 1996), so that half a word has no advantage over a whole one.
"""

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from asr.decoding.fusion_tables import (
    LISTED_LOG_PROB,
    FusionWeights,
    LanguageModel,
    listed_words,
    tables_of,
)
from asr.lm.ngram import UNKNOWN

Tokens = tuple[int, ...]
_NEVER = -math.inf


_USUAL = FusionWeights()


class Fused(NamedTuple):
    """What fusion gives a text.

    Attributes:
        score: Added to its log-probability; `-inf` if there is no such text.
        language: Of that, the language model's natural log-probability, not weighted.
    """

    score: float
    language: float


class Fusion:
    """A language model, hotwords or both, for one set of tokens.

    Args:
        pieces: What each token adds to a text; nothing for the blank. Words have spaces between.
        language_model: Has its say at the end of every word, and of the text. None: no model.
        weights: Theirs and its.
        hotwords: What each of them adds where it is heard as whole words; some of it is lent while
            it is being spelt, in proportion to its letters, and taken back if it is not completed.
            Words of theirs that the language model does not know are not spelt letter by letter:
            each is one of a thousand that `<unk>` stands for.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        *,
        language_model: LanguageModel | None = None,
        weights: FusionWeights = _USUAL,
        hotwords: Mapping[str, float] | None = None,
    ) -> None:
        self.pieces = tuple(pieces)
        self.language_model = language_model
        self.weights = weights
        self.hotwords = dict(hotwords or {})
        self._listed = listed_words(language_model, self.hotwords)
        self.tables = tables_of(
            self.pieces, model=language_model, weights=weights, hotwords=self.hotwords
        )
        self._so_far = lru_cache(maxsize=100_000)(self._score_so_far)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self.pieces, self.language_model, self.weights, self.hotwords)

    def so_far(self, tokens: Tokens) -> float:
        """Returns what is added to a text that may go on: the definition of the compiled one."""
        return self._so_far(tokens)

    def finished(self, tokens: Tokens) -> Fused:
        """Returns what is added to a text that ends here: the definition of the compiled one."""
        words = [word for word in self._spell(tokens).split(" ") if word]
        language = self._language(words, end=True)
        return Fused(self._weigh(language, words) + self._hotwords_in(words), language)

    def finished_all(self, texts: Sequence[Tokens]) -> list[Fused]:
        """Returns what is added to each of many texts that end here: `finished`, compiled."""
        rows = [[word for word in self._spell(text).split(" ") if word] for text in texts]
        model = self.language_model
        if model is None or not rows:
            return [self.finished(text) for text in texts]
        lengths = [len(words) + 2 for words in rows]
        ids = [one for words in rows for one in (model.begin_id, *model.ids(words), model.end_id)]
        found = np.add.reduceat(model.score_ids(ids), np.cumsum([0, *lengths[:-1]]))
        language = [
            log_prob + self._spelt(words)
            for words, log_prob in zip(rows, found.tolist(), strict=True)
        ]
        return [
            Fused(self._weigh(log_prob, words) + self._hotwords_in(words), log_prob)
            for words, log_prob in zip(rows, language, strict=True)
        ]

    def earned(self, tokens: Tokens) -> float:
        """Returns what words and hotwords that are complete have added to a text so far."""
        return self._earned(self._words(tokens)[0])

    def future(self, tokens: Tokens) -> Hashable:
        """Returns where a text stands: of two alike, all that follows adds the same to both."""
        words, begun = self._words(tokens)
        context = None
        if self.language_model is not None:
            context = self.language_model.begin_state
            for word in words:
                context = self.language_model.advance(context, word).state
        text = " " + "".join(f"{word} " for word in words) + begun
        heard = (text[place:] for place in range(len(text)))
        hotwords = [f" {hotword} " for hotword in self.hotwords]
        hotword = next((end for end in heard if any(one.startswith(end) for one in hotwords)), "")
        # Of a word that is not known, only its length is asked.
        return context, begun if self._begins_known(begun) else len(begun), hotword

    def _words(self, tokens: Tokens) -> tuple[list[str], str]:
        """Returns a text's complete words, and the one that is begun."""
        *complete, begun = self._spell(tokens).split(" ")
        return [word for word in complete if word], begun

    def _earned(self, words: list[str]) -> float:
        return self._weigh(self._language(words, end=False), words) + self._hotwords_in(words)

    def _score_so_far(self, tokens: Tokens) -> float:
        words, begun = self._words(tokens)
        score = self._earned(words)
        if self.weights.is_closed and not self._begins_known(begun):
            return _NEVER
        return score + self._expected(begun) + self._lent(words, begun)

    def _spell(self, tokens: Tokens) -> str:
        return "".join(self.pieces[token] for token in tokens)

    def _language(self, words: list[str], *, end: bool) -> float:
        if self.language_model is None:
            return 0.0
        return self.language_model.score(" ".join(words), end=end) + self._spelt(words)

    def _spelt(self, words: list[str]) -> float:
        """What the letters of words have that the language model does not know."""
        model = self.language_model
        unknown = [word for word in words if model is not None and model.word_id(word) is None]
        spelt = [word for word in unknown if word not in self._listed]
        if spelt and self.weights.is_closed:
            return _NEVER
        listed = (len(unknown) - len(spelt)) * LISTED_LOG_PROB
        return listed + sum(map(len, spelt)) * self.weights.unknown_letter_log_prob

    def _weigh(self, language: float, words: list[str]) -> float:
        if self.language_model is None:
            return 0.0
        # Not by alpha alone, which may be 0.
        weighted = language if language == _NEVER else self.weights.alpha * language
        return weighted + self.weights.beta * len(words)

    def _begins_known(self, begun: str) -> bool:
        if self.language_model is None:
            return True
        words = itertools.chain(self.language_model.words, self._listed)
        return any(word.startswith(begun) for word in words)

    def _expected(self, begun: str) -> float:
        """What an unfinished word will add without its context: the best that begins so."""
        model = self.language_model
        if model is None or not begun:
            return 0.0
        unknown = model.score(UNKNOWN, begin=False, end=False)
        known = (
            model.score(word, begin=False, end=False)
            for word in model.words
            if word.startswith(begun)
        )
        spelt = unknown + len(begun) * self.weights.unknown_letter_log_prob
        listed = (unknown + LISTED_LOG_PROB for word in self._listed if word.startswith(begun))
        return self._weigh(max([spelt, *known, *listed]), [begun])

    def _hotwords_in(self, words: list[str]) -> float:
        padded = "".join(f" {word} " for word in words).replace("  ", " ")
        return sum(
            weight
            for hotword, weight in self.hotwords.items()
            for place in range(len(padded))
            if padded.startswith(f" {hotword} ", place)
        )

    def _lent(self, words: list[str], begun: str) -> float:
        padded = " " + "".join(f"{word} " for word in words) + begun
        return max(
            (
                weight * num_letters / len(hotword)
                for hotword, weight in self.hotwords.items()
                for num_letters in range(len(hotword) + 1)
                if padded.endswith(f" {hotword}"[: 1 + num_letters])
            ),
            default=0.0,
        )


def _rebuilt(
    pieces: Sequence[str],
    language_model: LanguageModel | None,
    weights: FusionWeights,
    hotwords: Mapping[str, float],
) -> Fusion:
    return Fusion(pieces, language_model=language_model, weights=weights, hotwords=hotwords)
