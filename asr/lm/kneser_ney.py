"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1998, section 4.1.6).

    p(w | h) = (c(h w) − D(c(h w))) / Σ c(h ·) + γ(h) p(w | h')     h': h without its first word

The highest order counts how often an n-gram occurs, lower ones how many different words stand
before it; an n-gram that begins a sentence has nothing before it and keeps its count. D(1), D(2)
and D(3 and more) are estimated from how many n-grams have the counts 1 to 4, for each order. γ(h)
is what the discounts left over, and so everything sums to 1: at the bottom lies the uniform
distribution over all words, `<unk>` among them, without `<s>`.

Pruning (as by Heafield et al. 2013): n-grams that occur at most so often are left out of the model
after all that, and their counts go into γ. They still weigh in the discounts and in the sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr.lm.counts import Counts, Keys, NgramCounts, find, keys_of
from asr.lm.ngram import LOG_NEVER
from asr.lm.trie import Floats, Ints, Trie
from asr.options import require

MAX_ORDER = 8
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where a text is too small, or too strange, to estimate them from."""

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


USUAL_PRUNE = (0, 0, 1, 1)
"""A good exchange of size for perplexity: sequences of three words and more that occur twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationOptions:
    """How a language model is made of a text.

    Attributes:
        order: The longest n-gram.
        prune: For each order, how often an n-gram may occur at most to be left out; the last one
            also stands for the orders after it. Words themselves are not pruned.
        vocab_size: Only so many words, the most frequent; others become `<unk>`. None: all.
        min_count: Only words that occur so often.
    """

    order: int = 4
    prune: tuple[int, ...] = (0,)
    vocab_size: int | None = None
    min_count: int = 1

    def __post_init__(self) -> None:
        require(1 <= self.order <= MAX_ORDER, f"an order from 1 to {MAX_ORDER}", self.order)
        rising = all(0 <= low <= high for low, high in pairwise(self.prune))
        good = 1 <= len(self.prune) <= self.order and self.prune[0] == 0 and rising
        expected = (
            f"1 to {self.order} counts to prune by, the first 0 and none below the one before"
        )
        require(good, expected, " ".join(map(str, self.prune)))
        positive = self.vocab_size is None or self.vocab_size > 0
        require(positive, "a vocabulary of at least one word", self.vocab_size)
        require(self.min_count >= 1, "a count of at least 1", self.min_count)

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The counts to prune by of every order."""
        return (*self.prune, *[self.prune[-1]] * (self.order - len(self.prune)))


class Discounts(NamedTuple):
    """What is taken from the counts of one order."""

    amounts: tuple[float, float, float]
    """From a count of 1, of 2, of 3 or more."""
    estimated: bool
    """False: the text did not allow it, `FALLBACK` was taken."""


class Estimate(NamedTuple):
    """A model, and how it came about."""

    trie: Trie
    discounts: tuple[Discounts, ...]
    """Of each order."""
    num_counted: tuple[int, ...]
    """How many n-grams of each order the text has, those pruned included."""


def estimate(counts: NgramCounts, *, thresholds: Sequence[int], begin_id: int) -> Estimate:
    """Estimates a model.

    Args:
        counts: The n-grams of the text.
        thresholds: For each order, how often an n-gram may occur at most to be left out; not
            falling, the first 0.
        begin_id: The id of `<s>`.
    """
    vocab_size = counts.vocab_size
    tables = _adjust(counts, begin_id)
    del counts  # memory goes with what is alive from here on
    num_counted = [int(np.count_nonzero(table.adjusted)) for table in tables]
    discounts = [discounts_of(table.adjusted) for table in tables]
    table = tables.pop(0)
    levels = [_unigrams(table, discounts[0], begin_id)]
    context, keys = table.first, table.first.astype(np.int64)
    while tables:
        order, table = len(levels) + 1, tables.pop(0)
        context = _contexts(table, context, keys, vocab_size, order)
        kept = table.actual > thresholds[order - 1]
        levels.append(_interpolated(table, context, kept, discounts[order - 1], levels[-1]))
        keys = keys_of(table.suffix, table.first, vocab_size) if tables else keys
    while len(levels) > 1 and not len(levels[-1].word):  # all of a text's long n-grams pruned
        levels.pop()
    return Estimate(_trie(levels), tuple(discounts), tuple(num_counted))


def discounts_of(adjusted: Counts) -> Discounts:
    """Estimates the discounts of one order (equation 26 of Chen and Goodman).

    Args:
        adjusted: int32 [num_ngrams], the counts; those of 0 do not matter.
    """
    n = np.bincount(np.minimum(adjusted, 5), minlength=6)[:5].tolist()
    if not all(n[1:4]):
        return Discounts(FALLBACK, estimated=False)
    y = n[1] / (n[1] + 2 * n[2])
    one, two, three = (j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
    if not (0 <= one <= 1 and 0 <= two <= 2 and 0 <= three <= 3):
        return Discounts(FALLBACK, estimated=False)
    return Discounts((one, two, three), estimated=True)


class _Table(NamedTuple):
    """The n-grams of one order, rows as in `asr.lm.counts`."""

    suffix: Ints
    first: Ints
    actual: Counts
    """How often they occur."""
    adjusted: Counts
    """What their order counts."""


class _Level(NamedTuple):
    """One order of the model, its rows a selection of a table's."""

    row: Ints
    """int32 [num_table_rows]: the place here of every row of the table; -1: pruned."""
    parent: Ints
    """int32 [num]: the place of the context in the level below."""
    suffix: Ints
    """int32 [num]: the place of the suffix in the level below."""
    word: Ints
    """int32 [num]: the last word."""
    prob: Doubles
    """float64 [num]"""
    gamma: Doubles
    """float64 [num]: the back-off of the context that the n-gram is; set by the level above."""


def _adjust(counts: NgramCounts, begin_id: int) -> list[_Table]:
    """Returns a table for each order, without the n-grams that have `<s>` behind their start."""
    actual = adjusted = counts.counts
    tables: list[_Table] = []
    widths = [counts.vocab_size, *(len(one.first) for one in counts.rows)]
    for place in range(len(counts.rows) - 1, -1, -1):
        rows, below = counts.rows[place], widths[place]
        begins = rows.first == begin_id
        if place < len(counts.rows) - 1:
            adjusted = np.where(begins, actual, adjusted)
        tables.append(_Table(rows.suffix, rows.first, actual, adjusted))
        adjusted = np.bincount(rows.suffix, minlength=below).astype(np.int32)
        actual = np.bincount(rows.suffix, actual, minlength=below).astype(np.int32)
    words = np.arange(counts.vocab_size, dtype=np.int32)
    tables.append(_Table(words, words, actual, adjusted))
    return _without_inner_begins(tables[::-1], begin_id)


def _without_inner_begins(tables: list[_Table], begin_id: int) -> list[_Table]:
    kept = [tables[0]]
    below, renumber = tables[0].first, np.arange(len(tables[0].first), dtype=np.int32)
    for table in tables[1:]:
        good = below[table.suffix] != begin_id
        below = table.first
        suffix = renumber[table.suffix[good]]
        renumber = _places(good)
        actual = table.actual[good]
        adjusted = actual if table.adjusted is table.actual else table.adjusted[good]
        kept.append(_Table(suffix, table.first[good], actual, adjusted))
    return kept


def _places(kept: Mask) -> Ints:
    """Returns the new place of every row, -1 where it is left out."""
    return np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)


def _contexts(table: _Table, below: Ints, keys: Keys, vocab_size: int, order: int) -> Ints:
    """Returns the row, one order below, of every n-gram without its last word.

    Args:
        table: The n-grams.
        below: The same for the order below.
        keys: Of the rows of the order below.
        vocab_size: How many words there are.
        order: The order of the n-grams.
    """
    if order == 2:
        return table.first
    return find(keys, keys_of(below[table.suffix], table.first, vocab_size))


def _unigrams(table: _Table, discounts: Discounts, begin_id: int) -> _Level:
    count = table.adjusted
    taken = _taken(count, discounts)
    total = count.sum()
    prob = (count - taken) / total + taken.sum() / total / (len(count) - 1)
    prob[begin_id] = 0.0
    words = np.arange(len(count), dtype=np.int32)
    none = np.zeros(len(count), np.int32)
    return _Level(words, none, none, words, prob, np.ones(len(count)))


def _interpolated(
    table: _Table, context: Ints, kept: Mask, discounts: Discounts, below: _Level
) -> _Level:
    """Returns one order, and sets the back-offs of the one below."""
    num_rows = len(below.row)
    total = np.bincount(context, table.adjusted, minlength=num_rows)
    taken = np.where(kept, _taken(table.adjusted, discounts), table.adjusted)
    left = np.bincount(context, taken, minlength=num_rows)
    gamma = np.divide(left, total, out=np.ones(num_rows), where=total > 0)
    below.gamma[:] = gamma[below.row >= 0]
    context, suffix = context[kept], table.suffix[kept]
    own = (table.adjusted[kept] - taken[kept]) / total[context]
    # What is kept has a context and a suffix that are kept: they occur at least as often.
    parent, lower = below.row[context], below.row[suffix]
    prob = own + gamma[context] * below.prob[lower]
    return _Level(_places(kept), parent, lower, below.word[lower], prob, np.ones(len(prob)))


def _taken(count: Counts, discounts: Discounts) -> Doubles:
    return np.array([0.0, *discounts.amounts])[np.minimum(count, 3)]


def _trie(levels: list[_Level]) -> Trie:
    """Sorts each order by context and word, as the trie wants it."""
    vocab_size = len(levels[0].word)
    sortings, parents, suffixes = [np.arange(vocab_size)], [levels[0].parent], [levels[0].suffix]
    start, place = 1, np.arange(1, vocab_size + 1)
    for below, level in pairwise(levels):
        parent, suffix = place[level.parent], place[level.suffix]
        sorting = np.argsort(parent * vocab_size + level.word)
        start += len(below.word)
        place = np.empty(len(sorting), np.int64)
        place[sorting] = np.arange(start, start + len(sorting))
        sortings.append(sorting)
        parents.append(parent[sorting].astype(np.int32))
        suffixes.append(suffix[sorting].astype(np.int32))
    num_children = np.bincount(np.concatenate(parents), minlength=start)
    pairs = list(zip(levels, sortings, strict=True))
    return Trie(
        np.concatenate([np.ones(1), num_children]).cumsum().astype(np.int32),
        np.concatenate([np.full(1, -1, np.int32), *(one.word[order] for one, order in pairs)]),
        _logs([np.ones(1), *(one.prob[order] for one, order in pairs)]),
        _logs([np.ones(1), *(one.gamma[order] for one, order in pairs[:-1])]),
        np.concatenate([np.zeros(1, np.int32), *suffixes]),
        start,
    )


def _logs(parts: Sequence[Doubles]) -> Floats:
    values = np.concatenate(parts)
    logs = np.log(values, out=np.full(len(values), LOG_NEVER), where=values > 0)
    return np.minimum(logs, 0.0).astype(np.float32)
