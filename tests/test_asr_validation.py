import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import audio_info, write_wav
from asr.errors import ManifestError
from asr.features import FeatureOptions, extract
from asr.text import TextOptions
from asr.validation import Problem, feasible, validate
from asr.vocabulary import Vocabulary

LETTERS = Vocabulary.from_characters(" abcdefghijklmnopqrstuvwxyz")


def tone(path: Path, duration_s: float, sample_rate: int = 16_000) -> Path:
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(
        path, (0.1 * np.sin(2 * np.pi * 220 * time_s)).astype(np.float32), sample_rate=sample_rate
    )
    return path


def manifest(folder: Path, *lines: dict[str, object] | str) -> Path:
    """A manifest whose lines are good but for what is said: `u<n>`, a second of its own."""
    path = folder / "train.jsonl"
    texts = []
    for number, line in enumerate(lines, start=1):
        if isinstance(line, dict):
            name = f"{number}.wav"
            tone(folder / name, 1.0)
            good = {"audio_filepath": name, "duration": 1.0, "text": "yes", "id": f"u{number}"}
            line = json.dumps(good | line)
        texts.append(f"{line}\n")
    path.write_text("".join(texts), "utf-8")
    return path


def kinds(problems: tuple[Problem, ...]) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.kind) for problem in problems]


def test_a_sound_manifest_has_no_problem(tmp_path: Path) -> None:
    report = validate(manifest(tmp_path, {}, {}), vocabulary=LETTERS, features=FeatureOptions())
    assert report.ok
    assert report.problems == ()
    assert report.usable == report.utterances
    assert report.total_s == report.usable_s == 2.0
    assert report.summary() == (
        f"{tmp_path / 'train.jsonl'}: 2 of 2 utterances are usable, 0.00 of 0.00 hours (100.0 %)"
    )


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"RIFF" + bytes(100))
    path = manifest(
        tmp_path,
        {},
        {"audio_filepath": "absent.wav"},
        {"audio_filepath": "noise.wav"},
        {"duration": 0},
        {"duration": 1.2},
        {"duration": 0.5},
        {"text": " "},
        {"text": "naïve yes ï"},
        {"id": "u1"},
        {"text": "a" * 51},
        "not json",
        {"text": "caf\ufffd"},
        {"audio_filepath": "1.wav", "text": "no"},
    )
    features = FeatureOptions()  # a second gives 101 steps
    report = validate(path, vocabulary=LETTERS, features=features)
    assert kinds(report.problems) == [
        (2, "missing file"),
        (3, "unreadable audio"),
        (4, "zero duration"),
        (5, "wrong duration"),
        (6, "wrong duration"),
        (7, "empty text"),
        (8, "unknown characters"),
        (9, "duplicate id"),
        (11, "broken line"),
        (12, "damaged text"),
        (12, "unknown characters"),
        (13, "contradiction"),
    ]
    assert [item.id for item in report.usable] == ["u1", "u10"]
    assert (report.total_s, report.usable_s) == (12.0, 2.0)
    assert report.unknown == {"ï": ("u8",), "\ufffd": ("u12",)}
    summary = report.summary().splitlines()
    assert summary[: len(report.problems)] == [str(problem) for problem in report.problems]
    assert summary[4] == (
        "train.jsonl:6: wrong duration: u6: listed as 0.5 s, but the audio has 1.000 s"
    )
    assert "train.jsonl:8: unknown characters: u8: 'ï' (U+00EF) × 2" in summary
    assert "wrong duration: 2" in summary
    assert "'ï' (U+00EF) has no token, in 1 of 12 utterances: u8" in summary
    assert summary[-1].endswith("2 of 12 utterances are usable, 0.00 of 0.00 hours (16.7 %)")


@pytest.mark.parametrize("stack", [1, 3])
def test_infeasible_begins_exactly_one_label_beyond_the_steps(tmp_path: Path, stack: int) -> None:
    features = FeatureOptions(stack=stack)
    steps = len(extract(np.full(16_000, 0.1, np.float32), features))
    # Equal neighbours need a blank between them: n letters, 2n - 1 steps.
    fits, fails = "ab" * (steps // 2) + "a" * (steps % 2), "a" * (steps // 2 + 2)
    path = manifest(tmp_path, {"text": fits}, {"text": fits + "c"}, {"text": fails})
    report = validate(path, vocabulary=LETTERS, features=features)
    assert kinds(report.problems) == [(2, "infeasible for CTC"), (3, "infeasible for CTC")]
    assert f"the text needs {steps + 1} steps, 1.000 s of audio give {steps}" in report.summary()
    # Without features there is no telling.
    assert validate(path, vocabulary=LETTERS).ok


@given(st.lists(st.integers(1, 3), max_size=5), st.integers(0, 6))
def test_feasible_equals_enumeration_of_paths(labels: list[int], num_steps: int) -> None:
    def collapse(path: tuple[int, ...]) -> list[int]:
        return [label for label, _ in itertools.groupby(path) if label]

    paths = itertools.product(range(4), repeat=num_steps)
    assert feasible(num_steps, labels) == any(collapse(path) == labels for path in paths)


def test_text_is_normalised_before_it_is_judged(tmp_path: Path) -> None:
    path = manifest(tmp_path, {"text": "Yes!"}, {"text": "…"})
    assert kinds(validate(path, vocabulary=LETTERS, text=TextOptions()).problems) == [
        (2, "empty text")
    ]
    assert kinds(validate(path, vocabulary=LETTERS).problems) == [
        (1, "unknown characters"),
        (2, "unknown characters"),
    ]


@pytest.mark.parametrize(
    ("listed_s", "ok"), [(0.91, True), (1.09, True), (0.89, False), (1.11, False)]
)
def test_durations_may_differ_by_a_tenth_of_a_second(
    tmp_path: Path, listed_s: float, ok: bool
) -> None:
    assert validate(manifest(tmp_path, {"duration": listed_s})).ok == ok


def test_mp3_may_differ_by_its_padding(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * 8_000)
    soundfile.write(tmp_path / "a.mp3", samples, 8_000, format="MP3")
    padded_s = audio_info(tmp_path / "a.mp3").duration_s
    for listed_s, ok in [(3.0, True), (padded_s - 0.29, True), (padded_s - 0.31, False)]:
        path = manifest(tmp_path, {"audio_filepath": "a.mp3", "duration": listed_s})
        assert validate(path).ok == ok


def test_stretches_of_one_recording_must_lie_within_it(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        {"duration": 0.4},
        {"audio_filepath": "1.wav", "offset": 0.4, "duration": 0.6},
        {"audio_filepath": "1.wav", "offset": 0.4, "duration": 0.8},
        {"audio_filepath": "1.wav", "offset": 1.5, "duration": 0.5},
        {"offset": 0.75, "duration": None},
    )
    report = validate(path)
    assert kinds(report.problems) == [(3, "wrong duration"), (4, "wrong duration")]
    assert "u3: listed as 0.8 s, but the audio has 0.600 s" in report.summary()
    assert "u4: starts at 1.5 s, but the audio is 1.000 s long" in report.summary()
    assert report.usable_s == pytest.approx(0.4 + 0.6 + 0.25)


def test_channels_are_recordings_of_their_own_and_must_be_there(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).uniform(-0.1, 0.1, (16_000, 2))
    soundfile.write(tmp_path / "call.wav", samples, 16_000)
    lines = [
        {"audio_filepath": "call.wav", "id": f"c{channel}", "channel": channel, "text": text}
        for channel, text in ((0, "yes"), (1, "no"), (2, "what"))
    ]
    report = validate(manifest(tmp_path, *lines, {**lines[0], "id": "again", "text": "no"}))
    assert [str(problem) for problem in report.problems] == [
        "train.jsonl:3: missing channel: c2: expected one from 0 to 1, received 2",
        "train.jsonl:4: contradiction: again: line 1 has the same audio, but the text 'yes', "
        "not 'no'",
    ]


def test_missing_duration_is_taken_from_the_audio(tmp_path: Path) -> None:
    assert validate(manifest(tmp_path, {"duration": None})).total_s == 1.0


def test_without_audio_the_list_is_believed(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"audio_filepath": "absent.wav", "duration": 3600},
        {"duration": 1200, "text": ""},
        {"duration": 0},
        {"duration": None},
    ]
    report = validate(manifest(tmp_path, *lines), check_audio=False)
    assert kinds(report.problems) == [(2, "empty text"), (3, "zero duration")]
    assert report.summary().endswith("2 of 4 utterances are usable, 1.00 of 1.33 hours (75.0 %)")


def test_root_is_where_audio_is_looked_for(tmp_path: Path) -> None:
    tone(tmp_path / "audio" / "x.wav", 1.0)
    path = manifest(tmp_path, {"audio_filepath": "x.wav"})
    assert kinds(validate(path).problems) == [(1, "missing file")]
    assert validate(path, root=tmp_path / "audio").ok


def test_kaldi_lines_are_named_by_their_file(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 1.0)
    (tmp_path / "wav.scp").write_text("r a.wav\nq sox q.flac -t wav - |\n")
    (tmp_path / "segments").write_text("r-1 r 0 0.5\nr-2 r 0.5 2\n")
    (tmp_path / "text").write_text("r-1 one\nr-2 two\nr-3 three\n")
    report = validate(tmp_path)
    assert [str(problem).split(":")[:3] for problem in report.problems] == [
        ["segments", "2", " wrong duration"],
        ["text", "3", " broken line"],
        ["wav.scp", "2", " broken line"],
    ]


def test_empty_list_is_a_problem_and_absent_one_an_error(tmp_path: Path) -> None:
    report = validate(manifest(tmp_path))
    assert kinds(report.problems) == [(None, "no utterances")]
    assert report.summary().splitlines()[0] == "train.jsonl: no utterances: expected at least one"
    with pytest.raises(ManifestError, match="absent"):
        validate(tmp_path / "absent.jsonl")


def test_ten_thousand_lines_take_seconds(tmp_path: Path) -> None:
    audio = tone(tmp_path / "a.wav", 1.0)
    lines = [
        {
            "audio_filepath": audio.name,
            "offset": n / 20_000,
            "duration": 0.5,
            "text": "yes",
            "id": f"u{n}",
        }
        for n in range(10_000)
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    start = time.perf_counter()
    report = validate(path, vocabulary=LETTERS, features=FeatureOptions(), text=TextOptions())
    assert time.perf_counter() - start < 5
    assert len(report.usable) == 10_000
