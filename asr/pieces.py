"""Short utterances out of a longer recording whose words' times are known.

A network learns best from what sounds like its task: from sentences of seconds, not from lectures,
and from single words where single words are to be heard. Forced alignment says where to cut.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.options import require
from asr.transcript import Word

_OVERLAP_S = 0.02
"""Words that touch have an edge that is known no better than to two frames."""
_LEAST_SHARE = 1 / 3
"""Of the longest a piece may be: sooner than that it is not ended at a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceOptions:
    """How a recording is cut.

    Attributes:
        longest_s: Seconds of a piece at most, where recordings are cut at pauses; only a single
            word may be longer.
        num_words: Fewest and most words of a stretch, where stretches are drawn at random; None to
            cut at pauses.
        count: Stretches drawn of a recording.
        every: Words that are taken singly wherever they are said, drawn or not.
        margin_s: How much of the pause before and after stays with a piece at most.
        min_probability: What is taken is at least this sure, from 0 to 1: the geometric mean of
            its words' probabilities. Of a reader that `en-read` had not heard, stretches with their
            own texts had 0.2 at least, and those with others' texts 0.02 at most.
        shortest_s: Pieces of fewer seconds are left out.
        seed: Decides what is drawn.
    """

    longest_s: float = 15.0
    num_words: tuple[int, int] | None = None
    count: int = 1
    every: tuple[str, ...] = ()
    margin_s: float = 0.25
    min_probability: float = 0.2
    shortest_s: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.longest_s > 0, "longest_s above 0", self.longest_s)
        if self.num_words is not None:
            fewest, most = self.num_words
            require(1 <= fewest <= most, "num_words from 1 up, the fewest first", self.num_words)
        require(self.count >= 0, "count of at least 0", self.count)
        require(self.margin_s >= 0, "margin_s of at least 0", self.margin_s)
        sure = self.min_probability
        require(0 <= sure <= 1, "min_probability in 0..1", sure)
        require(self.shortest_s >= 0, "shortest_s of at least 0", self.shortest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a recording, and the words in it.

    Attributes:
        first: Index of its first word.
        end: Index after its last.
        text: The words, separated by single spaces.
        start_s: Seconds from the recording's start.
        end_s: The same.
        probability: The geometric mean of its words' probabilities.
    """

    first: int
    end: int
    text: str
    start_s: float
    end_s: float
    probability: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


def cut(
    words: Sequence[Word], duration_s: float, options: PieceOptions, *, rng: np.random.Generator
) -> tuple[list[Piece], int]:
    """Cuts a recording.

    Args:
        words: What is said in it, with times and probabilities, in order.
        duration_s: How long it is.
        options: How.
        rng: Draws the stretches, where they are drawn.

    Returns:
        The pieces in order, and how many were left out as too unsure or too short.
    """
    spans = _drawn(words, options, rng) if options.num_words else _at_pauses(words, options)
    found = [_piece(words, first, end, duration_s, options) for first, end in spans]
    kept = [
        piece
        for piece in found
        if piece.probability >= options.min_probability and piece.duration_s >= options.shortest_s
    ]
    return kept, len(found) - len(kept)


def _at_pauses(words: Sequence[Word], options: PieceOptions) -> Iterator[tuple[int, int]]:
    """Yields stretches that together are the recording, each ended in the widest pause there is."""
    first = 0
    while first < len(words):
        end = _best_end(words, first, options)
        yield first, end
        first = end


def _best_end(words: Sequence[Word], first: int, options: PieceOptions) -> int:
    start_s = words[first].start_s
    longest_s = options.longest_s - 2 * options.margin_s
    fitting = first + 1
    while fitting < len(words) and words[fitting].end_s - start_s <= longest_s:
        fitting += 1
    if fitting == len(words):
        return fitting
    ends = [
        end
        for end in range(first + 1, fitting + 1)
        if words[end - 1].end_s - start_s >= _LEAST_SHARE * longest_s
    ]
    # The last of equally wide ones: fewer pieces.
    return max(ends or [fitting], key=lambda end: (_pause_s(words, end), end))


def _pause_s(words: Sequence[Word], index: int) -> float:
    return words[index].start_s - words[index - 1].end_s


def _drawn(
    words: Sequence[Word], options: PieceOptions, rng: np.random.Generator
) -> list[tuple[int, int]]:
    every: Collection[str] = set(options.every)
    spans = {(index, index + 1) for index, word in enumerate(words) if word.text in every}
    fewest, most = options.num_words or (1, 1)
    for _ in range(options.count if len(words) >= fewest else 0):
        num_words = int(rng.integers(fewest, min(most, len(words)) + 1))
        first = int(rng.integers(len(words) - num_words + 1))
        spans.add((first, first + num_words))
    return sorted(spans)


def _piece(
    words: Sequence[Word], first: int, end: int, duration_s: float, options: PieceOptions
) -> Piece:
    inside = words[first:end]
    before_s = words[first - 1].end_s if first else None
    after_s = words[end].start_s if end < len(words) else None
    start_s = inside[0].start_s - _margin_s(before_s, inside[0].start_s, options)
    end_s = inside[-1].end_s + _margin_s(inside[-1].end_s, after_s, options)
    sure = [1.0 if word.probability is None else word.probability for word in inside]
    return Piece(
        first=first,
        end=end,
        text=" ".join(word.text for word in inside),
        start_s=max(start_s, 0.0),
        end_s=min(end_s, duration_s),
        probability=math.prod(sure) ** (1 / len(sure)),
    )


def _margin_s(earlier_s: float | None, later_s: float | None, options: PieceOptions) -> float:
    """Returns how much of a pause goes with the word beside it: half, and no more than allowed."""
    if earlier_s is None or later_s is None:  # the recording's own edge
        return options.margin_s
    return min(max((later_s - earlier_s) / 2, _OVERLAP_S), options.margin_s)
