"""The list of installed models, and their cards."""

import argparse
from datetime import date
from pathlib import Path

import pytest

from asr.bundle import CARD_FILE, RECIPE_FILE, write_settings
from asr.errors import BundleError, OptionsError
from asr.vocabulary import Vocabulary
from pipelines import installed
from pipelines.card import write_card
from pipelines.card_table import stated
from pipelines.recipe import DataOptions, Recipe

CARD = """# A model

| | |
|---|---|
| dev WER | 4.25 % (greedy decoding) |
| Licence | CC BY 4.0 |
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASR_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("asr.bundle.__file__", str(tmp_path / "asr/bundle.py"))
    return tmp_path / "models"


def model(folder: Path, *, language: str = "en", card: str = CARD) -> Path:
    recipe = {"features": {}, "text": {"language": language}}
    write_settings(folder, recipe=recipe, vocabulary=Vocabulary.from_characters("a"), card=card)
    (folder / "model.keras").write_bytes(bytes(2_500_000))
    return folder


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    installed.add_arguments(parser)
    return installed.run(parser.parse_args(words))


def test_models_are_listed_in_columns(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model(models / "digits-of-the-world")
    model(models / "x", language="de", card="# nothing said")
    assert run() == 0
    assert capsys.readouterr().out.splitlines() == [
        "name                 language    size  dev WER  licence",
        "digits-of-the-world  en        2.5 MB   4.25 %  CC BY 4.0",
        "x                    de        2.5 MB  unknown  not stated",
    ]


def test_a_broken_model_is_named_and_hides_no_other(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(models / "a")
    (model(models / "b") / RECIPE_FILE).write_text("[features")
    assert run() == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["name", "a"]
    assert err.startswith(f"asr: {models / 'b' / RECIPE_FILE}: expected TOML")


def test_without_models_the_places_are_named(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert f"  {models}\n" in out
    assert "asr transcribe --model FOLDER" in out


def test_a_card_is_shown(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model(models / "a")
    assert run("a") == 0
    assert capsys.readouterr().out == CARD
    (models / "a" / CARD_FILE).unlink()
    assert run(str(models / "a")) == 0
    assert "has no card" in capsys.readouterr().out
    with pytest.raises(BundleError, match="no model 'b'"):
        run("b")


@pytest.mark.parametrize(
    ("card", "said"),
    [("| licence | MIT |", "MIT"), ("text\n|License|MIT |\n", "MIT"), ("licence: MIT", "")],
)
def test_what_a_card_states(card: str, said: str) -> None:
    assert stated(card, "licence", "license") == said


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ("| licence | MIT |\n| data licence | CC BY 4.0 |", "MIT"),
        ("| data licence | CC BY 4.0 |", "CC BY 4.0 (data)"),
        ("| data licence | not stated |", "not stated"),
        ("| network | small |", "not stated"),
    ],
)
def test_the_licence_of_the_data_stands_in_for_the_models(
    rows: str, shown: str, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(models / "a", card=f"# A model\n\n| | |\n|---|---|\n{rows}\n")
    assert run() == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(f"unknown  {shown}")


@pytest.mark.parametrize("licence", ["CC BY 4.0", None])
def test_training_writes_the_licence_where_it_is_looked_for(licence: str | None) -> None:
    data = DataOptions(train=("a.jsonl",), dev=("b.jsonl",), licence=licence)
    row = {"epoch": 1, "dev_wer": 0.1, "dev_cer": 0.1, "elapsed_s": 1.0}
    card = write_card(
        Recipe(data=data), [row], num_parameters=1, hours=1.0, machine="x", date=date(2026, 1, 2)
    )
    assert stated(card, "data licence") == (licence or "not stated")


@pytest.mark.parametrize("licence", ["", " ", "MIT | GPL", "CC BY\n4.0"])
def test_a_licence_that_would_break_the_card_is_refused(licence: str) -> None:
    with pytest.raises(OptionsError, match="licence to be a line of text"):
        DataOptions(train=("a.jsonl",), dev=("b.jsonl",), licence=licence)


def test_the_cards_of_training_are_understood() -> None:
    """The names looked for are those that `pipelines.card` writes."""
    source = (Path(installed.__file__).parent / "card.py").read_text(encoding="utf-8")
    assert "| dev WER | {" in source


def test_a_card_cannot_command_the_terminal(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(models / "mine", card="# A \x1b]0;title\x07 model\x9b2J\n\tin two lines\n")
    assert run("mine") == 0
    assert capsys.readouterr().out == "# A ?]0;title? model?2J\n\tin two lines\n"
