"""Prefixes that have the same future, of which only the best can become the best text; compiled.

Two prefixes that end in the same token, and stand at the same place of everything that is asked
about what follows, gain the same from every way on. So the one that is less probable now, whether
its next letter comes after a blank or not, stays so, and its place in the beam is better given to
another (as in the decoder of Collobert, Puhrsch and Synnaeve, "Wav2Letter", 2016).
"""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled_borrowing
from asr.decoding.prefix_beam import ROUNDING
from asr.decoding.prefix_kernel import CONTEXT, HOTWORD, LETTERS, NONE, PLACE, STATE, TOKEN, WORD

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

# The columns of what is noted of a prefix that was dropped.
WINNER, LOSER, STEP = range(3)

_FIRST_PRIME, _PRIME = 2_166_136_261, 16_777_619  # of the FNV-1a hash
_MASK = (1 << 32) - 1


@compiled_borrowing
def drop_beaten(
    nodes: Ints,
    earned: Floats,
    scores: Floats,
    beam: Ints,
    size: int,
    table: Ints,
    beaten: Ints,
    behind: Floats,
    num_beaten: int,
    step: int,
) -> tuple[int, int]:
    """Drops the prefixes that another of the beam beats in every future.

    Args:
        nodes: The prefixes' nodes.
        earned: What words and hotwords that are complete have added to each node.
        scores: float64 [beam_width, 3]: of alignments that end in a blank, in the last token, both.
        beam: The nodes, the best first; those that stay are moved up, and `scores` with them.
        size: How many there are.
        table: Room for a hash table: a power of two, twice as long as the beam at least.
        beaten: Where each that is dropped is noted, int32 [room, 3]: the node that beats it, its
            own, and the step. No room at all: none is noted.
        behind: By how much each of them is behind, [room, 1].
        num_beaten: How many are noted there.
        step: The step.

    Returns:
        How many prefixes stay, and how many are noted.
    """
    for slot in range(len(table)):
        table[slot] = NONE
    kept = 0
    for place in range(size):
        node = int(beam[place])
        other = _first_alike(nodes, beam, kept, node, table)
        if other != NONE:
            ahead = earned[beam[other]] - earned[node] + ROUNDING
            if (
                scores[other, 0] + ahead >= scores[place, 0]
                and scores[other, 1] + ahead >= scores[place, 1]
            ):
                nodes[node, PLACE] = NONE
                if len(beaten):
                    beaten[num_beaten, WINNER] = beam[other]
                    beaten[num_beaten, LOSER] = node
                    beaten[num_beaten, STEP] = step
                    behind[num_beaten, 0] = scores[other, 2] + ahead - scores[place, 2]
                    num_beaten += 1
                continue
        beam[kept] = node
        nodes[node, PLACE] = kept
        for column in range(3):
            scores[kept, column] = scores[place, column]
        kept += 1
    return kept, num_beaten


@compiled_borrowing
def _first_alike(nodes: Ints, beam: Ints, kept: int, node: int, table: Ints) -> int:
    """Returns the place of the first prefix with the same future; enters this one if none has."""
    slot = _hash(nodes, node) & (len(table) - 1)
    while table[slot] != NONE:
        if _are_alike(nodes, int(beam[table[slot]]), node):
            return int(table[slot])
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = kept
    return NONE


@compiled_borrowing
def _hash(nodes: Ints, node: int) -> int:
    found = _FIRST_PRIME
    for column in (TOKEN, STATE, WORD, LETTERS, CONTEXT, HOTWORD):
        found = ((found ^ (int(nodes[node, column]) & _MASK)) * _PRIME) & _MASK
    return found ^ (found >> 15)


@compiled_borrowing
def _are_alike(nodes: Ints, a: int, b: int) -> bool:
    for column in (TOKEN, STATE, WORD, LETTERS, CONTEXT, HOTWORD):
        if nodes[a, column] != nodes[b, column]:
            return False
    return True
