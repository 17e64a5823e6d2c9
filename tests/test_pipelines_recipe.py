"""Recipes: read as a whole, refused as a whole, and the same again when written and read."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding import DecodingOptions
from asr.errors import OptionsError
from asr.features import FeatureOptions
from asr.text import TextOptions
from models.bilstm import CELLS, BiLSTMOptions
from pipelines.recipe import (
    AugmentOptions,
    BatchOptions,
    DataOptions,
    LanguageModelOptions,
    Recipe,
    TrainingOptions,
    VocabularyOptions,
    read_recipe,
)
from pipelines.recipe_file import SHIPPED, load_recipe

DATA = {"train": ["train.jsonl"], "dev": ["dev.jsonl"]}
SMALLEST = '[data]\ntrain = ["train.jsonl"]\ndev = ["sub/dev.jsonl", "/elsewhere/dev.jsonl"]\n'
LANGUAGE_MODEL = '[language_model]\ntexts = ["books.txt"]\n[decoding]\nmethod = "beam"\n'

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
counts = st.integers(1, 10_000)
shares = st.floats(0, 1)
positive = st.floats(1e-9, 1e6)

# A language model is for the beam search alone.
searches = st.one_of(
    st.builds(
        lambda method, lm: {"decoding": DecodingOptions(method=method), "language_model": lm},
        st.sampled_from(["greedy", "beam"]),
        st.just(LanguageModelOptions()),
    ),
    st.builds(
        lambda lm: {"decoding": DecodingOptions(method="beam"), "language_model": lm},
        st.builds(
            LanguageModelOptions,
            texts=st.lists(names).map(tuple),
            order=st.integers(2, 4),
            prune=st.none() | st.just((0, 3)),
            bits=st.none() | st.integers(4, 16),
        ),
    ),
)
recipes = st.builds(
    lambda search, **tables: Recipe(**search, **tables),
    searches,
    data=st.builds(
        DataOptions,
        train=st.lists(names, min_size=1).map(tuple),
        dev=st.lists(names, min_size=1).map(tuple),
        min_duration_s=st.floats(0, 1),
        max_duration_s=st.floats(2, 1000),
    ),
    features=st.builds(
        FeatureOptions,
        n_mfcc=st.integers(1, 40),
        fmax=st.none() | st.floats(4000, 8000),
        deltas=st.sampled_from([0, 1, 2]),
        normalise=st.sampled_from(["mean-variance", "mean"]),
        prior_frames=st.floats(0, 500),
        stack=st.integers(1, 5),
    ),
    text=st.builds(TextOptions, language=st.sampled_from(["en", "pt-BR", "tr"])),
    vocabulary=st.builds(
        VocabularyOptions, characters=st.none() | names, size=st.integers(2, 9999)
    ),
    model=st.builds(
        BiLSTMOptions,
        cell=st.sampled_from(["lstm", "gru", "rnn"]),
        units=counts,
        num_layers=counts,
        dropout=st.floats(0, 0.99),
        layer_norm=st.booleans(),
    ),
    batches=st.builds(BatchOptions, duration_s=positive, shuffle=st.floats(0, 0.5)),
    augment=st.builds(
        AugmentOptions,
        speeds=st.lists(st.floats(0.5, 2), min_size=1).map(tuple),
        num_time_masks=st.integers(0, 10),
        max_time_mask_share=shares,
        noise=st.none() | names,
        min_snr_db=st.floats(-20, 0),
        max_snr_db=st.floats(0, 60),
    ),
    training=st.builds(
        TrainingOptions,
        seed=st.integers(0, 2**63 - 1),
        epochs=counts,
        optimizer=st.sampled_from(["adam", "adamw"]),
        learning_rate=positive,
        schedule=st.sampled_from(["constant", "linear", "cosine"]),
        final_learning_rate=shares,
        average=st.floats(0, 0.9999),
    ),
)


def problem(tables: dict[str, Any]) -> str:
    with pytest.raises(OptionsError) as caught:
        read_recipe(tables, where="r.toml")
    return str(caught.value)


@given(recipe=recipes)
def test_written_as_toml_and_read_again_it_is_the_same(recipe: Recipe) -> None:
    text = tomli_w.dumps(recipe.to_table())
    assert read_recipe(tomllib.loads(text), where="again") == recipe


def test_the_defaults_are_enough_but_for_the_data() -> None:
    recipe = read_recipe({"data": DATA}, where="r.toml")
    assert recipe == Recipe(data=DataOptions(train=("train.jsonl",), dev=("dev.jsonl",)))


def test_every_mistake_is_told_at_once() -> None:
    message = problem(
        {
            "data": {"train": ["a"], "dev": []},
            "features": {"n_mfcc": "many"},
            "model": {"units": 0},
            "training": {"epochs": 1.5},
            "extra": {},
        }
    )
    lines = message.splitlines()
    assert len(lines) == 5
    for where, what in (
        (
            "unknown table extra",
            "known tables are data, features, text, vocabulary, language_model, model",
        ),
        ("[data]", "dev to name at least one manifest"),
        ("[features]: n_mfcc", "expected int, received 'many'"),
        ("[model]", "units: expected at least 1, received 0"),
        ("[training]: epochs", "expected int, received 1.5"),
    ):
        assert any(line.startswith("r.toml") and where in line and what in line for line in lines)


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    message = problem({"data": DATA, "training": {"epoch": 5}})
    assert "[training]: unknown key epoch" in message
    assert "known keys are seed, epochs, patience" in message


@pytest.mark.parametrize("table", ["training", "data"])
def test_a_value_in_the_place_of_a_table_is_refused(table: str) -> None:
    assert f"[{table}]: expected a table, received 3" in problem({"data": DATA, table: 3})


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("data", "min_duration_s", 40.0),
        ("features", "sample_rate", 8000),  # all recordings are read at 16 kHz
        ("vocabulary", "size", 1),
        ("vocabulary", "pronunciations", "sounds.tsv"),  # of letters
        ("language_model", "bits", 3),
        ("language_model", "order", 9),
        ("model", "dropout", 1.0),
        ("model", "num_layers", 0),
        ("model", "cell", "elman"),
        ("batches", "duration_s", 0),
        ("batches", "shuffle", 0.6),
        ("augment", "speeds", []),
        ("augment", "speeds", [1.0, 2.5]),
        ("augment", "num_time_masks", -1),
        ("augment", "max_time_mask_s", -0.1),
        ("augment", "max_time_mask_share", 1.1),
        ("augment", "num_coefficient_masks", -1),
        ("augment", "max_coefficient_mask", -1),
        ("augment", "noise_share", 2),
        ("augment", "narrow_band_share", -0.1),
        ("augment", "channel_db", -1.0),
        ("augment", "num_band_masks", -1),
        ("augment", "trimmed_share", 1.5),
        ("augment", "min_trim_db", 0.0),
        ("augment", "max_band_mask", -1),
        ("augment", "max_warp", 0.6),
        ("augment", "min_snr_db", 26.0),
        ("training", "epochs", 0),
        ("training", "patience", 0),
        ("training", "learning_rate", 0),
        ("training", "learning_rate", float("nan")),
        ("training", "warmup_steps", -1),
        ("training", "final_learning_rate", 1.5),
        ("training", "weight_decay", -1e-9),
        ("training", "clip_norm", 0.0),
        ("training", "average", 1.0),
        ("training", "checkpoint_interval_s", -1),
        ("training", "teacher_share", 1.5),
        ("training", "optimizer", "sgd"),
        ("training", "schedule", "step"),
        ("decoding", "beam_width", 0),
    ],
)
def test_what_is_out_of_range_is_refused(table: str, key: str, value: object) -> None:
    tables: dict[str, Any] = {"data": dict(DATA), "features": {"fmax": 3800.0}}
    tables.setdefault(table, {})[key] = value
    message = problem(tables)
    assert "r.toml" in message
    assert f"[{table}]" in message
    assert key in message


def test_sounds_need_a_dictionary_and_no_language_model() -> None:
    tables: dict[str, Any] = {"data": dict(DATA), "vocabulary": {"kind": "sounds"}}
    assert "pronunciations with kind" in problem(tables)
    tables["vocabulary"]["pronunciations"] = "sounds.tsv"
    tables["decoding"] = {"method": "beam"}
    read_recipe(tables, where="r.toml")
    message = problem(tables | {"language_model": {"texts": ["a.txt"]}})
    assert "kind of letters with a [language_model]" in message


@pytest.mark.parametrize("cell", CELLS)
def test_a_recipe_may_name_any_cell(cell: str) -> None:
    tables: Any = {"data": DATA, "model": {"cell": cell, "bidirectional": False}}
    assert read_recipe(tables, where="r.toml").to_table()["model"]["cell"] == cell


def test_an_unknown_cell_is_answered_with_the_known_ones() -> None:
    message = problem({"data": DATA, "model": {"cell": "elman"}})
    assert "received 'elman'" in message
    assert all(repr(cell) in message for cell in CELLS)


def test_relative_paths_start_at_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    sounds = '[vocabulary]\nkind = "sounds"\npronunciations = "sounds.tsv"\n'
    for teacher, expected in (("en-read", "en-read"), ("./big", str(tmp_path / "big"))):
        path.write_text(f'{SMALLEST}[training]\nteacher = "{teacher}"\n')
        assert load_recipe(path).training.teacher == expected
    path.write_text(SMALLEST + '[augment]\nnoise = "noises"\n' + sounds)
    recipe = load_recipe(path)
    assert recipe.vocabulary.pronunciations == str(tmp_path / "sounds.tsv")
    path.write_text(SMALLEST + '[augment]\nnoise = "noises"\n' + LANGUAGE_MODEL)
    recipe = load_recipe(path)
    assert recipe.data.train == (str(tmp_path / "train.jsonl"),)
    assert recipe.data.dev == (str(tmp_path / "sub/dev.jsonl"), "/elsewhere/dev.jsonl")
    assert recipe.augment.noise == str(tmp_path / "noises")
    assert recipe.language_model.texts == (str(tmp_path / "books.txt"),)


def test_relative_paths_start_at_the_root_if_one_is_given(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALLEST + '[augment]\nnoise = "noises"\n')
    recipe = load_recipe(path, root=Path("/corpora"))
    assert recipe.data.train == ("/corpora/train.jsonl",)
    assert recipe.data.dev == ("/corpora/sub/dev.jsonl", "/elsewhere/dev.jsonl")
    assert recipe.augment.noise == "/corpora/noises"


def test_paths_are_absolute_wherever_the_program_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.toml").write_text(SMALLEST)
    monkeypatch.chdir(tmp_path)
    assert load_recipe("r.toml").data.train == (str(tmp_path / "train.jsonl"),)


def test_something_else_than_a_path_is_not_made_one(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[data]\ntrain = [3]\ndev = ["dev.jsonl"]\n')
    with pytest.raises(OptionsError, match="expected str, received 3"):
        load_recipe(path)


def test_settings_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALLEST + "[training]\nepochs = 3\nseed = 9\n")
    settings = [
        "training.epochs=5",
        "model.cell=gru",
        'text.language="de"',
        "augment.speeds = [0.9, 1.1]",
        'data.train=["other.jsonl"]',
    ]
    recipe = load_recipe(path, settings=settings)
    assert (recipe.training.epochs, recipe.training.seed) == (5, 9)
    assert recipe.model.cell == "gru"
    assert recipe.text.language == "de"
    assert recipe.augment.speeds == (0.9, 1.1)
    assert recipe.data.train == (str(tmp_path / "other.jsonl"),)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs", "expected table.key=value"),
        ("epochs=3", "expected table.key=value"),
        ("training.epoch=3", "unknown key epoch"),
        ("trainig.epochs=3", "unknown table trainig"),
        ("training.epochs=three", "expected int, received 'three'"),
        ("model.units=0", "units: expected at least 1"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SMALLEST)
    with pytest.raises(OptionsError, match=message):
        load_recipe(path, settings=[setting])


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    for content in (b"[data\n", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(OptionsError, match=r"r\.toml: expected TOML"):
            load_recipe(path)


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionsError, match=r"no recipe 'nonesuch'.*one of: demo, .*librispeech"):
        load_recipe("nonesuch")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_recipe_opens_with_its_command_cost_and_figures(path: Path) -> None:
    recipe = load_recipe(path.stem, root=Path("/corpus"))
    assert all(name.startswith("/corpus/") for name in recipe.data.train + recipe.data.dev)
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = "\n".join(lines[: lines.index("")])
    assert all(line.startswith("#") for line in comment.splitlines())
    assert "asr train " + path.stem in comment
    assert "Cost:" in comment
    assert "Expected:" in comment
    assert any(unit in comment for unit in ("WER", "CER"))
