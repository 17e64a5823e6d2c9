"""Pieces of recordings: whole words, in order, no longer than asked, with their share of pauses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import OptionsError
from asr.pieces import Piece, PieceOptions, cut
from asr.transcript import Word

EVERYTHING: dict[str, Any] = {"min_probability": 0.0, "shortest_s": 0.0}


def words_of(lengths: list[tuple[float, float]]) -> tuple[list[Word], float]:
    """Words with so much pause before each and such lengths, and where the last pause ends."""
    words, at = [], 0.0
    for index, (pause_s, length_s) in enumerate(lengths):
        start = at + pause_s
        at = start + length_s
        words.append(Word(text=f"w{index}", start_s=start, end_s=at, probability=0.9))
    return words, at + 0.5


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


LENGTHS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.7, 2.0]), st.floats(0.05, 1.5)))


@given(LENGTHS, st.floats(2, 8), st.floats(0, 0.5))
def test_at_pauses_every_word_is_in_one_piece_no_longer_than_asked(
    lengths: list[tuple[float, float]], longest_s: float, margin_s: float
) -> None:
    words, duration_s = words_of(lengths)
    options = PieceOptions(longest_s=longest_s, margin_s=margin_s, **EVERYTHING)
    pieces, left_out = cut(words, duration_s, options, rng=rng())
    assert left_out == 0
    assert " ".join(piece.text for piece in pieces) == " ".join(word.text for word in words)
    assert [piece.first for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    for piece in pieces:
        assert piece.duration_s <= longest_s + 1e-9 or piece.end - piece.first == 1


@given(LENGTHS, st.integers(1, 4), st.integers(0, 3), st.integers(0, 5), st.integers(0, 9))
def test_drawn_stretches_are_of_the_words_asked_for(
    lengths: list[tuple[float, float]], fewest: int, more: int, count: int, seed: int
) -> None:
    words, duration_s = words_of(lengths)
    options = PieceOptions(num_words=(fewest, fewest + more), count=count, **EVERYTHING)
    pieces, _ = cut(words, duration_s, options, rng=np.random.default_rng(seed))
    again, _ = cut(words, duration_s, options, rng=np.random.default_rng(seed))
    assert pieces == again
    assert len(pieces) <= count
    assert bool(pieces) == (count > 0 and len(words) >= fewest)
    for piece in pieces:
        assert fewest <= piece.end - piece.first <= fewest + more
        assert piece.text.split() == [word.text for word in words[piece.first : piece.end]]


@given(LENGTHS, st.floats(0, 1))
def test_a_piece_holds_its_words_and_reaches_into_no_other(
    lengths: list[tuple[float, float]], margin_s: float
) -> None:
    words, duration_s = words_of(lengths)
    options = PieceOptions(num_words=(1, 3), count=5, margin_s=margin_s, **EVERYTHING)
    for piece in cut(words, duration_s, options, rng=rng())[0]:
        first, last = words[piece.first], words[piece.end - 1]
        assert 0 <= piece.start_s <= first.start_s
        assert last.end_s <= piece.end_s <= duration_s
        assert first.start_s - piece.start_s <= margin_s + 1e-9
        assert piece.end_s - last.end_s <= margin_s + 1e-9
        if piece.first:  # two frames, where words touch
            assert piece.start_s >= words[piece.first - 1].end_s - 0.02 - 1e-9
        if piece.end < len(words):
            assert piece.end_s <= words[piece.end].start_s + 0.02 + 1e-9


def test_the_cut_goes_through_the_widest_pause_that_fits() -> None:
    words, duration_s = words_of([(0, 1), (0.1, 1), (0.4, 1), (0.1, 1), (0.9, 1)])
    for longest_s, expected in [
        (5.0, ["w0 w1 w2 w3", "w4"]),
        (4.5, ["w0 w1", "w2 w3 w4"]),
        (3.0, ["w0 w1", "w2 w3", "w4"]),
    ]:
        options = PieceOptions(longest_s=longest_s, margin_s=0.0, **EVERYTHING)
        pieces, _ = cut(words, duration_s, options, rng=rng())
        assert [piece.text for piece in pieces] == expected
    pieces, _ = cut(words, duration_s, PieceOptions(longest_s=20), rng=rng())
    assert [piece.text for piece in pieces] == ["w0 w1 w2 w3 w4"]


def test_a_pause_is_shared_out_between_its_neighbours() -> None:
    words, duration_s = words_of([(0.3, 1), (0.2, 1), (1.0, 1)])
    options = PieceOptions(num_words=(1, 1), count=30, margin_s=0.25, **EVERYTHING)
    pieces, _ = cut(words, duration_s, options, rng=rng())
    edges = [edge for piece in pieces for edge in (piece.start_s, piece.end_s)]
    assert edges == pytest.approx([0.05, 1.4, 1.4, 2.75, 3.25, 4.75])


def test_every_word_that_is_asked_for_is_taken_singly_wherever_it_is_said() -> None:
    said = [Word(text=text, start_s=n, end_s=n + 0.5) for n, text in enumerate("abaca")]
    options = PieceOptions(num_words=(1, 1), count=0, every=("a", "c", "z"), **EVERYTHING)
    pieces, _ = cut(said, 5.0, options, rng=rng())
    assert [(piece.first, piece.text) for piece in pieces] == [
        (0, "a"),
        (2, "a"),
        (3, "c"),
        (4, "a"),
    ]


def test_what_is_unsure_or_short_is_left_out_and_counted() -> None:
    sure = [0.9, 0.2, 0.9, 0.9]
    said = [
        Word(text=str(n), start_s=n, end_s=n + (0.05 if n == 3 else 0.5), probability=p)
        for n, p in enumerate(sure)
    ]
    options = PieceOptions(
        num_words=(1, 1), count=0, every=("0", "1", "2", "3"), margin_s=0.0, min_probability=0.5
    )
    pieces, left_out = cut(said, 5.0, options, rng=rng())
    assert [piece.text for piece in pieces] == ["0", "2"]
    assert left_out == 2
    (both,), _ = cut(said[:2], 5.0, PieceOptions(min_probability=0.42), rng=rng())
    assert both.probability == pytest.approx((0.9 * 0.2) ** 0.5)


def test_nothing_said_is_no_pieces() -> None:
    assert cut([], 3.0, PieceOptions(), rng=rng()) == ([], 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"longest_s": 0.0},
        {"num_words": (2, 1)},
        {"num_words": (0, 1)},
        {"count": -1},
        {"margin_s": -0.1},
        {"min_probability": 1.5},
        {"shortest_s": -1.0},
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=f"{next(iter(wrong))}"):
        PieceOptions(**wrong)


def test_a_piece_knows_its_length() -> None:
    piece = Piece(first=0, end=1, text="a", start_s=1.0, end_s=2.5, probability=1.0)
    assert piece.duration_s == 1.5
