"""Prefixes as nodes of a trie, rows of one table; compiled.

A prefix that leaves the beam keeps its node, so that its children find it again when it comes back.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled, compiled_borrowing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Table = TypeVar("Table", Floats, Ints)

# The columns of a node. PLACE is its row in the beam (-1: not in it), STATE where it stands in the
# lexicon. A node's children are a list: CHILD is the last one made, SIBLING the one made before.
PARENT, TOKEN, DEPTH, CHILD, SIBLING, PLACE, STATE = range(7)
# And where it stands in fusion: WORD is the node of its unfinished word in the trie of the language
# model's words (-1: none of them begins so), LETTERS that word's length, CONTEXT the state of the
# language model, HOTWORD that of the hotwords.
WORD, LETTERS, CONTEXT, HOTWORD = range(7, 11)
NUM_COLUMNS = 11
NONE = -1


@compiled
def first_nodes(beam_width: int) -> Ints:
    """Returns room for some nodes, the first of them that of the empty text."""
    nodes = np.empty((64 + 2 * beam_width, NUM_COLUMNS), np.int32)
    for column in range(NUM_COLUMNS):
        nodes[0, column] = NONE if column in (PARENT, TOKEN, CHILD, SIBLING) else 0
    return nodes


@compiled_borrowing
def child_of(nodes: Ints, node: int, token: int) -> int:
    """Returns the child of a node by a token, NONE if there is none yet."""
    child = int(nodes[node, CHILD])
    while child != NONE and nodes[child, TOKEN] != token:
        child = int(nodes[child, SIBLING])
    return child


@compiled_borrowing
def add_child(nodes: Ints, node: int, token: int, child: int) -> None:
    """Fills in the row of a new node."""
    nodes[child, PARENT] = node
    nodes[child, TOKEN] = token
    nodes[child, DEPTH] = nodes[node, DEPTH] + 1
    nodes[child, CHILD] = NONE
    nodes[child, STATE] = 0
    nodes[child, SIBLING] = nodes[node, CHILD]
    nodes[node, CHILD] = child


@compiled
def roomier(table: Table) -> Table:
    """Returns the same rows with room for as many more."""
    larger = np.empty((2 * len(table), table.shape[1]), table.dtype)
    for row in range(len(table)):
        for column in range(table.shape[1]):
            larger[row, column] = table[row, column]
    return larger


@compiled_borrowing
def precedes(nodes: Ints, a: int, token_a: int, b: int, token_b: int) -> bool:
    """Whether prefix a, with one token more if that is not NONE, comes before b in the dictionary.

    The two are walked up to where they part; what they differ in first is the last to be met.
    """
    depth_a = nodes[a, DEPTH] + (token_a != NONE)
    depth_b = nodes[b, DEPTH] + (token_b != NONE)
    before = depth_a < depth_b
    while a != b or token_a != token_b:
        last_a = int(nodes[a, TOKEN]) if token_a == NONE else token_a
        last_b = int(nodes[b, TOKEN]) if token_b == NONE else token_b
        if depth_a == depth_b and last_a != last_b:
            before = last_a < last_b
        climbs_a, climbs_b = depth_a >= depth_b, depth_b >= depth_a
        if climbs_a:
            a = a if token_a != NONE else int(nodes[a, PARENT])
            token_a, depth_a = NONE, depth_a - 1
        if climbs_b:
            b = b if token_b != NONE else int(nodes[b, PARENT])
            token_b, depth_b = NONE, depth_b - 1
    return bool(before)


@compiled
def texts(nodes: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Spells the prefixes that end at the nodes `ends`.

    Returns:
        All their tokens in one row, and where each one's begin [len(ends) + 1].
    """
    starts = np.zeros(len(ends) + 1, np.int32)
    for number in range(len(ends)):
        starts[number + 1] = starts[number] + nodes[ends[number], DEPTH]
    tokens = np.empty(starts[-1], np.int32)
    for number in range(len(ends)):
        node = ends[number]
        for place in range(starts[number + 1] - 1, starts[number] - 1, -1):
            tokens[place] = nodes[node, TOKEN]
            node = nodes[node, PARENT]
    return tokens, starts
