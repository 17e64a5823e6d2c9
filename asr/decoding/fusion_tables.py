"""What fusion adds to texts, laid out as arrays for the compiled search."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from asr.decoding.character_trie import CharacterTrie
from asr.decoding.hotwords import HotwordAutomaton
from asr.lm.ngram import Step

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

# The columns of both tries, which have a row more than nodes; the last one differs.
CHILD_START, CHARACTER, WORD_ID = range(3)
FAILURE = 2
# The columns of what hotwords are worth.
GAIN, ADVANCE, REACH = range(3)
# The settings, one array. UNKNOWN_WORD is the log-probability of `<unk>` without context,
# FIRST_LETTER the most that the first letter of a word may add, LONGEST the most characters of a
# token, WORDS_WITHIN the most that words may add which a token ends besides the one begun, and
# NUM_KNOWN how many words the model knows: the ids from there on are those of its `<unk>` that
# hotwords spell.
ALPHA, BETA, UNKNOWN_LETTER, HAS_MODEL, IS_CLOSED, BEGIN_STATE, END_ID, UNKNOWN_ID = range(8)
UNKNOWN_WORD, FIRST_LETTER, LONGEST, WORDS_WITHIN, NUM_KNOWN = range(8, 13)

LISTED_LOG_PROB = -7.0
"""What a hotword's word adds to the log-probability of `<unk>` if the language model does not know
it, in place of its letters: as if it were one of a thousand such words."""


class LanguageModel(Protocol):
    """What is asked of a language model; `asr.lm.NgramModel` answers."""

    begin_id: int
    end_id: int
    unknown_id: int
    begin_state: int

    @property
    def words(self) -> Sequence[str]:
        """The words it knows, by id."""

    @property
    def arrays(self) -> tuple[object, ...]:
        """What `asr.lm.ngram_kernel.advance` takes before the state."""

    def advance(self, state: int, word: str) -> Step:
        """Reads one word behind a context."""

    def score(self, sentence: str, *, begin: bool = True, end: bool = True) -> float:
        """Returns the natural log-probability of words with spaces between them."""

    def word_id(self, text: str) -> int | None:
        """Returns the number of a word, None if it is not known."""

    def ids(self, words: Iterable[str]) -> npt.NDArray[np.int32]:
        """Returns the number of each word, that of `<unk>` where it is not known."""

    def score_ids(self, word_ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Returns the natural log-probability of each word of sentences begun by `begin_id`."""


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
    beta: float = 0.5
    unknown_letter_log_prob: float = -3.0
    is_closed: bool = False


class Tables(NamedTuple):
    """What the compiled search takes.

    Attributes:
        spelling: int32 [vocab_size, 1 + longest]: how many characters a token has, and which.
        words: int32 [num_nodes + 1, 3], the trie of the language model's words.
        expected: float64 [num_nodes]: the log-probability without context of the best word that
            begins so.
        hotwords: int32 [num_states + 1, 3], their automaton.
        worth: float64 [num_states, 3], what it gives.
        settings: float64 [13].
        model: The language model's arrays.
    """

    spelling: Ints
    words: Ints
    expected: Floats
    hotwords: Ints
    worth: Floats
    settings: Floats
    model: tuple[Any, ...]


def tables_of(
    pieces: Sequence[str],
    *,
    model: LanguageModel | None,
    weights: FusionWeights,
    hotwords: Mapping[str, float],
) -> tuple[Any, ...]:
    """Returns the tables as a plain tuple; `Fusion` says what the arguments are."""
    longest = max(map(len, pieces), default=0)
    spelling = np.zeros((len(pieces), 1 + max(longest, 1)), np.int32)
    for token, piece in enumerate(pieces):
        spelling[token, : 1 + len(piece)] = [len(piece), *map(ord, piece)]
    settings = np.zeros(13)
    settings[[ALPHA, BETA, UNKNOWN_LETTER]] = weights[:3]
    settings[LONGEST] = longest
    most_spaces = max((piece.count(" ") for piece in pieces), default=0)
    settings[WORDS_WITHIN] = max(weights.beta, 0.0) * max(most_spaces - 1, 0)
    listed = listed_words(model, hotwords)
    words, expected, arrays = _model_tables(model, weights, settings, listed)
    automaton, worth = _hotword_tables(hotwords, longest)
    return tuple(Tables(spelling, words, expected, automaton, worth, settings, arrays))


def listed_words(model: LanguageModel | None, hotwords: Iterable[str]) -> tuple[str, ...]:
    """Returns the words of hotwords that the language model does not know, each once."""
    if model is None:
        return ()
    words = dict.fromkeys(word for text in hotwords for word in text.split())
    return tuple(word for word in words if model.word_id(word) is None)


def _model_tables(
    model: LanguageModel | None, weights: FusionWeights, settings: Floats, listed: Sequence[str]
) -> tuple[Ints, Floats, tuple[Any, ...]]:
    """Returns the words' trie, what is expected on it, and the model; fills in its settings."""
    if model is None:
        nothing, floats = np.zeros(0, np.int32), np.zeros(0, np.float32)
        arrays = _read_only((nothing, nothing, floats, floats, nothing, 0))
        return np.ones((2, 3), np.int32), np.zeros(1), arrays
    trie = CharacterTrie.of([*model.words, *listed])
    known = np.asarray(model.arrays[2])[1 : 1 + len(model.words)]  # without context, by word id
    settings[NUM_KNOWN] = len(known)
    as_unknown = known[model.unknown_id] + LISTED_LOG_PROB
    log_probs = np.concatenate([known, np.full(len(listed), as_unknown)]).astype(np.float64)
    expected = np.where(trie.text >= 0, log_probs[trie.text], -np.inf)
    parents = trie.parents()
    for node in range(len(parents) - 1, 0, -1):  # the longer first
        expected[parents[node]] = max(expected[parents[node]], expected[node])
    settings[HAS_MODEL] = 1.0
    settings[IS_CLOSED] = float(weights.is_closed)
    settings[BEGIN_STATE], settings[END_ID] = model.begin_state, model.end_id
    settings[UNKNOWN_ID], settings[UNKNOWN_WORD] = model.unknown_id, log_probs[model.unknown_id]
    first = max(expected[0], settings[UNKNOWN_WORD] + weights.unknown_letter_log_prob)
    settings[FIRST_LETTER] = weights.alpha * first + weights.beta
    return _columns(trie, trie.text), expected, _read_only(model.arrays)


def _hotword_tables(hotwords: Mapping[str, float], longest: int) -> tuple[Ints, Floats]:
    """Returns the hotwords' automaton, and what it gives in each state."""
    if not hotwords:
        return np.ones((2, 3), np.int32), np.zeros((1, 3))
    automaton = HotwordAutomaton.of(hotwords)
    reach = automaton.reach
    if longest > 1:  # a token may take several steps at once
        reach = np.full_like(reach, longest * automaton.gain.max() + automaton.advance.max())
    worth = np.stack([automaton.gain, automaton.advance, reach], axis=1)
    return _columns(automaton, automaton.failure), np.ascontiguousarray(worth)


def _columns(trie: CharacterTrie | HotwordAutomaton, last: Ints) -> Ints:
    table = np.zeros((len(trie.child_start), 3), np.int32)
    table[:, CHILD_START] = trie.child_start
    table[:-1, CHARACTER] = trie.character
    table[:-1, 2] = last
    return table


def _read_only(arrays: Sequence[object]) -> tuple[Any, ...]:
    """Views that cannot be written: numba compiles for one kind, and a mapped file's are of it."""
    views: list[object] = []
    for item in arrays:
        if isinstance(item, np.ndarray):
            view = item.view(np.ndarray)
            view.flags.writeable = False
            views.append(view)
        else:
            views.append(item)
    return tuple(views)
