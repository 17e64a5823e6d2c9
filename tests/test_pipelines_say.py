"""`asr say`: every text that was asked for, by voices that are each their own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import OptionsError
from asr.manifest import read_manifest
from asr.validation import validate
from pipelines import cli
from pipelines.say import _lines, some_voices
from pipelines.synthesis import ACCENTS, TIMBRES, TONGUES
from pipelines.synthetic_recordings import trimmed

Command = Callable[..., int]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command in tmp_path, where there is a file of three texts."""
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("seven\n\n  two jars \nthree\n")

    def run(*words: str) -> int:
        return cli.main(["say", "words.txt", "--quiet", *words])

    return run


def test_every_voice_says_every_text(say: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("-o", "said", "--voices", "3") == 0
    assert "9 recordings" in capsys.readouterr().out
    said = read_manifest("said/train.jsonl")
    assert {one.text for one in said} == {"seven", "two jars", "three"}
    assert len({one.speaker for one in said}) == 3
    assert len({(one.speaker, one.text) for one in said}) == 9
    assert not validate("said/train.jsonl").problems
    recordings = [load_audio(one.audio) for one in said]
    assert all(np.abs(samples).max() > 0.01 for samples in recordings)
    for one, samples in zip(said, recordings, strict=True):
        assert one.duration_s == pytest.approx(len(samples) / SAMPLE_RATE, abs=1e-6)


def test_the_same_seed_says_the_same(say: Command) -> None:
    drawn = ("--voices", "4", "--each", "2", "--trimmed", "0.5")
    assert say("-o", "one", *drawn) == 0
    assert say("-o", "two", *drawn) == 0
    assert say("-o", "three", *drawn, "--seed", "1") == 0
    one, two, three = (
        {path.name: path.read_bytes() for path in Path(folder, "audio").iterdir()}
        for folder in ("one", "two", "three")
    )
    assert len(one) == 8
    assert one == two
    assert one != three
    ids = [{item.id for item in read_manifest(f"{name}/train.jsonl")} for name in ("one", "two")]
    assert len(ids[0] | ids[1]) == 16  # both may be trained on at once


def test_words_are_said_by_voices_of_other_languages(say: Command) -> None:
    lines = "three\tfr\tsri|tri\nthree\nsix\tfr\tsixe\nthree\tit\ttri\n"
    Path("words.txt").write_text(lines, encoding="utf-8")
    assert say("-o", "said", "--voices", "2") == 0
    said = read_manifest("said/train.jsonl")
    texts: dict[str, list[str]] = {}
    for one in said:
        assert one.speaker
        texts.setdefault(one.speaker.rpartition("-")[2], []).append(one.text or "")
    assert sorted(texts["fr"]) == ["six", "six", "three", "three"]
    assert texts["it"] == ["three", "three"]
    assert sum(one.text == "three" for one in said) == 6
    assert len({one.id for one in said}) == len(said) == 8
    assert say("-o", "again", "--voices", "2") == 0
    again = {path.name: path.read_bytes() for path in Path("again", "audio").iterdir()}
    assert again == {path.name: path.read_bytes() for path in Path("said", "audio").iterdir()}


@pytest.mark.parametrize("line", ["three\tfr", "three\txx\tsri", "three\tfr\t", "\tfr\tsri"])
def test_a_line_of_another_shape_is_refused(
    say: Command, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    Path("words.txt").write_text(f"one\n{line}\n")
    assert say("-o", "said") == cli.USAGE_ERROR
    error = capsys.readouterr().err
    assert "words.txt:2: expected a text, or a text, a language (de, fr, hi" in error
    assert "Traceback" not in error


def test_the_recipes_accents_can_be_said() -> None:
    path = Path(cli.__file__).parent / "recipes" / "digits-accents.tsv"
    lines = _lines(path)
    assert set(lines) == set(TONGUES)
    numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert all([line.text for line in group] == numbers for group in lines.values())


def test_more_voices_begin_with_the_same() -> None:
    every = some_voices(len(ACCENTS) * len(TIMBRES), seed=3)
    assert len({voice.name for voice in every}) == len(every)
    assert some_voices(5, seed=3) == every[:5]
    assert some_voices(5, seed=4) != every[:5]


@pytest.mark.parametrize("count", [0, len(ACCENTS) * len(TIMBRES) + 1])
def test_there_are_only_so_many_voices(count: int) -> None:
    with pytest.raises(OptionsError, match="voices"):
        some_voices(count, seed=0)


@given(st.integers(0, 4000), st.integers(500, 4000), st.integers(0, 4000))
def test_trimming_takes_silence_alone(before: int, length: int, after: int) -> None:
    rng = np.random.default_rng(length)
    word = rng.choice([-0.5, 0.5], length).astype(np.float32)
    hiss = [rng.uniform(-0.01, 0.01, size).astype(np.float32) for size in (before, after)]
    samples = np.concatenate([hiss[0], word, hiss[1]])
    left = trimmed(samples)
    assert len(left) == min(before, 400) + length + min(after, 799)
    start = max(0, before - 400)
    np.testing.assert_array_equal(left, samples[start : start + len(left)])


@pytest.mark.parametrize("silence", [np.zeros(0, np.float32), np.zeros(100, np.float32)])
def test_silence_is_left_alone(silence: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> None:
    np.testing.assert_array_equal(trimmed(silence), silence)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--voices", "0"), "voices, received 0"),
        (("--each", "4"), "expected 1 to 3 texts for each voice, received 4"),
        (("--trimmed", "2"), "a share of 0 to 1 trimmed, received 2.0"),
    ],
)
def test_numbers_out_of_range_are_refused(
    say: Command, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert say("-o", "said", *words) in (1, 2)
    assert said in capsys.readouterr().err
    assert not Path("said/train.jsonl").exists()


def test_nothing_is_overwritten_unasked(say: Command, capsys: pytest.CaptureFixture[str]) -> None:
    once = ("-o", "said", "--voices", "1")
    assert say(*once) == 0
    before = Path("said/train.jsonl").read_bytes()
    assert say(*once, "--seed", "1") == 2
    assert "is there already; --overwrite" in capsys.readouterr().err
    assert Path("said/train.jsonl").read_bytes() == before
    assert say(*once, "--seed", "1", "--overwrite") == 0


def test_a_file_without_texts_is_refused(say: Command, capsys: pytest.CaptureFixture[str]) -> None:
    Path("words.txt").write_text("\n \n")
    assert say("-o", "said") == 2
    assert "expected at least one line of text" in capsys.readouterr().err
    Path("words.txt").unlink()
    assert say("-o", "said") in (1, 2)
    assert "words.txt" in capsys.readouterr().err
