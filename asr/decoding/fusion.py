"""What else than the network has a say in a text: a language model, and words to be expected.

Shallow fusion (Gulcehre et al. 2015): among texts the search ranks highest not the most probable
one but the one of the highest score,

    log p(text | audio) + alpha · log p(text) + beta · words + hotwords,

where log p(text) is the language model's, with the end of the text, as soon as a word is complete.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from asr.decoding.character_trie import CharacterTrie
from asr.decoding.hotwords import HotwordAutomaton

Tokens = tuple[int, ...]
_NEVER = -math.inf


class LanguageModel(Protocol):
    """What is asked of a language model; `asr.lm.NgramModel` answers."""

    end_id: int
    unknown_id: int
    begin_state: int

    @property
    def words(self) -> Sequence[str]:
        """The words it knows, by id."""

    @property
    def arrays(self) -> tuple[object, ...]:
        """What `asr.lm.ngram_kernel.advance` takes before the state."""

    def score(self, sentence: str, *, begin: bool = True, end: bool = True) -> float:
        """Returns the natural log-probability of words with spaces between them."""

    def word_id(self, text: str) -> int | None:
        """Returns the number of a word, None if it is not known."""


class FusionWeights(NamedTuple):
    """How much each has to say.

    Attributes:
        alpha: Weight of the language model's natural log-probabilities.
        beta: What every word adds: a language model alone prefers fewer words.
        unknown_letter_log_prob: What each letter of a word that the language model does not know
            adds to the log-probability of `<unk>`: no more is asked of its spelling.
        is_closed: Texts hold no other words than the language model's.
    """

    alpha: float = 0.5
    beta: float = 1.5
    unknown_letter_log_prob: float = -2.0
    is_closed: bool = False


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
        self.tables = _tables(self)
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

    def _score_so_far(self, tokens: Tokens) -> float:
        text = self._spell(tokens)
        *complete, begun = text.split(" ")
        words = [word for word in complete if word]
        score = self._weigh(self._language(words, end=False), words) + self._hotwords_in(words)
        if self.weights.is_closed and not self._begins_known(begun):
            return _NEVER
        return score + self._lent(words, begun)

    def _spell(self, tokens: Tokens) -> str:
        return "".join(self.pieces[token] for token in tokens)

    def _language(self, words: list[str], *, end: bool) -> float:
        if self.language_model is None:
            return 0.0
        unknown = [word for word in words if self.language_model.word_id(word) is None]
        if unknown and self.weights.is_closed:
            return _NEVER
        letters = sum(map(len, unknown))
        log_prob = self.language_model.score(" ".join(words), end=end)
        return log_prob + letters * self.weights.unknown_letter_log_prob

    def _weigh(self, language: float, words: list[str]) -> float:
        if self.language_model is None:
            return 0.0
        # Not by alpha alone, which may be 0.
        weighted = language if language == _NEVER else self.weights.alpha * language
        return weighted + self.weights.beta * len(words)

    def _begins_known(self, begun: str) -> bool:
        if self.language_model is None:
            return True
        return any(word.startswith(begun) for word in self.language_model.words)

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


def _tables(fusion: Fusion) -> tuple[object, ...]:
    """Returns what the compiled search takes: spellings, words, model, hotwords and numbers."""
    codes = [[ord(character) for character in piece] for piece in fusion.pieces]
    first = np.concatenate([[0], np.cumsum([len(row) for row in codes])]).astype(np.int32)
    spellings = first, np.array([code for row in codes for code in row], np.int32)
    return spellings, *_model_tables(fusion), _hotword_tables(fusion)


def _model_tables(fusion: Fusion) -> tuple[object, ...]:
    nothing, weights = np.zeros(0, np.int32), fusion.weights
    numbers = (float(weights.alpha), float(weights.beta), float(weights.unknown_letter_log_prob))
    model = fusion.language_model
    arrays: tuple[object, ...]
    if model is None:
        floats = np.zeros(0, np.float32)
        arrays = (nothing, nothing, floats, floats, nothing, 0)
        words = CharacterTrie(np.ones(2, np.int32), nothing, np.full(1, -1, np.int32))
        return tuple(words), _read_only(arrays), (False, False, 0, 0, 0), numbers
    words = CharacterTrie.of([*model.words])
    special = (True, weights.is_closed, model.begin_state, model.end_id, model.unknown_id)
    return tuple(words), _read_only(model.arrays), special, numbers


def _hotword_tables(fusion: Fusion) -> tuple[object, ...]:
    if not fusion.hotwords:
        nothing, floats = np.zeros(0, np.int32), np.zeros(1)
        return np.ones(2, np.int32), nothing, nothing, floats, floats, floats
    automaton = HotwordAutomaton.of(fusion.hotwords)
    if max(map(len, fusion.pieces)) > 1:  # a token may then take several steps at once
        longest = max(map(len, fusion.pieces))
        most = float((longest * automaton.gain).max() + automaton.advance.max())
        automaton = automaton._replace(reach=np.full_like(automaton.reach, most))
    return tuple(automaton)


def _read_only(arrays: Sequence[object]) -> tuple[object, ...]:
    """Views that cannot be written: numba compiles for one kind, and a mapped file's are of it."""
    views = []
    for item in arrays:
        if isinstance(item, np.ndarray):
            view = np.asarray(item).view(np.ndarray)
            view.flags.writeable = False
            views.append(view)
        else:
            views.append(int(item))  # type: ignore[call-overload]
    return tuple(views)
