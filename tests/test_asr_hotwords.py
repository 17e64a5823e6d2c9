"""Hotwords in a file: words, weights, and what is wrong with a line."""

from pathlib import Path

import pytest

from asr.errors import OptionsError
from asr.hotwords import DEFAULT_WEIGHT, normalise_hotwords, read_hotwords
from asr.text import TextOptions


def written(folder: Path, text: str) -> Path:
    path = folder / "words.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_is_a_word_or_a_phrase_with_its_weight_behind_a_tab(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffAda Lovelace\n\nBabbage\t2.5\n  Byron \t4\r\nByron\t3\n")
    assert read_hotwords(path) == {"Ada Lovelace": DEFAULT_WEIGHT, "Babbage": 2.5, "Byron": 4.0}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a\nb\tx\n", "words.txt:2: expected a weight above 0 after the tab, received 'x'"),
        ("a\t0\n", "words.txt:1"),
        ("a\tnan\n", "words.txt:1"),
        ("a\tinf\n", "words.txt:1"),
        ("\t3\n", "expected a word before the tab"),
        ("\n \n", "at least one hotword"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read_hotwords(written(tmp_path, text))
    assert named in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"none\.txt"):
        read_hotwords(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionsError, match="UTF-8"):
        read_hotwords(tmp_path / "bytes.txt")


def test_words_are_spelt_as_the_recognizer_spells() -> None:
    text = TextOptions(language="en")
    assert normalise_hotwords({"Ada, Lovelace!": 2.0, "ada lovelace": 3.0}, text) == {
        "ada lovelace": 3.0
    }
    with pytest.raises(OptionsError, match="'!'"):
        normalise_hotwords({"!": 1.0}, text)
