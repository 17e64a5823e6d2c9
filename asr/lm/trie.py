"""N-grams laid out as arrays: every context one node, its continuations side by side."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.errors import LanguageModelError

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Nodes = npt.NDArray[np.int64]

ROOT = 0
"""The node of the empty context."""


class Trie(NamedTuple):
    """A back-off model as a trie, in the order in which `advance` takes its arrays.

    A node is an n-gram. Node 0 is the empty one, nodes 1 to V the words of ids 0 to V - 1, and the
    nodes of each order follow those of the order before. Only nodes below `max_order_start` are
    contexts: the last order has no children and no back-off, so `child_start` and `backoff` end
    before it.
    """

    child_start: Ints
    """int32 [num_contexts + 1]: the children of node n are child_start[n] to child_start[n+1]."""
    word: Ints
    """int32 [num_nodes]: last word of the n-gram, ascending among siblings; -1 at the root."""
    log_prob: Floats
    """float32 [num_nodes]: natural logarithm."""
    backoff: Floats
    """float32 [num_contexts]: natural logarithm of what is paid to leave the context."""
    suffix: Ints
    """int32 [num_nodes]: the longest proper suffix of the n-gram that is a node, 0 if none is."""
    max_order_start: int
    """The first node of the highest order."""

    @property
    def vocab_size(self) -> int:
        """How many words there are."""
        return int(self.child_start[1]) - 1

    def level_starts(self) -> list[int]:
        """Returns the first node of every order from 1 on, and the number of nodes at the end."""
        starts = [1]
        while starts[-1] < self.max_order_start:
            starts.append(int(self.child_start[starts[-1]]))
        return [*starts, len(self.word)]

    def parents(self) -> Ints:
        """Returns int32 [num_nodes]: the context of every node; that of the root is itself."""
        widths = np.diff(self.child_start)
        parents = np.zeros(len(self.word), np.int32)
        parents[1:] = np.repeat(np.arange(len(widths), dtype=np.int32), widths)
        return parents

    def ngrams(self) -> Iterator[Ints]:
        """Yields, order by order, the n-grams as int32 [num, order] of word ids, in node order."""
        starts, parents = self.level_starts(), self.parents()
        ids = self.word[starts[0] : starts[1], None]
        yield ids
        for before, first, end in zip(starts, starts[1:], starts[2:], strict=False):
            ids = np.column_stack([ids[parents[first:end] - before], self.word[first:end]])
            yield ids


class Level(NamedTuple):
    """The n-grams of one order, in any order."""

    ids: Ints
    """int32 [num, n]: word ids."""
    log_prob: Floats
    """float32 [num]: natural logarithm."""
    backoff: Floats
    """float32 [num]: natural logarithm; of no meaning in the highest order."""


class BrokenLevelError(LanguageModelError):
    """An n-gram that stands twice, or whose context is not there.

    Attributes:
        order: The order of the n-gram.
        row: Its place in its level.
        problem: What is wrong with it.
    """

    def __init__(self, order: int, row: int, problem: str) -> None:
        super().__init__(f"{order}-gram {row + 1}: {problem}")
        self.order, self.row, self.problem = order, row, problem


def build_trie(levels: Sequence[Level]) -> Trie:
    """Builds the trie of a model.

    Args:
        levels: Orders 1, 2, …; the words of the first are 0 to V - 1, in order.

    Raises:
        BrokenLevelError: An n-gram stands twice, or is longer by one than a context there is.
    """
    vocab_size = len(levels[0].ids)
    starts = np.cumsum([1, *(len(level.ids) for level in levels)]).tolist()
    keys = [np.arange(vocab_size, dtype=np.int64)]
    rows: list[Nodes] = [np.arange(vocab_size)]
    for order, level in enumerate(levels[1:], start=2):
        found = _parents(level.ids, keys, starts, order)
        key = found * vocab_size + level.ids[:, -1]
        row = np.argsort(key, kind="stable")
        key = key[row]
        if (again := np.flatnonzero(key[1:] == key[:-1])).size:
            raise BrokenLevelError(order, int(row[again[0] + 1]), "it stands there twice")
        keys.append(key)
        rows.append(row)
    key = np.concatenate([np.full(1, -1), *keys])
    parent, word = np.divmod(key, vocab_size)
    num_contexts = starts[-2]
    child_start = (np.searchsorted(parent[1:], np.arange(num_contexts + 1)) + 1).astype(np.int32)
    word = word.astype(np.int32)
    word[ROOT] = -1
    log_prob = _gather([level.log_prob for level in levels], rows)
    backoff = _gather([level.backoff for level in levels[:-1]], rows[:-1])
    return Trie(child_start, word, log_prob, backoff, link(child_start, word), num_contexts)


def check_trie(trie: Trie) -> None:
    """Refuses arrays that a walk would leave, or never end in.

    Compiled functions look no index up before they use it: in a file that a stranger made, a node
    may be anywhere.

    Raises:
        ValueError: They are no trie; what is wrong is named.
    """
    check_nodes(trie.child_start, trie.word)
    num_nodes, num_contexts = len(trie.word), len(trie.child_start) - 1
    agree = len(trie.log_prob) == len(trie.suffix) == num_nodes
    if not agree or len(trie.backoff) != num_contexts or trie.max_order_start != num_contexts:
        raise ValueError("its arrays do not fit together")
    # Every suffix comes before its n-gram, so that following them ends; and it is a context.
    suffix, nodes = trie.suffix[1:], np.arange(1, num_nodes, dtype=np.int32)
    if trie.suffix[ROOT] != ROOT or (suffix >= nodes).any():
        raise ValueError("a suffix is out of place")
    if suffix.min(initial=0) < 0 or suffix.max(initial=0) >= num_contexts:
        raise ValueError("a suffix is no context")
    for values in (trie.log_prob, trie.backoff):
        if not np.isfinite([values.min(), values.max()]).all():
            raise ValueError("a number is not finite")


def check_nodes(child_start: npt.NDArray[np.integer], word: npt.NDArray[np.integer]) -> None:
    """Refuses children that are not where a trie has them, and words that there are none of.

    Args:
        child_start: As in `Trie`, of any type of whole numbers; and so is the next.
        word: As in `Trie`.

    Raises:
        ValueError: They are no trie.
    """
    num_nodes, num_contexts = len(word), len(child_start) - 1
    if not 1 <= num_contexts <= num_nodes or child_start[0] != 1 or child_start[-1] != num_nodes:
        raise ValueError("its arrays do not fit together")
    # Children come after their context, so that going from order to order ends.
    after = child_start[:-1] > np.arange(num_contexts, dtype=np.int32)
    if not after.all() or (child_start[1:] < child_start[:-1]).any():
        raise ValueError("a context is out of place")
    if len(word) > 1 and (word[1:].min() < 0 or word[1:].max() >= child_start[1] - 1):
        raise ValueError("a word is out of place")


def link(child_start: Ints, word: Ints) -> Ints:
    """Returns the longest proper suffix of every node that is a node, int32 [num_nodes].

    Args:
        child_start: As in `Trie`.
        word: As in `Trie`.
    """
    from asr.lm.ngram_kernel import link as compiled

    suffix = np.zeros(len(word), np.int32)
    compiled(child_start, word, suffix)
    return suffix


def _parents(ids: Ints, keys: Sequence[Nodes], starts: Sequence[int], order: int) -> Nodes:
    """Returns the node of every n-gram's context."""
    vocab_size = len(keys[0])
    node = ids[:, 0].astype(np.int64) + 1
    for place in range(1, order - 1):
        wanted = node * vocab_size + ids[:, place]
        known = keys[place]
        found = np.searchsorted(known, wanted)
        missing = found == len(known)
        missing[~missing] = known[found[~missing]] != wanted[~missing]
        if missing.any():
            row = int(np.argmax(missing))
            raise BrokenLevelError(order, row, f"its context is no {order - 1}-gram of the model")
        node = found + starts[place]
    return node


def _gather(values: Sequence[Floats], rows: Sequence[Nodes]) -> Floats:
    parts = [value[row] for value, row in zip(values, rows, strict=True)]
    return np.concatenate([np.zeros(1, np.float32), *parts]).astype(np.float32)
