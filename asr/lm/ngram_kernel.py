"""The walk through an n-gram model, compiled; `asr.lm.ngram.advance` is its definition."""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@compiled
def child(child_start: Ints, word: Ints, state: int, word_id: int) -> int:
    """Returns the node of a context and a word after it, 0 if there is none."""
    low = child_start[state]
    end = child_start[state + 1]
    high = end
    while low < high:
        middle = (low + high) >> 1
        if word[middle] < word_id:
            low = middle + 1
        else:
            high = middle
    return int(low) if low < end and word[low] == word_id else 0


@compiled
def advance(
    child_start: Ints,
    word: Ints,
    log_prob: Floats,
    backoff: Floats,
    suffix: Ints,
    max_order_start: int,
    state: int,
    word_id: int,
) -> tuple[float, int]:
    """Reads one word: `asr.lm.ngram.advance`, compiled.

    Args:
        child_start: As in `asr.lm.trie.Trie`, and so are the next five.
        word: Last word of each node.
        log_prob: Of each node.
        backoff: Of each context.
        suffix: Of each node.
        max_order_start: The first node that is no context.
        state: The context, a node below `max_order_start`.
        word_id: The word.

    Returns:
        Natural log-probability of the word in this context, and the context it leaves.
    """
    paid = 0.0
    while state != 0:
        node = child(child_start, word, state, word_id)
        if node != 0:
            return paid + log_prob[node], int(node if node < max_order_start else suffix[node])
        paid += backoff[state]
        state = suffix[state]
    node = word_id + 1
    return paid + log_prob[node], int(node if node < max_order_start else 0)


@compiled
def score_words(
    child_start: Ints,
    word: Ints,
    log_prob: Floats,
    backoff: Floats,
    suffix: Ints,
    max_order_start: int,
    begin_state: int,
    begin_id: int,
    word_ids: Ints,
    found: npt.NDArray[np.float64],
) -> None:
    """Scores words one after another.

    Args:
        child_start: As in `asr.lm.trie.Trie`, and so are the next five.
        word: Last word of each node.
        log_prob: Of each node.
        backoff: Of each context.
        suffix: Of each node.
        max_order_start: The first node that is no context.
        begin_state: The context at the beginning of a sentence.
        begin_id: The word that begins a sentence: it is not scored.
        word_ids: int32 [num_words].
        found: float64 [num_words], filled with natural log-probabilities; 0 for `begin_id`.
    """
    state = begin_state
    for place in range(len(word_ids)):
        if word_ids[place] == begin_id:
            state = begin_state
            found[place] = 0.0
        else:
            found[place], state = advance(
                child_start,
                word,
                log_prob,
                backoff,
                suffix,
                max_order_start,
                state,
                word_ids[place],
            )


@compiled
def link(child_start: Ints, word: Ints, suffix: Ints) -> None:
    """Finds the longest proper suffix of every node that is a node.

    Args:
        child_start: As in `asr.lm.trie.Trie`, and so is the next.
        word: Last word of each node.
        suffix: int32 [num_nodes], zeros at first, and then filled.
    """
    for parent in range(1, len(child_start) - 1):
        for node in range(child_start[parent], child_start[parent + 1]):
            context = suffix[parent]
            while context != 0 and suffix[node] == 0:
                suffix[node] = child(child_start, word, context, word[node])
                context = suffix[context]
            if suffix[node] == 0:
                suffix[node] = word[node] + 1
