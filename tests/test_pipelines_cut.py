"""`asr cut`: a manifest of short utterances, whose words are where it says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from linear_model import MODEL

from asr.alignment import align
from asr.audio import SAMPLE_RATE, load_audio, write_wav
from asr.manifest import read_manifest
from pipelines import cli

Command = Callable[..., int]


ALL = ("--min-probability", "0")


@pytest.fixture
def asr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command in tmp_path, where there are a.wav, b.wav and a manifest of both."""
    monkeypatch.setattr("pipelines.network.load_recognizer", lambda *_, **__: MODEL)
    monkeypatch.chdir(tmp_path)
    records = []
    for seed, name in enumerate(("a", "b")):
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, 3 * SAMPLE_RATE)
        write_wav(Path(f"{name}.wav"), noise.astype(np.float32))
        record = {"audio_filepath": f"{name}.wav", "id": name, "text": "cab ab abba cab"}
        records.append(record | {"speaker": name.upper(), "note": seed})
    records[1] |= {"offset": 0.5, "duration": 2.25}
    Path("m.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))

    def run(*words: str) -> int:
        return cli.main(["cut", *words, "--model", "any", "--quiet"])

    return run


def test_pieces_are_where_their_words_are_said(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asr("m.jsonl", "--longest", "1.5", "-o", "out/pieces.jsonl", *ALL) == 0
    assert "of 2 recordings" in capsys.readouterr().out
    pieces = read_manifest("out/pieces.jsonl")
    assert len({piece.id for piece in pieces}) == len(pieces) > 2
    for item in read_manifest("m.jsonl"):
        samples = load_audio(item.audio, offset_s=item.offset_s, duration_s=item.duration_s)
        words = align(MODEL, samples, item.text or "").words
        mine = [piece for piece in pieces if piece.speaker == item.speaker]
        assert " ".join(piece.text or "" for piece in mine) == item.text
        for piece in mine:
            assert (piece.audio.name, piece.extra) == (item.audio.name, item.extra)
            first, last = (int(number) - 1 for number in piece.id.split("-")[1:])
            said = words[first : last + 1]
            assert piece.text == " ".join(word.text for word in said)
            assert piece.duration_s is not None
            start_s = piece.offset_s - item.offset_s
            assert start_s <= said[0].start_s + 0.001
            assert start_s + piece.duration_s >= said[-1].end_s - 0.002
            # Within the stretch of the recording that the manifest was about.
            assert item.offset_s <= piece.offset_s
            assert (
                piece.offset_s + piece.duration_s <= item.offset_s + len(samples) / 16_000 + 0.001
            )
            assert load_audio(
                piece.audio, offset_s=piece.offset_s, duration_s=piece.duration_s
            ).size


def test_a_recording_and_its_text(asr: Command) -> None:
    Path("a.txt").write_text("Cab, ab;\nabba cab.\n")
    assert asr("a.wav", "a.txt", "-o", "a.jsonl", *ALL) == 0
    (whole,) = read_manifest("a.jsonl")
    assert (whole.id, whole.text) == ("a-1-4", "cab ab abba cab")


def test_drawn_stretches_and_single_words(asr: Command) -> None:
    drawn = ("m.jsonl", "--words", "2,3", "--count", "2", "--every", "abba", "--seed", "3", *ALL)
    assert asr(*drawn, "-o", "one.jsonl") == 0
    assert asr(*drawn, "-o", "two.jsonl") == 0
    assert Path("one.jsonl").read_bytes() == Path("two.jsonl").read_bytes()
    texts = [piece.text or "" for piece in read_manifest("one.jsonl")]
    assert texts.count("abba") == 2
    assert {len(text.split()) for text in texts if text != "abba"} <= {2, 3}
    assert {"a", "b"} == {piece.id[0] for piece in read_manifest("one.jsonl")}


def test_what_cannot_be_aligned_stops_nothing(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("m.jsonl").open("a") as file:
        file.write(json.dumps({"audio_filepath": "a.wav", "id": "x", "text": "zebra"}) + "\n")
    assert asr("m.jsonl", "-o", "out.jsonl", *ALL) == 1
    assert "not aligned: x: " in capsys.readouterr().err
    assert len(read_manifest("out.jsonl")) == 2


def test_what_the_model_does_not_hear_is_left_out(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asr("m.jsonl", "-o", "out.jsonl", "--min-probability", "1") == 1
    assert "nothing could be cut" in capsys.readouterr().err
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("m.jsonl", "-o", "m.jsonl"), "m.jsonl is there already; --overwrite"),
        (("a.wav", "-o", "o.jsonl"), "expected a text after a.wav"),
        (("m.jsonl", "-o", "o.jsonl", "--count", "3"), "--count goes with --words"),
        (("m.jsonl", "-o", "o.jsonl", "--every", "a"), "--every goes with --words"),
        (("m.jsonl", "-o", "o.jsonl", "--longest", "0"), "longest_s above 0"),
        (("m.jsonl", "-o", "o.jsonl", "--words", "3,1"), "the fewest first"),
    ],
)
def test_mistakes_are_said_in_a_line(
    asr: Command, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert asr(*words) in (1, 2)
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_a_count_of_words_is_two_numbers(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asr("m.jsonl", "-o", "o.jsonl", "--words", "two")
    assert "expected N,M as in 1,3, received 'two'" in capsys.readouterr().err
