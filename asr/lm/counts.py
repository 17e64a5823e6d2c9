"""How often each n-gram occurs, by sorting: no n-gram is ever spelt out.

An n-gram is a row of a table of its order: the row of its suffix in the table of the order below,
and its first word. The rows are sorted by these, and so a table's order is that of the n-grams
read backwards, and the n-grams of one suffix stand together.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.lm.trie import Ints

Counts = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """The n-grams of one order from 2 on."""

    suffix: Ints
    """int32 [num_rows]: row of the n-gram without its first word; of a 1-gram, its word id."""
    first: Ints
    """int32 [num_rows]: id of the first word."""


class NgramCounts(NamedTuple):
    """Every n-gram of a text up to an order, with as many `<s>` before a sentence as that needs."""

    vocab_size: int
    rows: tuple[Rows, ...]
    """Of orders 2 to N; empty for N = 1."""
    counts: Counts
    """int64 [num_rows]: how often each n-gram of order N occurs."""

    @property
    def size(self) -> int:
        """How many n-grams of order N there are."""
        return len(self.counts)


def count_ngrams(
    blocks: Iterable[Ints], *, order: int, vocab_size: int, begin_id: int
) -> NgramCounts:
    """Counts the n-grams of a text.

    Memory goes with the number of different n-grams, and with the longest block.

    Args:
        blocks: Whole sentences, each begun by `begin_id`; at least one.
        order: N.
        vocab_size: Word ids are below this.
        begin_id: The id of `<s>`.
    """
    waiting: list[NgramCounts] = []
    for block in blocks:
        waiting.append(_count_block(block, order, vocab_size, begin_id))
        # Merged when the new ones outweigh the old: no n-gram is sorted more than log times.
        if sum(one.size for one in waiting[1:]) > waiting[0].size:
            waiting = [_merge(waiting)]
    return _merge(waiting) if len(waiting) > 1 else waiting[0]


def find(sorted_keys: Counts, wanted: Counts) -> Counts:
    """Returns the place of each key, all of which are there.

    The search goes through the keys in their order: at random it would wait for memory, 20 times
    as long.
    """
    order = np.argsort(wanted)
    places = np.empty(len(wanted), np.int64)
    places[order] = np.searchsorted(sorted_keys, wanted[order])
    return places


def _count_block(block: Ints, order: int, vocab_size: int, begin_id: int) -> NgramCounts:
    is_begin = block == begin_id
    place = np.arange(len(block))
    start = np.maximum.accumulate(np.where(is_begin, place, 0))[~is_begin]
    place = place[~is_begin]
    row = block[place].astype(np.int64)
    tables: list[Rows] = []
    for back in range(1, order):
        key = row * vocab_size + block[np.maximum(place - back, start)]
        key, row = _ranked(key)
        tables.append(_rows(key, vocab_size))
    num_rows = len(tables[-1].first) if tables else vocab_size
    return NgramCounts(vocab_size, tuple(tables), np.bincount(row, minlength=num_rows))


def _merge(parts: list[NgramCounts]) -> NgramCounts:
    vocab_size = parts[0].vocab_size
    places = [np.arange(vocab_size) for _ in parts]
    tables: list[Rows] = []
    for level in range(len(parts[0].rows)):
        keys = [
            place[part.rows[level].suffix] * vocab_size + part.rows[level].first
            for part, place in zip(parts, places, strict=True)
        ]
        key, row = _ranked(np.concatenate(keys))
        tables.append(_rows(key, vocab_size))
        places = np.split(row, np.cumsum([len(one) for one in keys[:-1]]))
    counts = np.zeros(len(tables[-1].first) if tables else vocab_size, np.int64)
    for part, place in zip(parts, places, strict=True):
        counts[place] += part.counts  # a part has no row twice
    return NgramCounts(vocab_size, tuple(tables), counts)


def _ranked(key: Counts) -> tuple[Counts, Counts]:
    """Returns the different keys, ascending, and the place of each key among them."""
    order = np.argsort(key)
    ascending = key[order]
    is_new = np.concatenate([np.ones(1, bool), ascending[1:] != ascending[:-1]])
    place = np.empty(len(key), np.int64)
    place[order] = np.cumsum(is_new) - 1
    return ascending[is_new], place


def _rows(key: Counts, vocab_size: int) -> Rows:
    suffix, first = np.divmod(key, vocab_size)
    return Rows(suffix.astype(np.int32), first.astype(np.int32))
