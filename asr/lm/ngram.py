"""An n-gram language model with back-off: how likely is this word after those?"""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError
from asr.lm.trie import ROOT, Floats, Ints, Trie
from asr.lm.words import Words

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
"""The words that begin a sentence, end it, and stand for every word that is not in the model."""

LOG_NEVER = -99 * math.log(10)
"""Natural log-probability of what no text holds, `<s>` after a word; ARPA files say -99."""


class Step(NamedTuple):
    """What reading one word gave."""

    log_prob: float
    """Natural log-probability of the word."""
    state: Any
    """The context that is left behind, a node; of KenLM's models, a state of its own."""


def advance(
    child_start: Ints,
    word: Ints,
    log_prob: Floats,
    backoff: Floats,
    suffix: Ints,
    max_order_start: int,
    state: int,
    word_id: int,
) -> Step:
    """Reads one word.

    The longest n-gram of context and word that is in the model says how likely the word is; each
    context that was too long for it is left by its back-off (Katz 1987, as ARPA files mean it).

    Args:
        child_start: As in `asr.lm.trie.Trie`, and so are the next five.
        word: Last word of each node.
        log_prob: Of each node.
        backoff: Of each context.
        suffix: Of each node.
        max_order_start: The first node that is no context.
        state: The context, a node below `max_order_start`.
        word_id: The word.
    """
    paid = 0.0
    while state != ROOT:
        first, end = int(child_start[state]), int(child_start[state + 1])
        node = first + int(np.searchsorted(word[first:end], word_id))
        if node < end and word[node] == word_id:
            return Step(
                paid + float(log_prob[node]),
                node if node < max_order_start else int(suffix[node]),
            )
        paid += float(backoff[state])
        state = int(suffix[state])
    node = word_id + 1
    return Step(paid + float(log_prob[node]), node if node < max_order_start else ROOT)


_MOST_FOUND = 100_000
"""Words whose ids are remembered: looking one up in the file takes a hundred times as long."""


class NgramModel:
    """A back-off model: its trie and its words.

    A state is a node of the trie: all that the model remembers of the words so far.

    Args:
        trie: The n-grams.
        words: Their words, by id; `<s>`, `</s>` and `<unk>` are among them.

    Attributes:
        words: The words, by id.
        order: The longest n-gram.
        begin_id: The id of `<s>`.
        end_id: The id of `</s>`.
        unknown_id: The id of `<unk>`.
        begin_state: The state at the beginning of a sentence.
        null_state: The state without any context.

    Raises:
        LanguageModelError: A special word is missing, or words and trie differ in number.
    """

    def __init__(self, trie: Trie, words: Words) -> None:
        if len(words) != trie.vocab_size:
            raise LanguageModelError(
                f"expected as many words as unigrams, received {len(words):,} words and "
                f"{trie.vocab_size:,} unigrams"
            )
        self.trie = trie
        self.words = words
        self._found: dict[str, int | None] = {}
        self.level_starts = trie.level_starts()
        self.order = len(self.level_starts) - 1
        self.begin_id, self.end_id, self.unknown_id = map(self._special, (BEGIN, END, UNKNOWN))
        self.null_state = ROOT
        self.begin_state = self.begin_id + 1 if self.order > 1 else ROOT

    @property
    def arrays(self) -> Trie:
        """The arguments of `advance` before state and word, a tuple of them."""
        return self.trie

    @property
    def num_ngrams(self) -> tuple[int, ...]:
        """How many n-grams there are of each order."""
        starts = self.level_starts
        return tuple(end - first for first, end in pairwise(starts))

    def word_id(self, text: str) -> int | None:
        """Returns the id of a word, or None if the model does not know it."""
        if text not in self._found:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[text] = self.words.find(text)
        return self._found[text]

    def __contains__(self, word: object) -> bool:
        return word in self.words

    def advance(self, state: int, word: str) -> Step:
        """Reads one word; one that is not known is read as `<unk>`."""
        found = self.word_id(word)
        return advance(*self.trie, state, self.unknown_id if found is None else found)

    def score(self, sentence: str, *, begin: bool = True, end: bool = True) -> float:
        """Returns the natural log-probability of a sentence.

        Args:
            sentence: Words with spaces between them, normalised as the model's text was.
            begin: The words stand at the beginning of a sentence.
            end: The sentence ends after them, which has a probability too.
        """
        state = self.begin_state if begin else self.null_state
        total = 0.0
        for word in [*sentence.split(), *([END] if end else [])]:
            log_prob, state = self.advance(state, word)
            total += log_prob
        return total

    def score_ids(self, word_ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Returns the natural log-probability of each of many words, compiled.

        Args:
            word_ids: int [num_words]: sentences one after another, each begun by `begin_id`.

        Returns:
            float64 [num_words]; 0 for every `begin_id`.
        """
        from asr.lm.ngram_kernel import score_words

        ids = np.ascontiguousarray(word_ids, np.int32)
        found = np.zeros(len(ids))
        score_words(*self.trie, self.begin_state, self.begin_id, ids, found)
        return found

    def ids(self, words: Iterable[str]) -> Ints:
        """Returns the id of each word, int32 [num_words]; that of `<unk>` where it is not known."""
        found = ((self.word_id(word), word) for word in words)
        return np.array([self.unknown_id if one is None else one for one, _ in found], np.int32)

    def _special(self, word: str) -> int:
        found = self.words.find(word)
        if found is None:
            raise LanguageModelError(f"expected the word {word} in the model, found none")
        return found
