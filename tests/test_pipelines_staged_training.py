"""Recipes of several stages: each goes on from the one before, a stopped run where it was."""

import json
import os
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from stopping import Stop, stopped_at

from asr.bundle import open_bundle
from asr.errors import ManifestError, OptionsError, TrainingError
from pipelines.card_table import stated
from pipelines.checkpoint import load_checkpoint
from pipelines.cli import main
from pipelines.network import load_network
from pipelines.recipe_file import load_recipe, load_stages
from pipelines.run_folder import RunFolder
from pipelines.staged_training import resume_stages, train_stages
from pipelines.trainer import Trainer
from pipelines.training import train

pytestmark = pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] != "tensorflow", reason="one backend is enough for the pipeline"
)

RECIPE = """
[data]
train = ["train.jsonl"]
dev = ["dev.jsonl"]

[features]
stack = 2

[model]
units = 6
num_layers = 1
dropout = 0.0

[training]
epochs = 2
learning_rate = 0.01
warmup_steps = 2
checkpoint_interval_s = 0.0

[[stages]]
name = "first"
training.epochs = 3
training.seed = 5

[[stages]]
name = "second"
model.dropout = 0.1
batches.duration_s = 5.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    for side, count in (("train", 12), ("dev", 3)):
        lines = []
        for number in range(count):
            name = f"{side}{number}.wav"
            soundfile.write(folder / name, rng.normal(0, 0.1, 12000), 16000)
            text = "".join(rng.choice(list("ab "), 5)).strip() or "a"
            lines.append(json.dumps({"id": name, "audio_filepath": name, "text": text}))
        (folder / f"{side}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "staged.toml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    run = folder / "whole"
    train_stages(load_stages(folder / "staged.toml"), run, cache=folder / "cache", quiet=True)
    return run


def weights(run: Path) -> list[Any]:
    return list(load_network(run / "model").get_weights())


def assert_same(run: Path, expected: Path) -> None:
    for array, wanted in zip(weights(run), weights(expected), strict=True):
        np.testing.assert_allclose(array, wanted, atol=1e-6)
    states = [load_checkpoint(one / "checkpoint.npz")[0] for one in (run, expected)]
    assert states[0].step == states[1].step


def test_a_stage_has_the_recipes_settings_but_for_its_own(folder: Path) -> None:
    stages = load_stages(folder / "staged.toml", settings=["training.learning_rate=0.5"])
    assert [stage.name for stage in stages] == ["first", "second", "staged"]
    recipes = [stage.recipe for stage in stages]
    assert [recipe.training.epochs for recipe in recipes] == [3, 2, 2]
    assert [recipe.training.seed for recipe in recipes] == [5, 1, 1]
    assert [recipe.model.dropout for recipe in recipes] == [0.0, 0.1, 0.0]
    assert {recipe.model.units for recipe in recipes} == {6}
    assert {recipe.training.learning_rate for recipe in recipes} == {0.5}
    assert recipes[-1] == load_recipe(
        folder / "staged.toml", settings=["training.learning_rate=0.5"]
    )
    assert all(recipe.data.train == (str(folder / "train.jsonl"),) for recipe in recipes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('stages = "first"', "expected [[stages]], a table each"),
        ("[[stages]]\ntraining.epochs = 1", "a name of its own"),
        ('[[stages]]\nname = "../up"', "of a-z, 0-9, - and _, received '../up'"),
        ('[[stages]]\nname = "a"\n[[stages]]\nname = "a"', "a name of its own"),
        (
            '[[stages]]\nname = "a"\ntraining.epoch = 1',
            "[[stages]] a [training]: unknown key epoch",
        ),
        ('[[stages]]\nname = "a"\nepochs = 1', "[[stages]] a: unknown table epochs"),
    ],
)
def test_stages_that_make_no_sense_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'{text}\n[data]\ntrain = ["t"]\ndev = ["d"]\n', encoding="utf-8")
    with pytest.raises(OptionsError) as caught:
        load_stages(path)
    assert reason in str(caught.value)


def test_each_stage_goes_on_from_the_one_before(folder: Path, whole: Path, tmp_path: Path) -> None:
    """The same by hand: a command for each."""
    paths = [tmp_path / "1", tmp_path / "2", tmp_path / "3"]
    for place, stage in enumerate(load_stages(folder / "staged.toml")):
        train(
            stage.recipe,
            paths[place],
            base=paths[place - 1] if place else None,
            cache=folder / "cache",
            quiet=True,
        )
    assert_same(whole, paths[2])
    assert_same(whole / "stages" / "second", paths[1])
    assert_same(whole / "stages" / "first", paths[0])
    assert (whole / "model" / "model.onnx").is_file()
    assert not list((whole / "stages").rglob("*.onnx"))  # nobody transcribes with these
    assert_tells_its_stages(whole)


def assert_tells_its_stages(run: Path) -> None:
    begun = stated(open_bundle(run).card, "begun from")
    assert begun.startswith("second; trained on 0.00 h of speech (train.jsonl); ")
    assert "begun from first; trained on" in begun
    assert stated(open_bundle(run / "stages" / "first").card, "begun from") == ""


def test_stopped_anywhere_it_goes_on_with_the_stage_it_was_in(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    run, cache = tmp_path / "run", folder / "cache"
    stages = load_stages(folder / "staged.toml")
    points: list[tuple[Any, str, int, list[bool]]] = [
        (RunFolder, "create", 1, [False, False, False]),  # the plan is written, and no more
        (Trainer, "_finish_epoch", 2, [True, False, False]),  # within the first stage
        (RunFolder, "create", 1, [True, False, False]),  # the first is over, the next not begun
        (Trainer, "_finish_epoch", 1, [True, True, False]),
        (Trainer, "_finish_epoch", 3, [True, True, True]),  # the second's two, one of the last
    ]
    for number, (where, name, times, begun) in enumerate(points):
        if number:
            go = partial(resume_stages, run, cache=cache, quiet=True)
        else:
            go = partial(train_stages, stages, run, cache=cache, quiet=True)
        with stopped_at(where, name, times), pytest.raises(Stop):
            go()
        folders = [run / "stages" / "first", run / "stages" / "second", run]
        assert [(one / "recipe.toml").is_file() for one in folders] == begun
    assert main(["train", "--resume", str(run), "--cache", str(cache), "--quiet"]) == 0
    assert_same(run, whole)
    assert_same(run / "stages" / "second", whole / "stages" / "second")
    assert_tells_its_stages(run)


def test_a_run_of_stages_is_not_overwritten_unasked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, cache = tmp_path / "run", folder / "cache"
    stages = load_stages(folder / "staged.toml")
    with stopped_at(Trainer, "_finish_epoch", 1), pytest.raises(Stop):
        train_stages(stages, run, cache=cache, quiet=True)
    with pytest.raises(TrainingError, match="there is a run here already"):
        train_stages(stages, run, cache=cache, quiet=True)
    alone = folder / "alone.toml"
    alone.write_text(RECIPE[: RECIPE.index("[[stages]]")], encoding="utf-8")
    again = ["train", str(alone), "-o", str(run), "--cache", str(cache), "--quiet"]
    assert main(again) == 1
    assert "there is a run here already" in capsys.readouterr().err
    assert main([*again, "--overwrite"]) == 0
    assert not (run / "stages.toml").exists()
    assert not (run / "stages").exists()
    with stopped_at(Trainer, "_finish_epoch", 1), pytest.raises(Stop):
        train_stages(stages, run, cache=cache, quiet=True, overwrite=True)
    assert not (run / "recipe.toml").exists()  # or --resume would go on with the run of before


def test_stages_that_could_not_start_do_not_stand_in_the_way(folder: Path, tmp_path: Path) -> None:
    run, cache = tmp_path / "run", folder / "cache"
    gone = load_stages(folder / "staged.toml", settings=['data.train=["gone.jsonl"]'])
    with pytest.raises(ManifestError, match=r"gone\.jsonl"):
        train_stages(gone, run, cache=cache, quiet=True)
    train_stages(load_stages(folder / "staged.toml"), run, cache=cache, quiet=True)
    assert (run / "model" / "model.keras").is_file()


@pytest.mark.parametrize("text", ["not toml", "a = 1", "stages = [1]", "stages = []"])
def test_a_broken_plan_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "stages.toml").write_text(text, encoding="utf-8")
    with pytest.raises((TrainingError, OptionsError), match=r"stages\.toml"):
        resume_stages(tmp_path, quiet=True)


def test_without_a_folder_it_is_called_as_the_recipe(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", str(folder / "staged.toml"), "--set", "training.epochs=1"]
    assert main([*words, "--cache", str(folder / "cache"), "--quiet"]) == 0
    alone = [*words, "--stage", "second", "-o", "alone", "--cache", str(folder / "cache")]
    assert main([*alone, "--quiet"]) == 0
    assert open_bundle(tmp_path / "alone").recipe["model"]["dropout"] == 0.1
    assert not (tmp_path / "alone/stages.toml").exists()
    with (tmp_path / "runs/staged/stages.toml").open("rb") as file:
        plan = tomllib.load(file)
    assert [stage["name"] for stage in plan["stages"]] == ["first", "second", "staged"]
    assert [stage["training"]["epochs"] for stage in plan["stages"]] == [1, 1, 1]
    assert open_bundle(tmp_path / "runs/staged").recipe["training"]["epochs"] == 1
