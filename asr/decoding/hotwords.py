"""Words and phrases that a text may be expected to hold, as an automaton over its characters."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.decoding.character_trie import CharacterTrie

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


class HotwordAutomaton(NamedTuple):
    """Where a text stands among the hotwords: the longest of their beginnings that it ends in.

    Every hotword is read with a space before and behind it, so that it is found as whole words
    only, and hotwords that overlap or hold one another are all found (Aho and Corasick 1975).

    Attributes:
        child_start: int32 [num_states + 1], as `CharacterTrie` has it.
        character: int32 [num_states], the same.
        failure: int32 [num_states]: the longest other beginning that the text ends in there.
        gain: float64 [num_states]: the weights of all hotwords that are complete there.
        advance: float64 [num_states]: what is lent for one that is not complete yet, and taken back
            when it does not come.
        reach: float64 [num_states]: the most that one character more may add to both.
    """

    child_start: Ints
    character: Ints
    failure: Ints
    gain: Floats
    advance: Floats
    reach: Floats

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> "HotwordAutomaton":
        """Builds the automaton.

        Args:
            weights: What each hotword adds to a text's log-probability, above 0. Words with single
                spaces between them.
        """
        trie = CharacterTrie.of([f" {text} " for text in weights])
        parents = trie.parents()
        failure = _failures(trie, parents)
        gain, advance = _worth(trie, parents, list(weights.items()))
        for state in range(1, len(failure)):  # the shorter first
            gain[state] += gain[failure[state]]
            advance[state] = max(advance[state], advance[failure[state]])
        best = np.zeros(len(failure))
        np.maximum.at(best, parents[1:], gain[1:] + advance[1:])
        for state in range(1, len(failure)):
            best[state] = max(best[state], best[failure[state]])
        reach = np.maximum(best - advance, 0.0)
        return cls(trie.child_start, trie.character, failure, gain, advance, reach)


def _failures(trie: CharacterTrie, parents: Ints) -> Ints:
    failure = np.zeros(len(parents), np.int32)
    for state in range(1, len(parents)):
        parent, character = int(parents[state]), int(trie.character[state])
        shorter = parent
        while shorter != 0:
            shorter = int(failure[shorter])
            found = trie.child(shorter, character)
            if found is not None:
                failure[state] = found
                break
    return failure


def _worth(
    trie: CharacterTrie, parents: Ints, weights: list[tuple[str, float]]
) -> tuple[Floats, Floats]:
    """Returns what each state's own hotwords give there: complete, and on the way."""
    gain, advance = np.zeros(len(parents)), np.zeros(len(parents))
    for state in np.flatnonzero(trie.text >= 0).tolist():
        text, weight = weights[trie.text[state]]
        gain[state] = weight
        node, num_letters = int(parents[state]), len(text)
        while node != 0:
            advance[node] = max(advance[node], weight * num_letters / len(text))
            node, num_letters = int(parents[node]), num_letters - 1
    return gain, advance
