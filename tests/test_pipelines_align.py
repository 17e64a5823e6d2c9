"""`asr align`: times of known words, as JSON and CTM, and what cannot be aligned."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from linear_model import MODEL

from asr.alignment import align
from asr.audio import SAMPLE_RATE, load_audio, write_wav
from asr.confidence import Calibration
from asr.hypotheses import read_transcripts
from asr.textgrid import to_textgrid
from pipelines import cli

Command = Callable[..., int]


@pytest.fixture
def asr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command in tmp_path, where there are a.wav and b.wav."""
    monkeypatch.setattr("pipelines.network.load_recognizer", lambda *_, **__: MODEL)
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, SAMPLE_RATE // 2)
        write_wav(Path(f"{name}.wav"), noise.astype(np.float32))

    def run(*words: str) -> int:
        return cli.main(["align", *words, "--model", "any", "--quiet"])

    return run


def test_a_recording_and_its_text(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    expected = align(MODEL, load_audio("a.wav"), "Abba, cab.")
    assert asr("a.wav", "Abba, cab.") == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"id": "a", **expected.to_json()}
    Path("a.txt").write_text("Abba,\ncab.\n")
    assert asr("a.wav", "a.txt") == 0
    assert capsys.readouterr().out == shown
    assert asr("a.wav", "abba cab", "--character-times", "-o", "a.json") == 0
    assert json.loads(Path("a.json").read_text()) == {
        "id": "a",
        **expected.to_json(characters=True),
    }


def test_a_ctm_is_read_back_with_its_times_and_confidences(asr: Command) -> None:
    records = [{"audio_filepath": f"{name}.wav", "id": name, "text": "cab ab"} for name in "ab"]
    Path("m.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    assert asr("m.jsonl", "--format", "ctm", "-o", "m.ctm") == 0
    found = read_transcripts("m.ctm")
    assert found.texts == {"a": "cab ab", "b": "cab ab"}
    expected = align(MODEL, load_audio("b.wav"), "cab ab")
    sure = [word.probability for word in expected.words]
    assert found.confidences["b"] == pytest.approx(sure, abs=1e-4)
    rows = [line.split() for line in Path("m.ctm").read_text().splitlines()]
    starts = [float(row[2]) for row in rows if row[0] == "b"]
    assert starts == pytest.approx([word.start_s for word in expected.words], abs=1e-3)


def test_what_cannot_be_aligned_is_named_and_stops_nothing(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {"audio_filepath": "a.wav", "id": "strange", "text": "xyz"},
        {"audio_filepath": "none.wav", "id": "gone", "text": "a"},
        {"audio_filepath": "b.wav", "id": "good", "text": "a"},
    ]
    Path("m.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    assert asr("m.jsonl") == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["good"]
    assert "strange" in err
    assert "gone" in err


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("a.wav",), 2, "expected a text after a.wav"),
        (("a.wav", "a", "-o", "a.wav"), 2, "--overwrite"),
        (("a.wav", "a", "--format", "ctm", "--character-times"), 2, "--format json"),
        (("m.jsonl",), 1, "none for x"),
        (("empty.jsonl",), 1, "received an empty list"),
        (("good.jsonl", "--format", "textgrid"), 2, "expected -o FOLDER"),
        (("good.jsonl", "--format", "textgrid", "-o", "a.wav"), 2, "expected -o FOLDER"),
        (("a.wav", "nowhere.txt"), 1, "nowhere.txt"),
    ],
)
def test_what_makes_no_sense_is_refused(
    asr: Command, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, named: str
) -> None:
    Path("m.jsonl").write_text(json.dumps({"audio_filepath": "a.wav", "id": "x"}) + "\n")
    Path("empty.jsonl").write_text("")
    good = {"audio_filepath": "a.wav", "id": "x", "text": "a"}
    Path("good.jsonl").write_text(f"{json.dumps(good)}\n")
    there = sorted(Path().iterdir())
    assert asr(*words) == code
    assert named in capsys.readouterr().err
    assert sorted(Path().iterdir()) == there


@pytest.mark.parametrize("output", [(), ("-o", "x.json"), ("--format", "textgrid", "-o", "x")])
def test_where_nothing_is_aligned_nothing_is_written_and_that_is_said(
    asr: Command, capsys: pytest.CaptureFixture[str], output: tuple[str, ...]
) -> None:
    Path("m.jsonl").write_text(json.dumps({"audio_filepath": "a.wav", "id": "s", "text": "xyz"}))
    assert asr("m.jsonl", *output) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing was aligned" in err
    assert not Path("x").exists()
    assert not Path("x.json").exists()


def test_a_textgrid_of_one_recording_and_of_many(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = to_textgrid(align(MODEL, load_audio("a.wav"), "cab ab"), characters=True)
    grid = ("--format", "textgrid", "--character-times")
    assert asr("a.wav", "cab ab", *grid) == 0
    assert capsys.readouterr().out == expected
    assert asr("a.wav", "cab ab", *grid, "-o", "one.TextGrid") == 0
    assert Path("one.TextGrid").read_text() == expected
    records = [
        {"audio_filepath": f"{name}.wav", "id": f"{name}/{name}", "text": "cab ab"} for name in "ab"
    ]
    Path("m.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    assert asr("m.jsonl", *grid, "-o", "grids") == 0
    assert Path("grids/a/a.TextGrid").read_text() == expected
    assert Path("grids/b/b.TextGrid").is_file()
    assert asr("m.jsonl", *grid, "-o", "grids") == 2
    assert "--overwrite" in capsys.readouterr().err


def test_textgrids_stay_in_their_folder_and_none_takes_anothers_place(asr: Command) -> None:
    ids = ["../x", "x", "X", "x"]
    records = [{"audio_filepath": "a.wav", "id": key, "text": "a"} for key in ids]
    records.insert(1, {"audio_filepath": "a.wav", "id": "no", "text": "?!xyz"})
    Path("m.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    before = {path.name for path in Path().iterdir()}
    assert asr("m.jsonl", "--format", "textgrid", "-o", "grids") == 1
    assert {path.name for path in Path().iterdir()} - before == {"grids"}
    grids = [path.as_posix() for path in Path("grids").rglob("*.TextGrid")]
    assert len({name.lower() for name in grids}) == 4
    assert not any("no." in name for name in grids)


def test_confidences_are_corrected_as_in_transcripts() -> None:
    recognizer = dataclasses.replace(MODEL, confidence=Calibration(slope=0.5, bias=-1.0))
    plain, corrected = (align(one, load_noise(), "cab ab").words for one in (MODEL, recognizer))
    for before, after in zip(plain, corrected, strict=True):
        assert before.probability is not None
        assert after.probability == recognizer.confidence(before.probability)


def load_noise() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-0.3, 0.3, SAMPLE_RATE).astype(np.float32)
