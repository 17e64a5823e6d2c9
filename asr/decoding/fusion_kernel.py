"""What a language model and hotwords add to a prefix, compiled as `asr.decoding.fusion` says."""

from typing import Any

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled_borrowing
from asr.decoding.fusion_tables import (
    ADVANCE,
    ALPHA,
    BEGIN_STATE,
    BETA,
    CHARACTER,
    CHILD_START,
    END_ID,
    FAILURE,
    FIRST_LETTER,
    GAIN,
    HAS_MODEL,
    IS_CLOSED,
    LISTED_LOG_PROB,
    LONGEST,
    NUM_KNOWN,
    REACH,
    UNKNOWN_ID,
    UNKNOWN_LETTER,
    UNKNOWN_WORD,
    WORD_ID,
    WORDS_WITHIN,
)
from asr.decoding.prefix_kernel import CONTEXT, HOTWORD, LETTERS, NONE, WORD
from asr.lm.ngram_kernel import advance

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Tables = tuple[Any, ...]  # `asr.decoding.fusion_tables.Tables`, passed in parts: so it costs less

# What is added to a node: by words and hotwords that are complete (EARNED), of that the language
# model's log-probability (LANGUAGE), what the unfinished word is expected to add (AHEAD), and what
# the node is ranked by: all of it, with what hotwords have lent (SHOWN).
EARNED, LANGUAGE, AHEAD, SHOWN = range(4)
NUM_ADDED = 4
SPACE = 32
NEVER = -np.inf


@compiled_borrowing
def begin(nodes: Ints, added: Floats, hotwords: Ints, settings: Floats) -> None:
    """Puts the empty text where it stands."""
    for column in range(NUM_ADDED):
        added[0, column] = 0.0
    nodes[0, CONTEXT] = int(settings[BEGIN_STATE])
    nodes[0, HOTWORD] = hear(hotwords, 0, SPACE)


@compiled_borrowing
def reach(
    nodes: Ints, added: Floats, node: int, worth: Floats, settings: Floats
) -> tuple[float, float]:
    """Returns the most that a letter may add to a prefix, and the most that a space may."""
    hotword = worth[nodes[node, HOTWORD], REACH]
    if settings[HAS_MODEL] == 0.0:
        return hotword, hotword
    begun, ended = 0.0, 0.0
    if nodes[node, LETTERS] == 0:
        begun = max(settings[FIRST_LETTER], 0.0)
    else:  # no word is more probable than 1
        ended = max(settings[BETA] - added[node, AHEAD], 0.0)
    if settings[LONGEST] > 1.0:  # tokens of several characters may end a word and begin another
        both = hotword + ended + max(settings[FIRST_LETTER], 0.0) + settings[WORDS_WITHIN]
        return both, both
    return hotword + begun, hotword + ended


@compiled_borrowing
def read(
    nodes: Ints,
    added: Floats,
    node: int,
    token: int,
    spelling: Ints,
    words: Ints,
    expected: Floats,
    hotwords: Ints,
    worth: Floats,
    settings: Floats,
    model: Any,
) -> tuple[int, int, int, int, float, float, float, float]:
    """Reads what a token adds to a prefix.

    Returns:
        Where it stands then: word, letters, context and hotword; and what is added to it: earned,
        language, ahead and shown.
    """
    word, letters = int(nodes[node, WORD]), int(nodes[node, LETTERS])
    context, hotword = int(nodes[node, CONTEXT]), int(nodes[node, HOTWORD])
    earned, language = added[node, EARNED], added[node, LANGUAGE]
    for place in range(1, 1 + spelling[token, 0]):
        character = int(spelling[token, place])
        if character != SPACE:
            word = child(words, word, character)
            letters += 1
        elif letters > 0:
            word_id = int(words[word, WORD_ID]) if word >= 0 else -1
            log_prob, context = word_log_prob(word_id, letters, context, settings, model)
            earned += weighted(log_prob, settings)
            language += log_prob
            word, letters = 0, 0
        else:  # a space more than there need be
            continue
        hotword = hear(hotwords, hotword, character)
        earned += worth[hotword, GAIN]
    if word < 0 and settings[IS_CLOSED] > 0.0:
        earned = NEVER
    ahead = 0.0
    if letters > 0 and settings[HAS_MODEL] > 0.0:
        ahead = settings[UNKNOWN_WORD] + letters * settings[UNKNOWN_LETTER]
        if word >= 0:
            ahead = max(expected[word], ahead)
        ahead = settings[ALPHA] * ahead + settings[BETA]
    shown = earned + ahead + worth[hotword, ADVANCE]
    return word, letters, context, hotword, earned, language, ahead, shown


@compiled_borrowing
def is_letter(spelling: Ints, token: int) -> bool:
    """Whether a token is a single character that is no space."""
    return bool(spelling[token, 0] == 1 and spelling[token, 1] != SPACE)


@compiled_borrowing
def is_quiet(nodes: Ints, node: int, settings: Floats) -> bool:
    """Whether a letter adds nothing: no hotword has begun, and there is no language model."""
    return bool(settings[HAS_MODEL] == 0.0 and nodes[node, HOTWORD] == 0)


@compiled_borrowing
def stand(
    nodes: Ints,
    added: Floats,
    node: int,
    token: int,
    child: int,
    spelling: Ints,
    words: Ints,
    expected: Floats,
    hotwords: Ints,
    worth: Floats,
    settings: Floats,
    model: Any,
) -> None:
    """Fills in where a node's new child stands, and what is added to it."""
    if is_quiet(nodes, node, settings) and is_letter(spelling, token):
        nodes[child, WORD], nodes[child, LETTERS] = NONE, nodes[node, LETTERS] + 1
        nodes[child, CONTEXT], nodes[child, HOTWORD] = 0, 0
        for column in range(NUM_ADDED):
            added[child, column] = added[node, column]
        return
    word, letters, context, hotword, earned, language, ahead, shown = read(
        nodes, added, node, token, spelling, words, expected, hotwords, worth, settings, model
    )
    nodes[child, WORD], nodes[child, LETTERS] = word, letters
    nodes[child, CONTEXT], nodes[child, HOTWORD] = context, hotword
    added[child, EARNED], added[child, LANGUAGE] = earned, language
    added[child, AHEAD], added[child, SHOWN] = ahead, shown


@compiled_borrowing
def finish(nodes: Ints, added: Floats, beam: Ints, ends: Floats, tables: Tables) -> None:
    """Finds what is added to each text of the beam if it ends here, and its language's part."""
    _, words, _, hotwords, worth, settings, model = tables
    for place in range(len(beam)):
        node = int(beam[place])
        context, letters = int(nodes[node, CONTEXT]), int(nodes[node, LETTERS])
        earned, language = added[node, EARNED], added[node, LANGUAGE]
        if letters > 0:
            word = int(nodes[node, WORD])
            word_id = int(words[word, WORD_ID]) if word >= 0 else -1
            log_prob, context = word_log_prob(word_id, letters, context, settings, model)
            earned += weighted(log_prob, settings)
            earned += worth[hear(hotwords, int(nodes[node, HOTWORD]), SPACE), GAIN]
            language += log_prob
        if settings[HAS_MODEL] > 0.0:
            end_id = int(settings[END_ID])
            log_prob, context = word_log_prob(end_id, 0, context, settings, model)
            earned += settings[ALPHA] * log_prob
            language += log_prob
        ends[place, 0] = earned
        ends[place, 1] = language


@compiled_borrowing
def weighted(log_prob: float, settings: Floats) -> float:
    """Returns what a complete word adds."""
    if settings[HAS_MODEL] == 0.0 or log_prob == NEVER:  # alpha may be 0
        return log_prob
    return float(settings[ALPHA] * log_prob + settings[BETA])


@compiled_borrowing
def word_log_prob(
    word_id: int, letters: int, context: int, settings: Floats, model: Any
) -> tuple[float, int]:
    """Returns the log-probability of a word, unknown if its id is -1, and the context behind it.

    From `NUM_KNOWN` on it is one that the model does not know and a hotword spells.
    """
    if settings[HAS_MODEL] == 0.0:
        return 0.0, context
    spelt = 0.0
    if word_id < 0:
        if settings[IS_CLOSED] > 0.0:
            return NEVER, context
        word_id, spelt = int(settings[UNKNOWN_ID]), letters * settings[UNKNOWN_LETTER]
    elif word_id >= settings[NUM_KNOWN]:
        word_id, spelt = int(settings[UNKNOWN_ID]), LISTED_LOG_PROB
    child_start, word, log_prob, backoff, suffix, max_order_start = model
    found, context = advance(
        child_start, word, log_prob, backoff, suffix, max_order_start, context, word_id
    )
    return found + spelt, context


@compiled_borrowing
def hear(hotwords: Ints, state: int, character: int) -> int:
    """Returns where the hotwords stand one character on."""
    while True:
        found = child(hotwords, state, character)
        if found >= 0:
            return found
        if state == 0:
            return 0
        state = int(hotwords[state, FAILURE])


@compiled_borrowing
def child(trie: Ints, node: int, character: int) -> int:
    """Returns the node of a trie that a character leads to, -1 if there is none."""
    if node < 0:
        return -1
    low, end = int(trie[node, CHILD_START]), int(trie[node + 1, CHILD_START])
    high = end
    while low < high:
        middle = (low + high) >> 1
        if trie[middle, CHARACTER] < character:
            low = middle + 1
        else:
            high = middle
    return low if low < end and trie[low, CHARACTER] == character else -1
