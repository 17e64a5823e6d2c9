"""The words a recognizer mixes up, counted by hand, and references that look wrong."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from asr.manifest import Utterance
from asr.mistakes import (
    Confusion,
    Duplicates,
    WordErrors,
    duplicate_audio,
    duplicate_texts,
    mistakes,
    unknown_characters,
)
from asr.scoring import UtteranceScore, score
from asr.text import TextOptions
from asr.vocabulary import Vocabulary


def rows(*pairs: tuple[str, str]) -> tuple[UtteranceScore, ...]:
    said = {f"u{n}": reference for n, (reference, _) in enumerate(pairs)}
    heard = {f"u{n}": hypothesis for n, (_, hypothesis) in enumerate(pairs)}
    return score(said, heard, text=TextOptions()).rows


def test_mistakes_by_hand() -> None:
    found = mistakes(
        rows(
            ("the cat sat", "the hat sat"),
            ("a cat go", "a hat go"),
            ("the cat", "cat"),
            ("sat", "sat now"),
        )
    )
    assert found.confusions == (Confusion(reference="cat", hypothesis="hat", count=2),)
    assert found.num_confusions == 1
    the = WordErrors(word="the", num_reference=2, substitutions=0, deletions=1, insertions=0)
    now = WordErrors(word="now", num_reference=0, substitutions=0, deletions=0, insertions=1)
    cat = WordErrors(word="cat", num_reference=3, substitutions=2, deletions=0, insertions=0)
    assert (found.deletions, found.insertions, found.words) == ((the,), (now,), (cat, the))
    assert (cat.errors, cat.rate, now.rate) == (2, 2 / 3, 0)


def test_lists_are_cut_and_equals_go_by_alphabet() -> None:
    found = mistakes(rows(("c b a", "x y z")), limit=2)
    assert [word.word for word in found.words] == ["a", "b"]
    assert [one.reference for one in found.confusions] == ["a", "b"]
    assert found.num_confusions == 3


TEXTS = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_mistakes_add_up_to_the_score(pairs: list[tuple[str, str]]) -> None:
    scored = rows(*pairs)
    found = mistakes(scored)
    substitutions = sum(row.words.substitutions for row in scored)
    assert sum(one.count for one in found.confusions) == substitutions
    assert sum(word.deletions for word in found.deletions) == sum(
        row.words.deletions for row in scored
    )
    assert sum(word.insertions for word in found.insertions) == sum(
        row.words.insertions for row in scored
    )
    assert sum(word.errors for word in found.words) == sum(
        row.words.substitutions + row.words.deletions for row in scored
    )


def test_references_that_stand_twice_are_found() -> None:
    found = duplicate_texts(rows(("A b, c.", ""), ("a b c", ""), ("yes", ""), ("yes", "")))
    assert found == [Duplicates(value="a b c", ids=("u0", "u1"))]


def test_audio_that_stands_twice_is_found() -> None:
    def cut(key: str, name: str, offset_s: float) -> Utterance:
        return Utterance(id=key, audio=Path(name), duration_s=2.0, offset_s=offset_s)

    found = duplicate_audio(
        [cut("a", "x.wav", 0), cut("b", "x.wav", 5), cut("c", "x.wav", 5), cut("d", "y.wav", 5)]
    )
    assert found == [Duplicates(value="x.wav from 5 s", ids=("b", "c"))]


def test_characters_the_model_cannot_write_are_named() -> None:
    vocabulary = Vocabulary.from_characters(" abc")
    found = unknown_characters(rows(("a b", ""), ("a é é", ""), ("z é", "")), vocabulary)
    assert found == {"é": ("u1", "u2"), "z": ("u2",)}
