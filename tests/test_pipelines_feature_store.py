"""Kept features: the right ones, found again by content, and never computed twice."""

import io
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

import pipelines.feature_store
from asr.audio import load_audio, resample
from asr.errors import AudioError, TrainingError
from asr.features import FeatureOptions, frame_features
from asr.manifest import Utterance
from pipelines.feature_store import FeatureStore
from pipelines.progress import Progress
from pipelines.speech import Stretch, load_speech, stream_speech

OPTIONS = FeatureOptions(n_mfcc=13, stack=3)
Calls = list[int]


@pytest.fixture
def utterance(tmp_path: Path, rng: np.random.Generator) -> Utterance:
    return record(tmp_path / "one.wav", rng, seconds=0.5)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "cache", OPTIONS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The length of every recording that features are computed of, as it happens."""
    lengths: Calls = []

    def counted(samples: npt.NDArray[np.float32], options: FeatureOptions) -> object:
        lengths.append(len(samples))
        return frame_features(samples, options)

    monkeypatch.setattr(pipelines.feature_store, "frame_features", counted)
    return lengths


def record(path: Path, rng: np.random.Generator, *, seconds: float) -> Utterance:
    soundfile.write(path, rng.uniform(-0.3, 0.3, round(16000 * seconds)), 16000)
    return Utterance(id=path.stem, audio=path, duration_s=None, text="x")


def quiet() -> Progress:
    return Progress(None, unit="utterances", label="", stream=io.StringIO(), quiet=True)


def test_what_is_kept_are_unstacked_features(store: FeatureStore, utterance: Utterance) -> None:
    expected = frame_features(load_audio(utterance.audio), OPTIONS)
    assert expected.shape == (51, 13)
    for _ in range(2):  # computed, then read
        features = store.load(utterance)
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, expected)


def test_a_stretch_at_a_speed(store: FeatureStore, utterance: Utterance) -> None:
    stretch = replace(utterance, offset_s=0.1, duration_s=0.2)
    samples = load_audio(utterance.audio)[1600:4800]
    np.testing.assert_allclose(load_speech(stretch), samples, atol=1e-6)
    expected = frame_features(resample(samples, from_rate=14400, to_rate=16000), OPTIONS)
    np.testing.assert_allclose(store.load(stretch, speed=0.9), expected, atol=1e-4)


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_speed_alters_the_length_and_the_pitch(tmp_path: Path, speed: float) -> None:
    time_s = np.arange(16000) / 16000
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(2 * np.pi * 1000 * time_s), 16000)
    tone = Utterance(id="tone", audio=tmp_path / "tone.wav", duration_s=None)
    samples = load_speech(tone, speed=speed)
    assert len(samples) == pytest.approx(16000 / speed, abs=2)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 16000 / len(samples) == pytest.approx(1000 * speed, abs=2)


def test_nothing_is_computed_twice(
    tmp_path: Path, store: FeatureStore, calls: Calls, rng: np.random.Generator
) -> None:
    utterances = [record(tmp_path / f"{i}.wav", rng, seconds=0.1 * (i + 1)) for i in range(3)]
    first, failures = store.fill(utterances, (0.8, 1.0), quiet())
    assert sorted(calls) == [1600, 2000, 3200, 4000, 4800, 6000]
    assert failures == {}
    assert first == {
        **{("0", 0.8): 13, ("1", 0.8): 26, ("2", 0.8): 38},
        **{("0", 1.0): 11, ("1", 1.0): 21, ("2", 1.0): 31},
    }
    again = FeatureStore(store.folder, OPTIONS).fill(utterances, (0.8, 1.0), quiet())
    assert again == (first, {})
    assert len(calls) == 6


def test_a_recording_is_read_once_for_all_speeds(
    store: FeatureStore, utterance: Utterance, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(stretch: Stretch) -> npt.NDArray[np.float32]:
        read.append(stretch.audio)
        return load_speech(stretch)

    monkeypatch.setattr(pipelines.feature_store, "load_speech", counted)
    store.fill([utterance], (0.9, 1.0), quiet())
    assert read == [utterance.audio]
    lengths, _ = store.fill([utterance], (0.9, 1.0, 1.1), quiet())
    assert read == [utterance.audio] * 2
    for speed in (0.9, 1.0, 1.1):
        expected = frame_features(load_speech(utterance, speed=speed), OPTIONS)
        np.testing.assert_array_equal(store.load(utterance, speed=speed), expected)
        assert lengths["one", speed] == len(expected)
    assert len(read) == 2


def test_other_processes_write_the_same_files_and_meet_the_same_errors(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    utterances = [record(tmp_path / f"{i}.wav", rng, seconds=0.1 * (i + 1)) for i in range(6)]
    (tmp_path / "bad.wav").write_bytes(b"RIFF, not really")
    utterances.insert(3, Utterance(id="bad", audio=tmp_path / "bad.wav", duration_s=1.0))
    found = []
    for name, many in (("threads", 100), ("processes", 1)):
        monkeypatch.setattr(pipelines.feature_store, "_MANY", many)
        store = FeatureStore(tmp_path / name, OPTIONS)
        progress = quiet()
        results = store.fill(utterances, (0.9, 1.0), progress)
        files = {path.name: path.read_bytes() for path in store.folder.rglob("*.*")}
        found.append((results, files, progress.done))
    assert found[0] == found[1]
    (lengths, failures), files, done = found[1]
    assert (len(lengths), list(failures), len(files), done) == (12, ["bad"], 12, 7)


def test_a_process_that_is_killed_ends_the_filling(
    tmp_path: Path, store: FeatureStore, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.feature_store, "_MANY", 1)
    utterances = [
        record(tmp_path / f"{i}.wav", rng, seconds=0.1 if i == 0 else 9) for i in range(9)
    ]

    class Killing(Progress):
        def advance(self, amount: float = 1, note: str = "") -> None:
            super().advance(amount, note)
            for process in multiprocessing.active_children():
                process.kill()

    progress = Killing(None, unit="utterances", label="", quiet=True)
    with pytest.raises(TrainingError, match="run the same command again"):
        store.fill(utterances, (0.9, 1.0, 1.1), progress)
    monkeypatch.setattr(pipelines.feature_store, "_MANY", 100)
    lengths, failures = store.fill(utterances, (1.0,), quiet())
    assert (len(lengths), failures) == (9, {})


def test_a_renamed_or_moved_recording_is_known_again(
    tmp_path: Path, store: FeatureStore, calls: Calls, utterance: Utterance
) -> None:
    features = store.load(utterance)
    moved = tmp_path / "else" / "where.wav"
    moved.parent.mkdir()
    shutil.move(utterance.audio, moved)
    other = replace(utterance, id="other", audio=moved, text="y")
    np.testing.assert_array_equal(store.load(other), features)
    assert len(calls) == 1


def test_another_content_under_the_same_name_is_not(
    store: FeatureStore, calls: Calls, utterance: Utterance, rng: np.random.Generator
) -> None:
    store.load(utterance)
    record(utterance.audio, rng, seconds=0.25)
    assert store.load(utterance).shape == (26, 13)
    assert len(calls) == 2


AVERAGE: dict[str, Any] = {"prior_mean": (-20.0,) * 13, "prior_deviation": (30.0,) * 13}

OTHERS = {
    "sample_rate": FeatureOptions(sample_rate=22050),
    "n_mfcc": FeatureOptions(n_mfcc=12),
    "n_mels": FeatureOptions(n_mels=41),
    "n_fft": FeatureOptions(n_fft=1024),
    "win_length": FeatureOptions(win_length=512),
    "hop_length": FeatureOptions(hop_length=80),
    "fmin": FeatureOptions(fmin=21.0),
    "fmax": FeatureOptions(fmax=7000.0),
    "preemphasis": FeatureOptions(preemphasis=0.97),
    "dither": FeatureOptions(dither=1.0),
    "lifter": FeatureOptions(lifter=22),
    "deltas": FeatureOptions(deltas=1),
    "normalise": FeatureOptions(normalise="mean"),
    "prior_frames": FeatureOptions(prior_frames=9.0, **AVERAGE),
    "prior_mean": FeatureOptions(prior_frames=10.0, **AVERAGE | {"prior_mean": (1.0,) * 13}),
    "prior_deviation": FeatureOptions(
        prior_frames=10.0, **AVERAGE | {"prior_deviation": (9.0,) * 13}
    ),
}


def test_every_feature_setting_is_accounted_for() -> None:
    assert OTHERS.keys() | {"stack", "lead_s"} == set(FeatureOptions.__dataclass_fields__)


@pytest.mark.parametrize("unused", [{"prior_frames": 10.0}, AVERAGE])
def test_a_prior_that_is_not_used_changes_no_key(
    tmp_path: Path, calls: Calls, utterance: Utterance, unused: dict[str, Any]
) -> None:
    for options in (FeatureOptions(), FeatureOptions(**unused)):
        FeatureStore(tmp_path / "cache", options).load(utterance)
    assert len(calls) == 1


@pytest.mark.parametrize("name", OTHERS)
def test_another_setting_gives_other_features(
    tmp_path: Path, calls: Calls, utterance: Utterance, name: str
) -> None:
    FeatureStore(tmp_path / "cache", FeatureOptions()).load(utterance)
    other = FeatureStore(tmp_path / "cache", OTHERS[name])
    np.testing.assert_array_equal(
        other.load(utterance), frame_features(load_audio(utterance.audio), OTHERS[name])
    )
    assert len(calls) == 2


def test_stacking_and_leading_in_are_done_elsewhere(
    tmp_path: Path, calls: Calls, utterance: Utterance
) -> None:
    for options in (FeatureOptions(), FeatureOptions(stack=3), FeatureOptions(lead_s=0.2)):
        FeatureStore(tmp_path / "cache", options).load(utterance)
    assert len(calls) == 1


def test_another_stretch_or_speed_has_features_of_its_own(
    store: FeatureStore, calls: Calls, utterance: Utterance
) -> None:
    stretches = (
        utterance,
        replace(utterance, offset_s=0.1),
        replace(utterance, duration_s=0.2),
        replace(utterance, offset_s=0.1, duration_s=0.2),
    )
    shapes = [store.load(item, speed=speed).shape for item in stretches for speed in (1.0, 0.8)]
    assert [rows for rows, _ in shapes] == [51, 63, 41, 51, 21, 26, 21, 26]
    assert len(calls) == 8


@pytest.mark.parametrize("torn", ["empty", "half", "header", "other"])
def test_a_torn_file_is_computed_again(
    store: FeatureStore, calls: Calls, utterance: Utterance, torn: str
) -> None:
    features = np.array(store.load(utterance))
    (path,) = store.folder.rglob("*.f32")
    data = path.read_bytes()
    broken = {"empty": b"", "half": data[: len(data) // 2], "header": data[:20], "other": b"x" * 99}
    path.write_bytes(broken[torn])
    lengths, failures = store.fill([utterance], (1.0,), quiet())
    assert (lengths, failures) == ({("one", 1.0): 51}, {})
    np.testing.assert_array_equal(store.load(utterance), features)
    assert len(calls) == 2
    assert [item.name for item in store.folder.rglob("*.f32")] == [path.name]


def test_what_cannot_be_read_is_reported_by_id(
    tmp_path: Path, store: FeatureStore, utterance: Utterance
) -> None:
    (tmp_path / "noise.wav").write_bytes(b"RIFF, not really")
    (tmp_path / "folder.wav").mkdir()
    bad = [
        Utterance(id=name, audio=tmp_path / f"{name}.wav", duration_s=1.0)
        for name in ("noise", "folder", "missing")
    ]
    late = replace(utterance, id="late", offset_s=9.0)
    lengths, failures = store.fill([*bad, utterance, late], (1.0,), quiet())
    assert lengths == {("one", 1.0): 51}
    assert failures.keys() == {"noise", "folder", "missing", "late"}
    assert all(f"{key}.wav" in failures[key] for key in ("noise", "folder", "missing"))
    with pytest.raises(AudioError, match="missing"):
        store.load(bad[2])


def test_each_channel_has_features_of_its_own(
    store: FeatureStore, tmp_path: Path, rng: np.random.Generator
) -> None:
    samples = rng.uniform(-0.3, 0.3, (8_000, 2))
    soundfile.write(tmp_path / "two.wav", samples, 16_000)
    mixed = Utterance(id="u", audio=tmp_path / "two.wav", duration_s=None)
    for channel in (None, 0, 1):
        one = replace(mixed, channel=channel)
        expected = load_audio(one.audio, channels="mix" if channel is None else channel)
        np.testing.assert_array_equal(load_speech(one), expected)
        np.testing.assert_array_equal(load_speech(Stretch.of(one)), expected)
        np.testing.assert_array_equal(np.concatenate([*stream_speech(one)]), expected)
        np.testing.assert_array_equal(store.load(one), frame_features(expected, OPTIONS))
