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

Counts = npt.NDArray[np.int32]
Keys = npt.NDArray[np.int64]
_PIECE = 1 << 20


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
    """int32 [num_rows]: how often each n-gram of order N occurs."""

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


def keys_of(suffix: Ints, first: Ints, vocab_size: int) -> Keys:
    """Returns int64 [num_rows], ascending with the rows of a table: suffix × vocab_size + first."""
    keys = suffix.astype(np.int64)
    keys *= vocab_size
    keys += first
    return keys


def find(keys: Keys, wanted: Keys) -> Ints:
    """Returns the place of each wanted key, all of which are there.

    They are looked for in ascending order, a piece at a time: at random, the search would wait for
    memory, 20 times as long.
    """
    places = np.empty(len(wanted), np.int32)
    for start in range(0, len(wanted), _PIECE):
        piece = wanted[start : start + _PIECE]
        order = np.argsort(piece)
        places[start + order] = np.searchsorted(keys, piece[order])
    return places


def _count_block(block: Ints, order: int, vocab_size: int, begin_id: int) -> NgramCounts:
    is_begin = block == begin_id
    place = np.arange(len(block))
    start = np.maximum.accumulate(np.where(is_begin, place, 0))[~is_begin]
    place = place[~is_begin]
    row = block[place]
    tables: list[Rows] = []
    for back in range(1, order):
        key, row = _ranked(keys_of(row, block[np.maximum(place - back, start)], vocab_size))
        tables.append(_rows(key, vocab_size))
    num_rows = len(tables[-1].first) if tables else vocab_size
    counts = np.bincount(row, minlength=num_rows).astype(np.int32)
    return NgramCounts(vocab_size, tuple(tables), counts)


def _merge(parts: list[NgramCounts]) -> NgramCounts:
    vocab_size = parts[0].vocab_size
    places = [np.arange(vocab_size, dtype=np.int32) for _ in parts]
    tables: list[Rows] = []
    for level in range(len(parts[0].rows)):
        rows = [part.rows[level] for part in parts]
        renumbered = [
            Rows(place[one.suffix], one.first) for one, place in zip(rows, places, strict=True)
        ]
        merged = np.concatenate([keys_of(*one, vocab_size) for one in renumbered])
        merged.sort()
        merged = merged[_is_new(merged)]
        tables.append(_rows(merged, vocab_size))
        places = [find(merged, keys_of(*one, vocab_size)) for one in renumbered]
    counts = np.zeros(len(tables[-1].first) if tables else vocab_size, np.int32)
    for part, place in zip(parts, places, strict=True):
        counts[place] += part.counts  # a part has no row twice
    return NgramCounts(vocab_size, tuple(tables), counts)


def _ranked(keys: Keys) -> tuple[Keys, Ints]:
    """Returns the different keys, ascending, and the place of each key among them."""
    order = np.argsort(keys)
    ascending = keys[order]
    is_new = _is_new(ascending)
    place = np.empty(len(keys), np.int32)
    place[order] = np.cumsum(is_new) - 1
    return ascending[is_new], place


def _is_new(ascending: Keys) -> npt.NDArray[np.bool_]:
    is_new = np.ones(len(ascending), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=is_new[1:])
    return is_new


def _rows(key: Keys, vocab_size: int) -> Rows:
    suffix, first = np.divmod(key, vocab_size)
    return Rows(suffix.astype(np.int32), first.astype(np.int32))
