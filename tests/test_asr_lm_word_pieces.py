"""Words cut into pieces: against every way to cut them, and against sentencepiece itself."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import LanguageModelError
from asr.lm.word_pieces import END_ID, SPACE, SPECIAL, UNKNOWN_ID, WordPieces
from asr.subwords import processor, train_subwords

PIECES = [SPACE, f"{SPACE}a", "a", "b", "ab", "ba", f"{SPACE}ab", "aba"]
TEXTS = ["the cat sat on the mat", "the other cat ran on", "a mat there and another one"] * 20


def pieces_of(scores: list[float]) -> WordPieces:
    return WordPieces([*SPECIAL, *PIECES], [0.0, 0.0, *scores])


def ways(text: str) -> Iterator[list[str]]:
    """Every way to cut a text into pieces that are known."""
    for count in range(len(text)):
        for cuts in itertools.combinations(range(1, len(text)), count):
            parts = [text[a:b] for a, b in itertools.pairwise((0, *cuts, len(text)))]
            if all(part in PIECES for part in parts):
                yield parts


@given(
    word=st.text("ab", min_size=1, max_size=8),
    scores=st.lists(
        st.floats(-9, -0.1, allow_nan=False), min_size=len(PIECES), max_size=len(PIECES)
    ),
)
def test_a_word_is_cut_the_most_probable_way(word: str, scores: list[float]) -> None:
    pieces = pieces_of(scores)
    by_piece = dict(zip(PIECES, scores, strict=True))
    found = [pieces.pieces[number] for number in pieces.encode(word)]
    assert "".join(found) == SPACE + word
    best = max(sum(map(by_piece.__getitem__, way)) for way in ways(SPACE + word))
    assert sum(map(by_piece.__getitem__, found)) == pytest.approx(best)


def test_a_text_is_its_words_and_a_sentence_ends() -> None:
    pieces = pieces_of([-1.0] * len(PIECES))
    assert pieces.encode("ab  ba") == [*pieces.encode("ab"), *pieces.encode("ba")]
    assert list(pieces.encode_all(["ab", "", " ", "ba"])) == [
        [*pieces.encode("ab"), END_ID],
        [*pieces.encode("ba"), END_ID],
    ]


def test_a_character_that_no_piece_spells_is_one_unknown_piece() -> None:
    pieces = pieces_of([-1.0] * len(PIECES))
    found = pieces.encode("axxb")
    assert found == [*pieces.encode("a"), UNKNOWN_ID, UNKNOWN_ID, pieces.pieces.index("b")]


def test_what_is_learnt_is_cut_as_sentencepiece_cuts_it() -> None:
    pieces = WordPieces.learn(TEXTS, size=22)
    assert len(pieces) == 22
    theirs = processor(train_subwords(TEXTS, 21))
    for text in TEXTS[:3]:
        ours = [pieces.scores[number] for number in pieces.encode(text)]
        cut = theirs.encode(text, out_type=str)
        assert "".join(pieces.pieces[number] for number in pieces.encode(text)) == "".join(cut)
        expected = sum(theirs.get_score(theirs.piece_to_id(piece)) for piece in cut)
        assert sum(ours) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("pieces", "scores", "reason"),
    [
        (["<unk>", "a", "b"], [0.0] * 3, "and then pieces"),
        ([*SPECIAL], [0.0] * 2, "and then pieces"),
        ([*SPECIAL, "a", "b"], [0.0] * 3, "expected 4 scores, received 3"),
        ([*SPECIAL, "a", "a"], [0.0] * 4, "every piece once"),
        ([*SPECIAL, "a", ""], [0.0] * 4, "none of them empty"),
    ],
)
def test_a_broken_list_is_refused(pieces: list[str], scores: list[float], reason: str) -> None:
    with pytest.raises(LanguageModelError, match=reason):
        WordPieces(pieces, scores)
