"""Scores: by hand where a hand can count, and against jiwer and a plain edit distance elsewhere."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ScoringError
from asr.scoring import Chunk, ErrorCounts, Score, score
from asr.text import TextOptions, describe_normalisation

AS_IS = TextOptions(case="keep", punctuation="keep")


def score_pairs(*pairs: tuple[str, str]) -> Score:
    references = {f"u{n}": reference for n, (reference, _) in enumerate(pairs)}
    hypotheses = {f"u{n}": hypothesis for n, (_, hypothesis) in enumerate(pairs)}
    return score(references, hypotheses, text=AS_IS)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance, row by row."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def test_errors_are_counted_by_kind() -> None:
    result = score_pairs(("the cat sat down", "the hat sat"), ("yes", "oh yes"))
    assert result.words == ErrorCounts(hits=3, substitutions=1, deletions=1, insertions=1)
    assert result.wer == 3 / 5
    assert result.sentence_error_rate == 1
    assert result.rows[0].alignment == (
        Chunk(kind="equal", reference=("the",), hypothesis=("the",)),
        Chunk(kind="substitute", reference=("cat",), hypothesis=("hat",)),
        Chunk(kind="equal", reference=("sat",), hypothesis=("sat",)),
        Chunk(kind="delete", reference=("down",), hypothesis=()),
    )
    assert result.rows[1].alignment[0] == Chunk(kind="insert", reference=(), hypothesis=("oh",))
    assert result.rows[1].words.rate == 1


def test_corpus_rate_is_one_sum_and_no_mean_of_rates() -> None:
    result = score_pairs(("a", "b"), ("a b c d e f g h i", "a b c d e f g h i"))
    assert [row.words.rate for row in result.rows] == [1, 0]
    assert result.wer == 1 / 10
    assert result.sentence_error_rate == 1 / 2


def test_characters_count_spaces() -> None:
    result = score_pairs(("a b", "ab"))
    assert result.characters == ErrorCounts(hits=2, substitutions=0, deletions=1, insertions=0)
    assert result.cer == 1 / 3


def test_information_measures() -> None:
    result = score_pairs(("a b c d", "a b x c y d z z"))
    assert result.mer == 4 / 8
    assert result.wip == pytest.approx(4 / 4 * 4 / 8)
    assert result.wil == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wer", "mer", "wip"),
    [
        ("", "", 0, 0, 1),
        ("", "x y", 2, 1, 0),  # insertions, since there is nothing to divide by
        ("x y", "", 1, 1, 0),
        ("x", "a b x c", 3, 3 / 4, 1 / 4),
    ],
)
def test_empty_sides_and_rates_above_one(
    reference: str, hypothesis: str, wer: float, mer: float, wip: float
) -> None:
    result = score_pairs((reference, hypothesis))
    assert (result.wer, result.mer, result.wip, result.wil) == (wer, mer, wip, 1 - wip)
    assert result.wer == jiwer.wer(reference, hypothesis)
    assert result.wer == result.words.rate == result.rows[0].words.rate
    assert result.cer == jiwer.cer(reference, hypothesis) == result.characters.rate


SCLITE: dict[tuple[str, str], tuple[int, int, int, int]] = {
    ("", ""): (0, 0, 0, 0),
    ("", "x y"): (0, 0, 0, 2),
    ("x y", ""): (0, 0, 2, 0),
    ("x", "a b x c"): (1, 0, 0, 3),
    ("x", "a b c d"): (0, 1, 0, 3),
    ("a b c d", "a b c d"): (4, 0, 0, 0),
    ("a b c", "a x c"): (2, 1, 0, 0),
    ("a b c d e", "a c d e"): (4, 0, 1, 0),
    ("a c", "a b c"): (2, 0, 0, 1),
    ("a a a", "a a"): (2, 0, 1, 0),
    ("a b a b", "b a b a"): (3, 0, 1, 1),
    ("one two three four", "two three four five"): (3, 0, 1, 1),
    ("x", "x"): (1, 0, 0, 0),
    ("é ü", "e ü"): (1, 1, 0, 0),
    ("a b c d e f", "a b x y e f g"): (4, 2, 0, 1),
}
"""Right words, substitutions, deletions, insertions by sclite 2.10 of NIST's SCTK 2.4.10."""


def test_counts_are_those_of_sclite() -> None:
    result = score_pairs(*SCLITE)
    found = [
        (row.words.hits, row.words.substitutions, row.words.deletions, row.words.insertions)
        for row in result.rows
    ]
    assert dict(zip(SCLITE, found, strict=True)) == SCLITE
    # Its summary: 38 words, 27 right, 5 substituted, 6 deleted, 12 inserted, 12 of 15 lines wrong.
    assert result.kaldi_line() == "%WER 60.53 [ 23 / 38, 12 ins, 6 del, 5 sub ]"
    assert result.words.hits == 27
    assert result.sentence_error_rate == 12 / 15


def test_a_corpus_of_silence() -> None:
    result = score_pairs(("", ""), ("", "boo"))
    assert (result.wer, result.words.num_reference, result.sentence_error_rate) == (1, 0, 0.5)
    assert result.kaldi_line() == "%WER 100.00 [ 1 / 0, 1 ins, 0 del, 0 sub ]"


def test_kaldi_line() -> None:
    pairs = [("a", "b")] * 40 + [("a", "")] * 3 + [("a", "a b")] * 3 + [("a", "a")] * 727
    assert score_pairs(*pairs).kaldi_line() == "%WER 5.95 [ 46 / 773, 3 ins, 3 del, 40 sub ]"


def test_pairs_go_by_id_and_not_by_place() -> None:
    references = {"one": "a", "two": "b", "three": ""}
    hypotheses = {"three": "", "two": "b", "one": "a"}
    result = score(references, hypotheses, text=AS_IS)
    assert result.wer == 0
    assert [row.id for row in result.rows] == ["one", "two", "three"]


def test_ids_missing_on_a_side_are_named() -> None:
    with pytest.raises(ScoringError) as error:
        score({"a": "", "b": ""}, {"b": "", "c": "", "d": ""}, text=AS_IS)
    assert "no hypothesis for a; no reference for c, d" in str(error.value)


def test_many_missing_ids_are_counted() -> None:
    with pytest.raises(ScoringError, match=r"no hypothesis for u0, .*, u9 and 15 more$"):
        score({f"u{n}": "" for n in range(25)}, {}, text=AS_IS)


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ScoringError, match="at least one utterance"):
        score({}, {}, text=AS_IS)


def test_normalisation_is_applied_to_both_sides_and_named() -> None:
    text = TextOptions()
    result = score({"u": "Hello, World!"}, {"u": "hello  WORLD"}, text=text)
    assert (result.wer, result.cer) == (0, 0)
    assert result.rows[0].reference == result.rows[0].hypothesis == "hello world"
    assert result.normalisation == describe_normalisation(text)
    assert score({"u": "Hello"}, {"u": "hello"}, text=AS_IS).wer == 1


TEXTS = st.lists(st.sampled_from(["a", "b", "cd"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_any_corpus_agrees_with_jiwer_and_with_its_rows(pairs: list[tuple[str, str]]) -> None:
    result = score_pairs(*pairs)
    said, recognised = map(list, zip(*pairs, strict=True))
    assert result.wer == jiwer.wer(said, recognised) == result.words.rate
    assert result.cer == jiwer.cer(said, recognised) == result.characters.rate
    assert (result.mer, result.wil) == (jiwer.mer(said, recognised), jiwer.wil(said, recognised))
    assert sum(row.words.errors for row in result.rows) == result.words.errors
    for row, (reference, hypothesis) in zip(result.rows, pairs, strict=True):
        assert [word for chunk in row.alignment for word in chunk.reference] == reference.split()
        assert [word for chunk in row.alignment for word in chunk.hypothesis] == hypothesis.split()
        assert row.characters.errors == edit_distance(reference, hypothesis)
        assert row.words.num_reference == len(reference.split())


def test_a_corpus_is_aligned_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("a b c", "a c"), ("", "x"), ("d", "d e"), ("f", ""), ("g h", "h g")]
    whole = score_pairs(*pairs)
    monkeypatch.setattr("asr.scoring._BLOCK", 2)
    assert score_pairs(*pairs) == whole
