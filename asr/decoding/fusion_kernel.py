"""What a language model and hotwords add to a prefix, compiled as `asr.decoding.fusion` says."""

from typing import Any

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled
from asr.decoding.prefix_kernel import CONTEXT, HOTWORD, LETTERS, WORD
from asr.lm.ngram_kernel import advance

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Tables = tuple[Any, ...]  # `Fusion.tables`

# What is added to a node: by words and hotwords that are complete (EARNED), of that the language
# model's log-probability (LANGUAGE), and what it is ranked by: EARNED with what hotwords have lent.
EARNED, LANGUAGE, SHOWN = range(3)
SPACE = 32
NEVER = -np.inf


@compiled
def begin(nodes: Ints, added: Floats, tables: Tables) -> None:
    """Puts the empty text where it stands."""
    _, _, _, special, _, hotwords = tables
    for column in range(3):
        added[0, column] = 0.0
    nodes[0, CONTEXT] = special[2]
    nodes[0, HOTWORD] = hear(hotwords, 0, SPACE)


@compiled
def reach(nodes: Ints, node: int, tables: Tables) -> float:
    """Returns the most that one token more may add to a prefix: a word at most ends in it."""
    special, weights, hotwords = tables[3], tables[4], tables[5]
    word = max(weights[1], 0.0) if special[0] else 0.0
    return float(word + hotwords[5][nodes[node, HOTWORD]])


@compiled
def read(
    nodes: Ints, added: Floats, node: int, token: int, tables: Tables
) -> tuple[int, int, int, int, float, float, float]:
    """Reads what a token adds to a prefix.

    Returns:
        Where it stands then: word, letters, context and hotword; and what is added to it.
    """
    words, model, special, weights, hotwords = tables[1:]
    first, characters = tables[0]
    word, letters = int(nodes[node, WORD]), int(nodes[node, LETTERS])
    context, hotword = int(nodes[node, CONTEXT]), int(nodes[node, HOTWORD])
    earned, language = added[node, EARNED], added[node, LANGUAGE]
    for place in range(first[token], first[token + 1]):
        character = int(characters[place])
        if character != SPACE:
            word = child(words[0], words[1], word, character)
            letters += 1
        elif letters > 0:
            worth, log_prob, context = end_word(
                words, model, special, weights, word, letters, context
            )
            earned += worth
            language += log_prob
            word, letters = 0, 0
        else:  # a space more than there need be
            continue
        hotword = hear(hotwords, hotword, character)
        earned += hotwords[3][hotword]
    if word < 0 and special[1]:
        earned = NEVER
    return word, letters, context, hotword, earned, language, earned + hotwords[4][hotword]


@compiled
def stand(nodes: Ints, added: Floats, node: int, token: int, child: int, tables: Tables) -> None:
    """Fills in where a node's new child stands, and what is added to it."""
    word, letters, context, hotword, earned, language, shown = read(
        nodes, added, node, token, tables
    )
    nodes[child, WORD], nodes[child, LETTERS] = word, letters
    nodes[child, CONTEXT], nodes[child, HOTWORD] = context, hotword
    added[child, EARNED], added[child, LANGUAGE], added[child, SHOWN] = earned, language, shown


@compiled
def finish(nodes: Ints, added: Floats, beam: Ints, ends: Floats, tables: Tables) -> None:
    """Finds what is added to each text of the beam if it ends here, and its language's part."""
    words, special, weights, hotwords = tables[1], tables[3], tables[4], tables[5]
    model: Any = tables[2]
    for place in range(len(beam)):
        node = int(beam[place])
        context, letters = int(nodes[node, CONTEXT]), int(nodes[node, LETTERS])
        earned, language = added[node, EARNED], added[node, LANGUAGE]
        if letters > 0:
            worth, log_prob, context = end_word(
                words, model, special, weights, int(nodes[node, WORD]), letters, context
            )
            earned += worth + hotwords[3][hear(hotwords, int(nodes[node, HOTWORD]), SPACE)]
            language += log_prob
        if special[0]:
            log_prob, context = word_log_prob(model, context, special[3])
            earned += weights[0] * log_prob
            language += log_prob
        ends[place, 0] = earned
        ends[place, 1] = language


@compiled
def word_log_prob(model: Any, context: int, word_id: int) -> tuple[float, int]:
    """Returns the natural log-probability of a word in a context, and the context behind it."""
    child_start, word, log_prob, backoff, suffix, max_order_start = model
    return advance(child_start, word, log_prob, backoff, suffix, max_order_start, context, word_id)


@compiled
def end_word(
    words: Tables,
    model: Any,
    special: Tables,
    weights: Tables,
    word: int,
    letters: int,
    context: int,
) -> tuple[float, float, int]:
    """Returns what a complete word adds, its log-probability, and the context behind it."""
    has_model, is_closed, _, _, unknown_id = special
    alpha, beta, unknown_letter = weights
    if not has_model:
        return 0.0, 0.0, context
    word_id = words[2][word] if word >= 0 else -1
    if word_id >= 0:
        log_prob, context = word_log_prob(model, context, word_id)
    elif is_closed:
        return NEVER, NEVER, context
    else:
        log_prob, context = word_log_prob(model, context, unknown_id)
        log_prob += letters * unknown_letter
    return alpha * log_prob + beta, log_prob, context


@compiled
def hear(hotwords: Tables, state: int, character: int) -> int:
    """Returns where the hotwords stand one character on."""
    child_start, characters, failure = hotwords[0], hotwords[1], hotwords[2]
    while True:
        found = child(child_start, characters, state, character)
        if found >= 0:
            return found
        if state == 0:
            return 0
        state = int(failure[state])


@compiled
def child(child_start: Ints, characters: Ints, node: int, character: int) -> int:
    """Returns the node of a trie that a character leads to, -1 if there is none."""
    if node < 0:
        return -1
    low, end = int(child_start[node]), int(child_start[node + 1])
    high = end
    while low < high:
        middle = (low + high) >> 1
        if characters[middle] < character:
            low = middle + 1
        else:
            high = middle
    return low if low < end and characters[low] == character else -1
