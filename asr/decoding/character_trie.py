"""Texts as a trie of their characters, laid out as arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]


class CharacterTrie(NamedTuple):
    """The beginnings of some texts, each one node, by length; node 0 is the empty one.

    Attributes:
        child_start: int32 [num_nodes + 1]: the children of node n are the nodes from child_start[n]
            to child_start[n + 1], their characters rising.
        character: int32 [num_nodes]: code point of each node's last character; -1 at the root.
        text: int32 [num_nodes]: number of the text that ends here, -1 where none does.
    """

    child_start: Ints
    character: Ints
    text: Ints

    @classmethod
    def of(cls, texts: Sequence[str]) -> "CharacterTrie":
        """Returns the trie of these texts, all different and none of them empty."""
        codes = np.array(texts, np.str_).view(np.int32).reshape(len(texts), -1)  # ended by zeros
        order = np.lexsort(codes.T[::-1])
        codes = codes[order]
        lengths = (codes != 0).sum(axis=1)
        # How many characters each text has in common with the one before it.
        shared = np.zeros(len(texts), np.int64)
        shared[1:] = np.cumprod(codes[1:] == codes[:-1], axis=1).sum(axis=1)
        node = np.zeros(len(texts), np.int64)  # of each text's beginning of the length so far
        characters, parents = [np.array([-1])], [np.zeros(0, np.int64)]
        ends = np.zeros(len(texts), np.int64)
        num_nodes = 1
        for length in range(1, codes.shape[1] + 1):
            rows = np.flatnonzero((lengths >= length) & (shared < length))
            longer = np.flatnonzero(lengths >= length)
            characters.append(codes[rows, length - 1])
            parents.append(node[rows])
            node[longer] = num_nodes - 1 + np.cumsum(shared[longer] < length)
            num_nodes += len(rows)
            complete = lengths == length
            ends[complete] = node[complete]
        text = np.full(num_nodes, -1, np.int32)
        text[ends] = order
        counts = np.bincount(np.concatenate(parents), minlength=num_nodes)
        child_start = np.concatenate([[1], 1 + np.cumsum(counts)])
        return cls(child_start.astype(np.int32), np.concatenate(characters).astype(np.int32), text)

    def parents(self) -> Ints:
        """Returns int32 [num_nodes]: the node before each; that of the root is itself."""
        parents = np.zeros(len(self.text), np.int32)
        widths = np.diff(self.child_start)
        parents[1:] = np.repeat(np.arange(len(widths), dtype=np.int32), widths)
        return parents

    def child(self, node: int, character: int) -> int | None:
        """Returns the node that a character leads to, None if there is none."""
        first, end = int(self.child_start[node]), int(self.child_start[node + 1])
        found = first + int(np.searchsorted(self.character[first:end], character))
        return found if found < end and self.character[found] == character else None
