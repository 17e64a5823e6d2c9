"""Training from end to end, on speech of tones: each letter sounds for 80 ms at its own pitch.

A network of 16 units learns it in seconds. Every run here writes to a folder of its own; the
features of the shared corpus are computed once.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from stopping import Stop, stopped_at

import pipelines.trainer
import pipelines.training
from asr.bundle import open_bundle, write_settings
from asr.errors import (
    AudioError,
    BundleError,
    LanguageModelError,
    ManifestError,
    OptionsError,
    TrainingError,
    VocabularyError,
)
from asr.manifest import Utterance
from asr.scoring import score
from pipelines.checkpoint import load_checkpoint
from pipelines.cli import main
from pipelines.export import MAX_WER_LOSS
from pipelines.feature_store import FeatureStore
from pipelines.fitting import WeightAverage
from pipelines.network import Engine, load_network, load_recognizer
from pipelines.recipe import Recipe, read_recipe
from pipelines.recipe_file import load_recipe
from pipelines.run_folder import RunFolder
from pipelines.trainer import DevResult, Trainer, evaluate_dev
from pipelines.training import TrainingResult, train
from pipelines.training_log import TrainingLog

ROOT = Path(__file__).resolve().parent.parent
TONES_HZ = {"a": 500, "b": 1200, "c": 2500, "d": 4000}
PATIENCE_S = 300
"""After so long something hangs, which is better said than waited for."""
TIMING = {"speed", "elapsed_s", "waiting_share", "time"}

pytestmark = pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] != "tensorflow", reason="one backend is enough for the pipeline"
)


def speak(text: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    time_s = np.arange(1280) / 16000
    parts = []
    for character in text:
        hertz = TONES_HZ.get(character)
        tone = 0.3 * np.sin(2 * np.pi * hertz * time_s) if hertz else np.zeros(1280)
        parts += [tone, np.zeros(320)]
    samples = np.concatenate([*parts, np.zeros(320)])
    return samples + rng.normal(0, 0.003, samples.size)


def make_side(folder: Path, side: str, texts: list[str], rng: np.random.Generator) -> None:
    lines = []
    for index, text in enumerate(texts):
        key = f"{side}{index}"
        soundfile.write(folder / f"{key}.wav", speak(text, rng), 16000)
        lines.append(json.dumps({"id": key, "audio_filepath": f"{key}.wav", "text": text}))
    (folder / f"{side}.jsonl").write_text("\n".join(lines))


def make_corpus(folder: Path, letters: str, *, num_train: int, num_dev: int) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)

    def phrase() -> str:
        words = ["".join(rng.choice(list(letters), rng.integers(1, 4))) for _ in range(4)]
        return " ".join(words[: rng.integers(1, 4)])

    for side, count in (("train", num_train), ("dev", num_dev)):
        make_side(folder, side, [phrase() for _ in range(count)], rng)
    return folder


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_corpus(tmp_path_factory.mktemp("speech"), "ab", num_train=40, num_dev=8)
    soundfile.write(folder / "mute.wav", speak("ab", np.random.default_rng(1)), 16000)
    with (folder / "train.jsonl").open("a") as file:
        file.write('\n{"id": "mute", "audio_filepath": "mute.wav", "text": ""}\n')
    return folder


def recipe_of(speech: Path, **tables: dict[str, Any]) -> Recipe:
    """A recipe that learns the tones, changed as the tables say."""
    base: dict[str, dict[str, Any]] = {
        "data": {"train": [str(speech / "train.jsonl")], "dev": [str(speech / "dev.jsonl")]},
        "features": {"stack": 2},
        "model": {"units": 16, "num_layers": 1, "dropout": 0.0},
        "batches": {"duration_s": 8.0},
        "training": {
            "epochs": 9,
            "patience": 9,
            "learning_rate": 0.02,
            "warmup_steps": 5,
            "checkpoint_interval_s": 0.0,
        },
    }
    names = base.keys() | tables.keys()
    merged = {name: base.get(name, {}) | tables.get(name, {}) for name in names}
    return read_recipe(merged, where="test")


# Everything by chance that a recipe can ask for, and batches enough to be stopped between.
VARIED: dict[str, dict[str, Any]] = {
    "features": {"stack": 2, "prior_frames": 30.0},
    "model": {"units": 8, "num_layers": 2, "dropout": 0.3, "layer_norm": True},
    "batches": {"duration_s": 3.0},
    "augment": {
        "speeds": [0.9, 1.0, 1.1],
        "num_time_masks": 1,
        "max_time_mask_s": 0.05,
        "num_coefficient_masks": 1,
        "max_warp": 0.1,
    },
    "training": {
        **{"epochs": 3, "patience": 3, "learning_rate": 0.01, "average": 0.9},
        "mmi_share": 0.5,
    },
}


def start(speech: Path, run: Path, **options: Any) -> TrainingResult:
    tables = {name: options.pop(name) for name in list(options) if isinstance(options[name], dict)}
    return train(recipe_of(speech, **tables), run, cache=speech / "cache", quiet=True, **options)


def resume(speech: Path, run: Path) -> TrainingResult:
    recipe = load_recipe(run / "recipe.toml")
    return train(recipe, run, resume=True, cache=speech / "cache", quiet=True)


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@dataclass(frozen=True)
class Trained:
    run: Path
    recipe: Recipe
    result: TrainingResult
    log: str


@pytest.fixture(scope="module")
def trained(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run = tmp_path_factory.mktemp("runs") / "trained"
    recipe = recipe_of(speech)
    with contextlib.redirect_stderr(io.StringIO()) as log:
        result = train(recipe, run, cache=speech / "cache")
    return Trained(run=run, recipe=recipe, result=result, log=log.getvalue())


@pytest.fixture(scope="module")
def uninterrupted(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    start(speech, run, **VARIED)
    return run


# A run and what it leaves behind


def test_it_learns(trained: Trained) -> None:
    rows = metrics(trained.run)
    assert [row["epoch"] for row in rows] == list(range(1, 10))
    assert rows[0]["dev_wer"] > 0.5
    assert min(row["dev_wer"] for row in rows) < 0.2
    assert rows[-1]["loss"] < rows[0]["loss"] / 5
    assert rows[-1]["dev_loss"] < rows[0]["dev_loss"] / 5
    assert rows[-1]["dev_cer"] < 0.1
    assert trained.result.dev_wer == min(row["dev_wer"] for row in rows)
    assert trained.result.epochs == 9


def test_it_learns_by_the_mmi_criterion_too(speech: Path, tmp_path: Path) -> None:
    start(speech, tmp_path / "run", training={"mmi_share": 0.9})
    rows = metrics(tmp_path / "run")
    assert rows[0]["dev_wer"] > 0.5
    assert min(row["dev_wer"] for row in rows) < 0.2
    # A text has a share of all texts: never more than they have together.
    assert all(row["loss"] > 0 for row in rows)


def test_it_learns_from_a_teacher_alone(speech: Path, trained: Trained, tmp_path: Path) -> None:
    pupil = {"teacher": str(trained.run), "teacher_share": 1.0}
    model = {"units": 12}
    result = start(speech, tmp_path / "run", model=model, training=pupil, exported=False)
    assert result.dev_wer <= trained.result.dev_wer + 0.1
    assert str(trained.run) in (tmp_path / "run/recipe.toml").read_text()
    assert "| taught by | trained; trained on 0." in open_bundle(tmp_path / "run").card


def test_a_teacher_of_other_steps_or_that_is_not_there_is_refused(
    speech: Path, trained: Trained, tmp_path: Path
) -> None:
    teacher = {"teacher": str(trained.run)}
    with pytest.raises(TrainingError, match=r"expected steps of 0\.03 s.*received 0\.02 s"):
        start(speech, tmp_path / "run", features={"stack": 3}, training=teacher)
    with pytest.raises(BundleError, match="nobody"):
        start(speech, tmp_path / "run", training={"teacher": "nobody"})


def test_the_run_folder_is_complete(trained: Trained, speech: Path) -> None:
    run = trained.run
    names = {path.name for path in run.iterdir()}
    assert names == {
        *("recipe.toml", "model", "metrics.jsonl", "curves.png", "tensorboard"),
        *("excluded.jsonl", "checkpoint.npz"),
    }
    assert {path.name for path in (run / "model").iterdir()} == {
        *("model.keras", "recipe.toml", "vocabulary.json", "card.md"),
        *("model.onnx", "model.int8.onnx", "onnx.json"),
    }
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert load_recipe(run / "recipe.toml") == trained.recipe
    left_out = [json.loads(line) for line in (run / "excluded.jsonl").read_text().splitlines()]
    assert left_out == [{"id": "mute", "side": "train", "reason": "empty text, left out"}]
    assert str(speech / "train.jsonl") in (run / "recipe.toml").read_text()


def test_every_epoch_has_its_figures(trained: Trained) -> None:
    rows = metrics(trained.run)
    keys = {"epoch", "step", "loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate"}
    for row in rows:
        assert row.keys() == keys | {"padding_share"} | TIMING
        assert 0 <= row["padding_share"] < 0.5
        assert row["speed"] > 0
        assert 0 <= row["waiting_share"] <= 1
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    state, _ = load_checkpoint(trained.run / "checkpoint.npz")
    assert (state.epoch, state.batch, state.step) == (9, 0, steps[-1])
    assert state.history == rows


def test_tensorboard_can_read_the_events(trained: Trained) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    seen: dict[str, dict[int, float]] = {}
    for path in (trained.run / "tensorboard").iterdir():
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                figure = value.tensor.float_val[0] if value.HasField("tensor") else None
                seen.setdefault(value.tag, {})[event.step] = (
                    value.simple_value if figure is None else figure
                )
    for tag in ("loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate"):
        expected = {row["epoch"]: row[tag] for row in metrics(trained.run)}
        assert seen[tag] == pytest.approx(expected)


def test_the_model_opens_and_recognises(trained: Trained, speech: Path) -> None:
    rows = [json.loads(line) for line in (speech / "dev.jsonl").read_text().splitlines()]
    said = {row["id"]: row["text"] for row in rows}
    # What training ends with is the export, which may cost a little where it is int8.
    engines: tuple[tuple[Engine, float], ...] = (("keras", 1e-6), ("auto", MAX_WER_LOSS))
    for engine, allowed in engines:
        recognizer = load_recognizer(trained.run, engine=engine)
        heard = {
            row["id"]: recognizer.transcribe(speech / row["audio_filepath"]).text for row in rows
        }
        wer = score(said, heard, text=recognizer.text).wer
        assert wer == pytest.approx(trained.result.dev_wer, abs=allowed)
    assert type(recognizer.network).__name__ == "OnnxNetwork"


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["depth-gated", "attention"])
def test_a_cell_without_an_operator_in_onnx_is_trained_and_left_to_keras(
    cell: str, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables: Any = {"model": {"cell": cell, "num_layers": 2}, "training": {"epochs": 1}}
    result = train(recipe_of(speech, **tables), tmp_path / "run", cache=speech / "cache")
    said = [line for line in capsys.readouterr().err.splitlines() if "not exported" in line]
    assert len(said) == 1
    assert said[0].endswith(f"ONNX has no operator for its cell {cell}; Keras is used")
    recognizer = load_recognizer(result.model_folder)
    assert type(recognizer.network).__name__ == "KerasNetwork"


def test_an_export_that_fails_costs_no_training(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BundleError("no way")

    corpus: Any = SimpleNamespace(dev=())
    monkeypatch.setattr(pipelines.training, "export", refuse)
    pipelines.training._export(RunFolder(trained.run), corpus, TrainingLog())
    assert capsys.readouterr().err == "\nnot exported for fast transcription: no way\n"
    monkeypatch.setattr(pipelines.training, "can_export", lambda: False)
    pipelines.training._export(RunFolder(trained.run), corpus, TrainingLog())
    assert "onnx and ONNX Runtime are not installed" in capsys.readouterr().err


def test_the_card_says_what_the_model_is(trained: Trained) -> None:
    card = open_bundle(trained.run).card
    best = min(
        metrics(trained.run), key=lambda row: (row["dev_wer"], row["dev_loss"], row["epoch"])
    )
    assert f"| dev WER | {100 * best['dev_wer']:.2f} % (greedy decoding) |" in card
    assert f"| epochs | {best['epoch']} of 9, seed 1 |" in card
    assert "| network | 1 × 16 bidirectional lstm, CTC," in card
    assert "(train.jsonl)" in card


def test_the_log_has_a_line_and_samples_an_epoch(trained: Trained) -> None:
    lines = trained.log.splitlines()
    assert sum("dev WER" in line and "time left" in line for line in lines) == 9
    assert sum(line.startswith("    said   ") for line in lines) == 27
    assert sum(line.startswith("    heard  ") for line in lines) == 27
    assert any("train: 1 utterances with empty text" in line for line in lines)
    for row in metrics(trained.run):
        figures = f"{100 * row['dev_wer']:.2f}%"
        assert any(line.split()[:1] == [str(row["epoch"])] and figures in line for line in lines)
    assert sum(line.endswith("best so far") for line in lines) >= 2
    assert f"best dev WER {100 * trained.result.dev_wer:.2f} %" in lines[-1]


def test_quiet_is_quiet(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(speech, tmp_path / "run", training={"epochs": 1})
    assert capsys.readouterr() == ("", "")


# Going on


def assert_same_end(run: Path, expected: Path) -> None:
    """Bit for bit the same weights, optimiser, averages and figures; times aside."""
    state, arrays = load_checkpoint(run / "checkpoint.npz")
    expected_state, expected_arrays = load_checkpoint(expected / "checkpoint.npz")
    assert arrays.keys() == expected_arrays.keys() == {"model", "optimizer", "average"}
    for name, group in expected_arrays.items():
        assert len(arrays[name]) == len(group) > 0
        for array, wanted in zip(arrays[name], group, strict=True):
            np.testing.assert_array_equal(array, wanted)
    for field in ("epoch", "batch", "step", "best_wer", "best_epoch"):
        assert getattr(state, field) == getattr(expected_state, field)
    models = [load_network(folder / "model").get_weights() for folder in (run, expected)]
    for array, wanted in zip(*models, strict=True):
        np.testing.assert_array_equal(array, wanted)
    rows, wanted_rows = metrics(run), metrics(expected)
    assert len(rows) == len(wanted_rows)
    for row, wanted_row in zip(rows, wanted_rows, strict=True):
        # Keras hands over a running mean in float32, from which sums are told to 7 digits.
        assert row.pop("loss") == pytest.approx(wanted_row.pop("loss"), rel=1e-6)
        assert {k: v for k, v in row.items() if k not in TIMING} == {
            k: v for k, v in wanted_row.items() if k not in TIMING
        }


def test_stopped_anywhere_it_ends_the_same(
    speech: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    """Between step and checkpoint, while dev is measured, while the model or figures are written.

    The slow test below does it with kill -9.
    """
    run = tmp_path / "run"
    steps = load_checkpoint(uninterrupted / "checkpoint.npz")[0].step // 3
    assert steps >= 8
    points: list[tuple[Any, str, int]] = [
        (WeightAverage, "update", 5),  # step 5 is done but not written down
        (pipelines.trainer, "evaluate_dev", 1),
        (Trainer, "_save_model", 1),
        (RunFolder, "write_history", 1),
        (WeightAverage, "update", steps - 1),  # in the second epoch
    ]
    stood = []
    for number, point in enumerate(points):
        with stopped_at(*point), pytest.raises(Stop):
            resume(speech, run) if number else start(speech, run, **VARIED)
        state, _ = load_checkpoint(run / "checkpoint.npz")
        stood.append((state.epoch, state.batch))
    assert stood == [(0, 4), (0, steps), (0, steps), (0, steps), (1, steps - 2)]
    resume(speech, run)
    assert_same_end(run, uninterrupted)


def test_augmentation_and_dropout_were_on(speech: Path, uninterrupted: Path) -> None:
    """Else the tests of resuming would show little."""
    recipe = load_recipe(uninterrupted / "recipe.toml")
    assert (recipe.model.dropout, recipe.training.average) == (0.3, 0.9)
    assert len(recipe.augment.speeds) == 3
    _, arrays = load_checkpoint(uninterrupted / "checkpoint.npz")
    weights = [array for array in arrays["model"] if array.dtype == np.float32]
    assert any(
        not np.array_equal(average, weight)
        for average, weight in zip(arrays["average"], weights, strict=False)
    )
    seeds = [array for array in arrays["model"] if array.dtype != np.float32]
    assert any(int(seed[-1]) > 0 for seed in seeds)  # dropout's counters have moved on
    assert (speech / "cache").is_dir()


def test_a_finished_run_stays_as_it_is(trained: Trained, speech: Path) -> None:
    before = {path: path.read_bytes() for path in trained.run.rglob("*") if path.is_file()}
    assert resume(speech, trained.run) == trained.result
    after = {path: path.read_bytes() for path in trained.run.rglob("*") if path.is_file()}
    assert after == before


def test_leftovers_of_a_killed_writer_are_swept(trained: Trained, speech: Path) -> None:
    leftovers = [
        trained.run / ".checkpoint.123-456.npz",
        trained.run / "model" / ".model.123-456.keras",
    ]
    for path in leftovers:
        path.write_bytes(b"half of it")
    resume(speech, trained.run)
    assert not any(path.exists() for path in leftovers)


def test_other_speech_than_the_runs_is_refused(tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=6, num_dev=2)
    start(speech, tmp_path / "run", training={"epochs": 1})
    make_corpus(speech, "ac", num_train=6, num_dev=2)
    with pytest.raises(TrainingError, match="expected the speech this run was begun with"):
        resume(speech, tmp_path / "run")


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """A run folder that may be damaged."""
    run = tmp_path / "copied"
    run.mkdir()
    for name in ("recipe.toml", "checkpoint.npz"):
        (run / name).write_bytes((trained.run / name).read_bytes())
    return run


def test_a_broken_checkpoint_is_refused(copied: Path, speech: Path) -> None:
    path = copied / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(TrainingError, match=r"checkpoint\.npz: expected a checkpoint"):
        resume(speech, copied)


def test_a_checkpoint_of_another_network_is_refused(copied: Path, speech: Path) -> None:
    path = copied / "recipe.toml"
    path.write_text(path.read_text().replace("units = 16", "units = 12"))
    with pytest.raises(TrainingError, match="belongs to another recipe"):
        resume(speech, copied)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_the_same(
    speech: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    run = tmp_path / "run"
    recipe = uninterrupted / "recipe.toml"
    dice = random.Random(0)
    words = [str(recipe), "-o", str(run)]
    stood = []
    for _ in range(4):
        process = child(words, speech)
        try:
            wait_for_checkpoints(run / "checkpoint.npz", dice.randint(2, 8), process)
            time.sleep(dice.uniform(0, 0.02))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        state, _ = load_checkpoint(run / "checkpoint.npz")
        stood.append((state.epoch, state.batch))
        words = ["--resume", str(run)]
    assert stood == sorted(set(stood)), "each was killed further on than the one before"
    assert sum(batch > 0 for _, batch in stood) >= 2, "most were killed in the middle of an epoch"
    process = child(words, speech)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert_same_end(run, uninterrupted)


def child(words: list[str], speech: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipelines.cli", "train", *words, "--quiet"]
    command += ["--cache", str(speech / "cache")]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_checkpoints(path: Path, count: int, process: "subprocess.Popen[str]") -> None:
    """Returns once a checkpoint has been written so many times since the call."""
    seen = [version(path)]
    end = time.monotonic() + PATIENCE_S
    while len(seen) <= count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        now = version(path)
        if now != seen[-1]:
            seen.append(now)
        time.sleep(0.001)


def version(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


# Stopping


def spoil(monkeypatch: pytest.MonkeyPatch, key: str, outcome: Any) -> None:
    """Makes the features of one utterance infinite, or raises in their place."""
    load = FeatureStore.load

    def spoilt(
        store: FeatureStore, utterance: Utterance, *, speed: float = 1.0
    ) -> npt.NDArray[np.float32]:
        features = np.array(load(store, utterance, speed=speed))
        if utterance.id == key:
            if isinstance(outcome, Exception):
                raise outcome
            features[3] = outcome
        return features

    monkeypatch.setattr(FeatureStore, "load", spoilt)


def test_a_loss_that_is_not_finite_stops_with_the_batchs_ids(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", lambda trainer: batches.extend(trainer.plans[0]))
        batches: list[Any] = []
        with pytest.raises(TrainingError, match="no epoch was finished"):
            start(speech, run)
    place = max(1, len(batches) - 2)
    expected = {f"train{draw.index}" for draw in batches[place]}
    spoil(monkeypatch, min(expected), np.inf)
    with pytest.raises(TrainingError) as caught:
        start(speech, run, overwrite=True)
    message = str(caught.value)
    assert f"the loss became nan in epoch 1, batch {place + 1}, which holds" in message
    named = message.split("which holds ")[1].split(";")[0].split(", ")
    assert set(named) == expected
    assert len(named) == len(batches[place])
    state, arrays = load_checkpoint(run / "checkpoint.npz")  # the one before still is there
    assert (state.epoch, state.batch) == (0, place)
    assert all(np.isfinite(array).all() for array in arrays["model"])


def test_infinite_weights_are_never_written_down(speech: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(
        TrainingError, match=r"weights became infinite in epoch 1, batch 1, .*train"
    ):
        start(speech, run, training={"learning_rate": 1e20, "weight_decay": 1e30})
    state, arrays = load_checkpoint(run / "checkpoint.npz")
    assert state.step == 0
    assert all(np.isfinite(array).all() for array in arrays["model"])


def test_a_recording_that_goes_away_is_named_without_a_traceback(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "train5", AudioError("train5.wav: No such file"))
    with pytest.raises(AudioError, match=r"^train5\.wav: No such file$") as caught:
        start(speech, tmp_path / "run")
    assert caught.value.__suppress_context__


def test_it_stops_when_patience_is_over_and_keeps_the_best(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wers = iter([0.6, 0.4, 0.4, 0.5, 0.1])
    evaluated = []

    def scripted(trainer: Any, *_: Any) -> DevResult:
        evaluated.append(trainer.network.get_weights())
        figures: Any = SimpleNamespace(wer=next(wers), cer=0.5)
        return DevResult(loss=1.0, score=figures, samples=())

    monkeypatch.setattr(pipelines.trainer, "evaluate_dev", scripted)
    training = {"epochs": 5, "patience": 2, "average": 0.5}
    result = start(speech, tmp_path / "run", training=training, batches={"duration_s": 3.0})
    assert result.epochs == 4
    assert result.dev_wer == 0.4
    kept = load_network(tmp_path / "run" / "model").get_weights()
    for array, second, last in zip(kept, evaluated[1], evaluated[3], strict=True):
        np.testing.assert_array_equal(array, second)
        assert not np.array_equal(array, last)
    assert "| epochs | 2 of 5" in open_bundle(tmp_path / "run").card
    # What was measured and kept is the average; what training goes on with is not.
    _, arrays = load_checkpoint(tmp_path / "run" / "checkpoint.npz")
    assert not np.array_equal(arrays["model"][0], evaluated[3][0])
    assert np.array_equal(arrays["average"][0], evaluated[3][0])


def test_of_epochs_with_the_same_wer_the_lower_loss_is_kept(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small dev set of few words is soon all right, or as wrong as it stays."""
    figures = iter([(0.4, 0.9), (0.4, 0.5), (0.4, 0.7), (0.5, 0.1)])
    evaluated = []

    def scripted(trainer: Any, *_: Any) -> DevResult:
        evaluated.append(trainer.network.get_weights())
        wer, loss = next(figures)
        counted: Any = SimpleNamespace(wer=wer, cer=0.5)
        return DevResult(loss=loss, score=counted, samples=())

    monkeypatch.setattr(pipelines.trainer, "evaluate_dev", scripted)
    training = {"epochs": 4, "patience": 3}
    start(speech, tmp_path / "run", training=training, batches={"duration_s": 3.0})
    kept = load_network(tmp_path / "run" / "model").get_weights()
    for array, second in zip(kept, evaluated[1], strict=True):
        np.testing.assert_array_equal(array, second)


def test_dev_speech_that_no_alignment_fits_is_scored_all_the_same(tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=6, num_dev=2)
    lines = [
        {"id": "long", "audio_filepath": "dev0.wav", "text": "ab" * 200},
        {"id": "mute", "audio_filepath": "dev1.wav", "text": ""},
        {"id": "foreign", "audio_filepath": "dev1.wav", "text": "a ø b"},
    ]
    with (speech / "dev.jsonl").open("a") as file:
        file.writelines("\n" + json.dumps(line) for line in lines)
    start(speech, tmp_path / "run", training={"epochs": 1})
    (row,) = metrics(tmp_path / "run")
    assert 0 < row["dev_loss"] < 1e3
    assert row["dev_cer"] > 0.9  # 400 of its characters can only be deletions


# Beginning from a model


def beginning(speech: Path, run: Path, base: Path, **tables: Any) -> Trainer:
    """The trainer of a run, before its first step."""
    caught: list[Trainer] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train", lambda trainer: caught.append(trainer))
        with pytest.raises(TrainingError, match="no epoch was finished"):
            start(speech, run, base=base, **tables)
    return caught[0]


def layers(model: Any) -> dict[str, list[npt.NDArray[np.float32]]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def test_the_same_alphabet_is_kept_with_all_weights(trained: Trained, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "b", num_train=4, num_dev=2)
    tables = {"features": {"n_mfcc": 20}, "model": {"units": 99, "dropout": 0.4}}
    trainer = beginning(speech, tmp_path / "run", trained.run, **tables)
    assert trainer.corpus.vocabulary.tokens == ("<blank>", " ", "a", "b")
    expected = layers(load_network(trained.run / "model"))
    received = layers(trainer.network)
    assert received.keys() == expected.keys() >= {"bidirectional_0", "logits"}
    for name, arrays in expected.items():
        for array, wanted in zip(received[name], arrays, strict=True):
            np.testing.assert_array_equal(array, wanted)
    assert trainer.recipe.features == trained.recipe.features
    assert trainer.recipe.model == replace(trained.recipe.model, dropout=0.4)


def test_a_prior_alone_may_be_added_to_the_features(trained: Trained, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=4, num_dev=2)
    asked = {"n_mfcc": 20, "prior_frames": 30.0}
    run = tmp_path / "run"
    features = beginning(speech, run, trained.run, features=asked).recipe.features
    assert len(features.prior_mean) == len(features.prior_deviation) == 13
    bare = replace(features, prior_frames=0.0, prior_mean=(), prior_deviation=())
    assert bare == trained.recipe.features
    again = beginning(speech, tmp_path / "again", trained.run, features=asked).recipe.features
    assert again == features


def test_a_new_alphabet_replaces_the_output_layer_alone(trained: Trained, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "bd", num_train=8, num_dev=2)
    trainer = beginning(speech, tmp_path / "run", trained.run)
    assert trainer.corpus.vocabulary.tokens == ("<blank>", " ", "b", "d")
    expected = layers(load_network(trained.run / "model"))
    received = layers(trainer.network)
    old_kernel, old_bias = expected.pop("logits")
    kernel, bias = received.pop("logits")
    assert received.keys() == expected.keys()
    for name, arrays in expected.items():
        for array, wanted in zip(received[name], arrays, strict=True):
            np.testing.assert_array_equal(array, wanted)
    for new, old in ((0, 0), (1, 1), (2, 3)):  # blank, space and b keep what they were
        np.testing.assert_array_equal(kernel[:, new], old_kernel[:, old])
        assert bias[new] == old_bias[old]
    assert not any(np.array_equal(kernel[:, 3], old_kernel[:, old]) for old in range(4))


def sounding(folder: Path, lines: str) -> dict[str, Any]:
    path = folder / f"{len(list(folder.iterdir()))}.tsv"
    path.write_text(lines)
    return {"vocabulary": {"kind": "sounds", "pronunciations": str(path)}}


def test_letters_give_way_to_sounds_and_sounds_are_kept(trained: Trained, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "a", num_train=8, num_dev=2)
    words = "a\tb\naa\tb b\naaa\tb b b\n"
    tables = sounding(tmp_path, words) | {"training": {"epochs": 1}}
    start(speech, tmp_path / "first", base=trained.run, exported=False, **tables)
    first = open_bundle(tmp_path / "first").vocabulary
    assert (first.kind, first.tokens) == ("sounds", ("<blank>", " ", "b"))

    more = sounding(tmp_path, "aa\tb\n") | {
        "decoding": {"method": "beam", "words": ["aa", "aaa"]},
    }
    kept = beginning(speech, tmp_path / "second", tmp_path / "first", **more).corpus.vocabulary
    assert kept.tokens == first.tokens
    assert kept.decode(kept.encode("a")) == "aa"  # which the decoding's words have, unlike a
    assert kept.spellings("aaa") == [[2, 2, 2]]

    other = sounding(tmp_path, words.replace("b", "a"))
    anew = beginning(speech, tmp_path / "third", tmp_path / "first", **other)
    assert anew.corpus.vocabulary.tokens == ("<blank>", " ", "a")
    again = beginning(speech, tmp_path / "fourth", tmp_path / "first").corpus.vocabulary
    assert again == first


def test_begun_from_a_model_and_stopped_it_goes_on_from_it(
    trained: Trained, tmp_path: Path
) -> None:
    speech = make_corpus(tmp_path / "speech", "b", num_train=4, num_dev=2)
    run = tmp_path / "run"
    beginning(speech, run, trained.run)
    caught: list[Trainer] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train", lambda trainer: caught.append(trainer))
        with pytest.raises(TrainingError, match="no epoch was finished"):
            resume(speech, run)
    assert caught[0].corpus.vocabulary.tokens == ("<blank>", " ", "a", "b")
    for array, wanted in zip(
        caught[0].network.get_weights(),
        load_network(trained.run / "model").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(array, wanted)


def test_a_tuned_model_is_better_from_the_start(trained: Trained, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=6, num_dev=4)
    training = {"epochs": 1, "learning_rate": 1e-4}
    tuned = start(speech, tmp_path / "tuned", base=trained.run, training=training)
    afresh = start(speech, tmp_path / "afresh", training=training)
    assert tuned.dev_wer < 0.3 < afresh.dev_wer


@pytest.fixture
def knowing(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the trained run whose model has a language model, and settings to use it."""
    copied = tmp_path / "knowing"
    shutil.copytree(trained.run, copied)
    texts = tmp_path / "texts.txt"
    texts.write_text("ab ba\nab ab ba\nba a b\n" * 9, encoding="utf-8")
    assert main(["lm", str(texts), "--order", "2", "-o", str(copied / "model/lm.ngram")]) == 0
    bundle = open_bundle(copied)
    decoding = {"method": "beam", "beam_width": 6, "alpha": 0.3, "beta": 0.1}
    write_settings(
        bundle.folder,
        recipe=dict(bundle.recipe) | {"decoding": decoding, "confidence": {"slope": 2.0}},
        vocabulary=bundle.vocabulary,
        card=bundle.card,
    )
    return copied


def test_a_language_model_goes_along_and_is_there_when_resumed(
    knowing: Path, tmp_path: Path
) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=6, num_dev=4)
    training = {"epochs": 2, "learning_rate": 1e-4}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    (knowing / "model/lm.lstm").write_bytes(b"kept, not asked")
    start(speech, whole, base=knowing, training=training)
    expected, source = open_bundle(whole), open_bundle(knowing)
    assert (whole / "model/lm.lstm").read_bytes() == b"kept, not asked"
    assert expected.decoding == source.decoding
    assert expected.confidence == source.confidence
    assert expected.language_model_file is not None
    assert expected.language_model_file.read_bytes() == (knowing / "model/lm.ngram").read_bytes()
    with stopped_at(Trainer, "_finish_epoch", 2), pytest.raises(Stop):
        start(speech, stopped, base=knowing, training=training)
    resume(speech, stopped)
    for row, wanted in zip(metrics(stopped), metrics(whole), strict=True):
        assert (row["dev_wer"], row["dev_loss"]) == (wanted["dev_wer"], wanted["dev_loss"])
    assert open_bundle(stopped).decoding == source.decoding
    assert (stopped / "model/lm.ngram").read_bytes() == expected.language_model_file.read_bytes()
    assert (stopped / "model/lm.lstm").read_bytes() == b"kept, not asked"


def test_a_recipe_may_have_a_language_model_of_its_own(speech: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("ab ba\nab ab ba\nba a b\n" * 9, encoding="utf-8")
    tables = {
        "language_model": {"texts": [str(texts)], "order": 2, "prune": [0], "bits": 8},
        "decoding": {"method": "beam", "beam_width": 6, "alpha": 0.3, "beta": 0.1},
        "training": {"epochs": 2},
    }
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    start(speech, whole, **tables)
    made = tmp_path / "lm.ngram"
    words = ("--order", "2", "--prune", "0", "--bits", "8", "-o", str(made))
    assert main(["lm", str(texts), *words]) == 0
    assert (whole / "model/lm.ngram").read_bytes() == made.read_bytes()
    bundle = open_bundle(whole)
    assert bundle.decoding.alpha == 0.3
    texts.unlink()
    with pytest.raises(LanguageModelError, match=r"texts\.txt: expected the texts of"):
        start(speech, stopped, **tables)
    texts.write_bytes(b"\xff")
    with pytest.raises(LanguageModelError, match=r"texts\.txt, line 1: expected UTF-8"):
        start(speech, stopped, **tables)
    texts.write_text("ab ba\nab ab ba\nba a b\n" * 9, encoding="utf-8")
    with stopped_at(Trainer, "_finish_epoch", 2), pytest.raises(Stop):
        start(speech, stopped, **tables)
    resume(speech, stopped)
    for row, wanted in zip(metrics(stopped), metrics(whole), strict=True):
        assert (row["dev_wer"], row["dev_loss"]) == (wanted["dev_wer"], wanted["dev_loss"])


def test_a_language_model_that_nothing_would_ask_is_refused() -> None:
    tables: dict[str, Any] = {
        "data": {"train": ["t"], "dev": ["d"]},
        "language_model": {"texts": ["a.txt"]},
    }
    for decoding in ({}, {"method": "beam", "words": ["ab"]}):
        with pytest.raises(OptionsError, match=r"which alone asks \[language_model\]"):
            read_recipe(tables | {"decoding": decoding}, where="test")
    read_recipe(tables | {"decoding": {"method": "beam"}}, where="test")


def test_of_itself_a_run_keeps_the_language_model(knowing: Path, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=6, num_dev=4)
    training = {"epochs": 1}
    words = (knowing / "model/lm.ngram").read_bytes()
    start(speech, knowing, base=knowing, overwrite=True, training=training)
    assert (knowing / "model/lm.ngram").read_bytes() == words
    start(speech, knowing, overwrite=True, training=training)
    assert not list(knowing.rglob("lm.ngram"))


def test_another_alphabet_or_decoding_leaves_the_language_model(
    knowing: Path, tmp_path: Path
) -> None:
    spanish = make_corpus(tmp_path / "speech", "bd", num_train=8, num_dev=2)
    trainer = beginning(spanish, tmp_path / "run", knowing)
    assert trainer.recipe.decoding.method == "greedy"
    speech = make_corpus(tmp_path / "more", "ab", num_train=4, num_dev=2)
    chosen = {"method": "beam", "beam_width": 3}
    trainer = beginning(speech, tmp_path / "chosen", knowing, decoding=chosen)
    assert trainer.recipe.decoding.beam_width == 3
    for run in ("run", "chosen"):
        assert not list((tmp_path / run).rglob("lm.ngram"))


def test_dev_is_decoded_as_the_recognizer_will(trained: Trained, tmp_path: Path) -> None:
    speech = make_corpus(tmp_path / "speech", "ab", num_train=4, num_dev=3)
    tables = {"decoding": {"method": "beam", "words": ["a", "bab"]}}
    trainer = beginning(speech, tmp_path / "run", trained.run, **tables)
    result = evaluate_dev(
        trainer.trainer, trainer.corpus, trainer.store, trainer.recipe, trainer.decoder
    )
    assert len(result.samples) == 3
    assert {word for *_, text in result.samples for word in text.split()} == {"a", "bab"}


def test_a_word_outside_the_alphabet_is_refused_before_the_run(
    speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(VocabularyError, match=r"received 'zebra'$"):
        start(speech, tmp_path / "run", decoding={"method": "beam", "words": ["ab", "zebra"]})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "value"), [("num_band_masks", 1), ("max_warp", 0.1)])
def test_bands_are_changed_only_where_their_share_of_coefficients_is_known(
    speech: Path, tmp_path: Path, name: str, value: float
) -> None:
    with pytest.raises(OptionsError, match=rf"prior_frames above 0 with \[augment\] {name}"):
        start(speech, tmp_path / "run", augment={name: value})
    assert not (tmp_path / "run").exists()


# Folders


def test_an_existing_run_is_not_overwritten_unasked(trained: Trained, speech: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.run.rglob("*")}
    with pytest.raises(TrainingError, match=r"there is a run here already.*--resume.*--overwrite"):
        start(speech, trained.run)
    assert {path: path.stat().st_mtime_ns for path in trained.run.rglob("*")} == before


def test_overwriting_leaves_nothing_of_the_old_run(speech: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    start(speech, run, training={"epochs": 2})
    events = set((run / "tensorboard").iterdir())
    (run / "notes.txt").write_text("the user's own")
    with stopped_at(pipelines.trainer, "evaluate_dev", 1), pytest.raises(Stop):
        start(speech, run, training={"epochs": 1}, overwrite=True)
    assert {path.name for path in run.iterdir()} == {
        *("recipe.toml", "checkpoint.npz", "excluded.jsonl", "model", "notes.txt"),
    }
    assert [path.name for path in (run / "model").iterdir()] == ["vocabulary.json"]
    resume(speech, run)
    assert len(metrics(run)) == 1
    assert not events & set((run / "tensorboard").iterdir())


def test_a_run_that_could_not_start_does_not_stand_in_the_way(speech: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ManifestError, match=r"nonesuch\.jsonl"):
        start(speech, run, data={"train": [str(speech / "nonesuch.jsonl")]})
    assert not (run / "recipe.toml").exists()
    start(speech, run, training={"epochs": 1})


# The command line


@pytest.fixture
def recipe_file(trained: Trained, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_bytes((trained.run / "recipe.toml").read_bytes())
    return path


def test_the_command_trains_and_prints_the_models_folder(
    recipe_file: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["train", str(recipe_file), "-o", str(run), "--set", "training.epochs=1"]
    assert main([*words, "--cache", str(speech / "cache"), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{run / 'model'}\n"
    with (run / "recipe.toml").open("rb") as file:
        assert tomllib.load(file)["training"]["epochs"] == 1
    assert main(["train", "--resume", str(run), "--cache", str(speech / "cache"), "--quiet"]) == 0
    assert capsys.readouterr().out == f"{run / 'model'}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o OUT", "expected a recipe, or --resume RUN"),
        ("nonesuch -o OUT", "no recipe 'nonesuch'"),
        ("RECIPE -o OUT --set training.epoch=3", "unknown key epoch"),
        ("RECIPE -o OUT --set model.units=0", "units: expected at least 1"),
        ('RECIPE -o OUT --set data.train=["gone.jsonl"]', "gone.jsonl"),
        ("RECIPE -o RUN", "there is a run here already"),
        ("RECIPE -o OUT --from nonesuch", "no model 'nonesuch'"),
        ("--resume OUT", "expected a run's folder with recipe.toml"),
        ("--resume FOLDER", "expected a run's folder with checkpoint.npz"),
        ("RECIPE --resume RUN", "cannot take recipe"),
        ("--resume RUN -o OUT", "cannot take -o"),
        ("--resume RUN --from RUN", "cannot take --from"),
        ("--resume RUN --set training.epochs=99", "cannot take --set"),
        ("--resume RUN --overwrite", "cannot take --overwrite"),
        ("--resume RUN --manifest-root OUT", "cannot take --manifest-root"),
        ("--resume RUN --stage last", "cannot take --stage"),
        ("RECIPE -o OUT --stage last", "no stage 'last': expected one of: "),
    ],
)
def test_a_mistake_is_told_in_one_line(
    trained: Trained,
    recipe_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: str,
    message: str,
) -> None:
    places = {
        "RECIPE": recipe_file,
        "RUN": trained.run,
        "OUT": tmp_path / "out",
        "FOLDER": recipe_file.parent,
    }
    arguments = [str(places.get(word, word)) for word in words.split()]
    senseless = "cannot take" in message or "expected a recipe, or" in message
    assert main(["train", *arguments, "--quiet"]) == (2 if senseless else 1)
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("asr: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out" / "recipe.toml").exists()


@pytest.fixture(autouse=True)
def _no_default_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_CACHE", str(tmp_path / "default-cache"))
