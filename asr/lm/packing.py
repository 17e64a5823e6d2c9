"""A model in few bytes: numbers rounded to a code book, what follows from the rest left out.

Log-probabilities and back-offs of each order are replaced by the number of a bin, whose value is
the mean of those in it. Where values are dense bins are narrow, by the cube root of the density:
that makes the mean square of what rounding changes the least (Panter and Dite 1951). Values count
by the square root of their n-gram's probability, since the few frequent ones are asked for most.
How likely `<s>` is, which nobody asks, is not kept, and the suffix of every node is found again
when the model is unpacked.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.lm.ngram import BEGIN, LOG_NEVER, UNKNOWN
from asr.lm.trie import Floats, Ints, Trie, check_nodes, link
from asr.lm.words import Words
from asr.options import require

MIN_BITS, MAX_BITS = 4, 16
_NUM_CELLS = 1 << 16

Array = npt.NDArray[Any]


def pack(trie: Trie, words: Words, *, bits: int) -> dict[str, Array]:
    """Returns the arrays to store.

    Args:
        trie: The n-grams.
        words: Their words.
        bits: Of each bin's number, 4 to 16.
    """
    require(MIN_BITS <= bits <= MAX_BITS, f"{MIN_BITS} to {MAX_BITS} bits", bits)
    starts = trie.level_starts()
    log_prob = trie.log_prob.copy()
    log_prob[_node(words, BEGIN)] = log_prob[_node(words, UNKNOWN)]
    weight = np.exp(log_prob / 2)
    log_probs = [_coded(log_prob[a:b], weight[a:b], bits) for a, b in pairwise(starts)]
    backoffs = [_coded(trie.backoff[a:b], weight[a:b], bits) for a, b in pairwise(starts[:-1])]
    arrays: dict[str, Array] = {
        "words": words.blob,
        "word_lengths": _smallest(np.diff(words.ends, prepend=0)),
        "num_children": _smallest(np.diff(trie.child_start)),
        "word": _smallest(trie.word[starts[1] :]),
    }
    for order, (codes, book) in enumerate(log_probs, start=1):
        arrays |= {f"log_prob_{order}": codes, f"log_prob_book_{order}": book}
    for order, (codes, book) in enumerate(backoffs, start=1):
        arrays |= {f"backoff_{order}": codes, f"backoff_book_{order}": book}
    return arrays


def unpack(arrays: Mapping[str, Array]) -> tuple[Trie, Words]:
    """Returns what was packed, its numbers rounded.

    Raises:
        KeyError: An array is missing.
        ValueError: They do not fit together, or `<s>` is not among the words.
    """
    for name, array in arrays.items():
        if array.dtype.kind != ("f" if "_book_" in name else "u"):
            raise ValueError(f"{name} is of another type")
    child_start = np.concatenate([[1], arrays["num_children"]]).cumsum(dtype=np.int64)
    num_nodes, num_contexts = int(child_start[-1]), len(child_start) - 1
    vocab_size = len(arrays["word_lengths"])
    word = np.concatenate([[-1], np.arange(vocab_size), arrays["word"]]).astype(np.int32)
    log_prob = np.concatenate([np.zeros(1, np.float32), *_decoded(arrays, "log_prob")])
    backoff = np.concatenate([np.zeros(1, np.float32), *_decoded(arrays, "backoff")])
    sizes = (len(word), len(log_prob), len(backoff))
    if sizes != (num_nodes, num_nodes, num_contexts):
        raise ValueError("its arrays do not fit together")
    check_nodes(child_start, word)  # before `link` walks there
    words = Words(arrays["words"], np.cumsum(arrays["word_lengths"], dtype=np.int64))
    log_prob[_node(words, BEGIN)] = LOG_NEVER
    start = child_start.astype(np.int32)
    return Trie(start, word, log_prob, backoff, link(start, word), num_contexts), words


def _node(words: Words, word: str) -> int:
    return words.index(word) + 1


def _coded(values: Floats, weight: Floats, bits: int) -> tuple[Array, Floats]:
    """Returns the number of each value's bin, and the value of each bin."""
    different = np.unique(values)
    if len(different) <= 1 << bits:
        return _smallest(np.searchsorted(different, values)), different
    low, high = different[0], different[-1]
    cells = ((values - low) * ((_NUM_CELLS - 1) / (high - low))).astype(np.int64)
    width = np.cbrt(np.bincount(cells, weight, minlength=_NUM_CELLS))
    middle = np.cumsum(width) - width / 2
    codes = (middle / width.sum() * (1 << bits)).astype(np.int64)[cells]
    _, codes = np.unique(codes, return_inverse=True)  # bins without values are left out
    book = np.bincount(codes, values * weight) / np.bincount(codes, weight)
    return _smallest(codes), book.astype(np.float32)


def _decoded(arrays: Mapping[str, Array], name: str) -> list[Floats]:
    levels: list[Floats] = []
    while (codes := arrays.get(f"{name}_{len(levels) + 1}")) is not None:
        levels.append(arrays[f"{name}_book_{len(levels) + 1}"].astype(np.float32)[codes])
    return levels


def _smallest(values: Array | Ints) -> Array:
    """Returns whole numbers in the smallest type that holds them."""
    largest = int(values.max(initial=0))
    kind = next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max)
    return values.astype(kind)
