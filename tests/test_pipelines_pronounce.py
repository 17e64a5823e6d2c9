"""`asr pronounce`: every word of the texts, in few sounds, and what is known already kept."""

from pathlib import Path

import pytest

from asr.pronunciations import Pronunciations, read_pronunciations
from asr.text import TextOptions
from pipelines import cli
from pipelines.pronounce import pronounced
from pipelines.synthesis import phonemes

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def read(name: str) -> Pronunciations:
    return read_pronunciations(name, text=TextOptions())


def test_every_word_of_texts_and_manifests_is_pronounced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("words.txt").write_text("Seven jars,\nSEVEN keys!\n")
    Path("m.jsonl").write_text('{"audio_filepath": "a.wav", "duration": 1, "text": "four"}\n')
    assert cli.main(["pronounce", "words.txt", "m.jsonl", "-o", "sounds.tsv", "--quiet"]) == 0
    found = read("sounds.tsv")
    assert [*found] == ["four", "jars", "keys", "seven"]
    assert found.of_word("seven") == (("s", "ɛ", "v", "ə", "n"),)
    told = capsys.readouterr().out
    assert told.startswith(f"sounds.tsv: 4 words of {len(found.sounds())} sounds: ")
    assert told.split()[-1] == found.sounds()[-1]


def test_no_two_digits_sound_alike() -> None:
    digits = pronounced(DIGITS, "en-us")
    assert [*digits] == [*DIGITS]
    assert digits.alike(DIGITS) == []
    assert digits.of_word("zero") == (("z", "i", "ɹ", "oʊ"),)


def test_english_has_few_sounds_and_no_signs_of_stress() -> None:
    words = (
        "butter button beetle bird father near pure fire science mountain the vision joy church "
        "utrecht rather thing hour about roses law lawful caught bear party abbey messrs"
    )
    found = pronounced(words.split(), "en-us")
    assert len(found) == len(words.split())
    assert len(found.sounds()) <= 39
    assert not {*"ˈˌːᵻɐɾʔr"} & {*"".join(found.sounds())}


def test_other_languages_keep_the_length_of_sounds() -> None:
    found = pronounced(["schön"], "de")
    assert found.of_word("schön") == (("ʃ", "øː", "n"),)


def test_words_that_are_seldom_stressed_have_their_weak_form_first() -> None:
    found = pronounced(["for", "of"], "en-us")
    assert found.of_word("for") == (("f", "ə", "ɹ"), ("f", "ɔ", "ɹ"))
    assert found.of_word("of")[0] == ("ə", "v")
    assert pronounced(["for"], "de").of_word("for") != found.of_word("for")


def test_what_is_known_is_kept() -> None:
    Path("words.txt").write_text("seven four\n")
    Path("known.tsv").write_text("four\tx y\nfour\tx\nfive\tz\n")
    command = ["pronounce", "words.txt", "--known", "known.tsv", "-o", "sounds.tsv", "--quiet"]
    assert cli.main(command) == 0
    found = read("sounds.tsv")
    assert [*found] == ["four", "seven"]
    assert found.of_word("four") == (("x", "y"), ("x",))


def test_mistakes_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("words.txt").write_text("seven\n")
    Path("empty.txt").write_text("\n")
    assert cli.main(["pronounce", "empty.txt", "-o", "s.tsv", "--quiet"]) == 2
    assert "expected words, received none" in capsys.readouterr().err
    command = ["pronounce", "words.txt", "-o", "s.tsv", "--quiet"]
    assert cli.main([*command, "--language", "xx"]) == 1
    assert "expected a language or voice espeak-ng has, received 'xx'" in capsys.readouterr().err
    assert not Path("s.tsv").exists()
    assert cli.main(command) == 0
    assert cli.main(command) == 2
    assert "s.tsv" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite"]) == 0


def test_figures_are_pronounced_as_their_words() -> None:
    assert "".join(phonemes("42", "en-us")).replace("ˈ", "").startswith("f")
    assert phonemes("", "en-us") == []
