import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import VocabularyError
from asr.pronunciations import Pronunciations, read_pronunciations
from asr.text import TextOptions

TEXT = TextOptions()
SOUNDS = st.lists(st.text(string.ascii_letters, min_size=1, max_size=3), min_size=1, max_size=4)
TABLES = st.dictionaries(
    st.text(string.ascii_lowercase, min_size=1, max_size=4),
    st.lists(SOUNDS, min_size=1, max_size=3),
    min_size=1,
    max_size=8,
)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@given(TABLES)
def test_a_dictionary_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, list[list[str]]]
) -> None:
    dictionary = Pronunciations.of(table)
    path = written(tmp_path_factory.mktemp("dictionary") / "d.tsv", dictionary.to_text())
    assert read_pronunciations(path, text=TEXT) == dictionary


@given(TABLES)
def test_a_word_is_found_by_each_of_its_pronunciations(table: dict[str, list[list[str]]]) -> None:
    dictionary = Pronunciations.of(table)
    for word in table:
        for sounds in dictionary.of_word(word):
            found = dictionary.word_of(sounds)
            assert found is not None
            assert sounds in dictionary.of_word(found)


def test_of_words_that_sound_alike_the_first_is_written() -> None:
    dictionary = Pronunciations.of({"fore": [["f", "o"]], "four": [["f", "o"], ["f", "ou"]]})
    assert dictionary.word_of(["f", "o"]) == "fore"
    preferred = dictionary.beginning_with(["four", "unheard"])
    assert preferred.word_of(["f", "o"]) == "four"
    assert [*preferred] == ["four", "fore"]
    assert dictionary.alike(["four", "fore"]) == [("four", "fore")]
    assert dictionary.alike(["four"]) == []


def test_entries_of_one_word_are_brought_together() -> None:
    dictionary = Pronunciations(
        entries=(("a", ("x",)), ("b", ("y",)), ("a", ("z",)), ("a", ("x",)))
    )
    assert dictionary.entries == (("a", ("x",)), ("a", ("z",)), ("b", ("y",)))
    assert dictionary == Pronunciations.of({"a": [["x"], ["z"]], "b": [["y"]]})
    assert dictionary.sounds() == ("x", "y", "z")
    assert (len(dictionary), "a" in dictionary, "c" in dictionary) == (2, True, False)


def test_a_dictionary_joined_to_another_keeps_its_own_words() -> None:
    mine = Pronunciations.of({"a": [["x"]]})
    theirs = Pronunciations.of({"a": [["y"]], "b": [["z"]]})
    assert mine | theirs == Pronunciations.of({"a": [["x"]], "b": [["z"]]})
    assert (mine | theirs).within(["b", "c"]) == Pronunciations.of({"b": [["z"]]})


@pytest.mark.parametrize(
    "line",
    [
        "Four\tf ou",
        "four f ou",
        "four  f  ou",
        "FOUR(2)  f ou",
        "four\t0.99\t0.1\t1.0\tf ou",
        ";;; a comment\n\nfour f ou\n",
        "'four f ou",
    ],
    ids=["tab", "blank", "blanks", "cmudict", "aligner", "comment", "punctuation"],
)
def test_dictionaries_of_others_are_read(tmp_path: Path, line: str) -> None:
    found = read_pronunciations(written(tmp_path / "d", line), text=TEXT)
    assert found == Pronunciations.of({"four": [["f", "ou"]]})


def test_what_no_text_holds_as_one_word_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "d", "a-b x\n%percent y\n% z\nc w\n")
    assert [*read_pronunciations(path, text=TEXT)] == ["percent", "c"]


def test_lines_without_sounds_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "d", "a x\nfour\nfive\t\n")
    with pytest.raises(VocabularyError, match=r"d: .*line 2 \('four'\), line 3 \('five'\)"):
        read_pronunciations(path, text=TEXT)
    with pytest.raises(VocabularyError, match="word and its sounds: none"):
        read_pronunciations(written(tmp_path / "e", ""), text=TEXT)
    with pytest.raises(VocabularyError, match="expected a dictionary of pronunciations"):
        read_pronunciations(tmp_path / "absent", text=TEXT)


@pytest.mark.parametrize("entry", [("", ("x",)), ("a b", ("x",)), ("a", ()), ("a", ("x y",))])
def test_words_and_sounds_have_no_blanks(entry: tuple[str, tuple[str, ...]]) -> None:
    with pytest.raises(VocabularyError, match="pronunciations: expected"):
        Pronunciations(entries=(entry,))
