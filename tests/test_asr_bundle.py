"""Model folders: found by path and by name, and refused with the file that is wrong."""

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

from asr.bundle import (
    CARD_FILE,
    LANGUAGE_MODEL_FILE,
    RECIPE_FILE,
    VOCABULARY_FILE,
    Bundle,
    list_bundles,
    model_folders,
    open_bundle,
    open_language_model,
    write_settings,
)
from asr.confidence import Calibration
from asr.decoding import DecodingOptions
from asr.errors import BundleError, LanguageModelError
from asr.features import FeatureOptions
from asr.text import TextOptions
from asr.vocabulary import Vocabulary

RECIPE = {
    "features": {"n_mfcc": 26, "stack": 3},
    "text": {"language": "tr"},
    "decoding": {"method": "beam", "beam_width": 4},
    "training": {"epochs": 3},
}


def model(folder: Path, card: str = "# A model\n") -> Path:
    folder.mkdir(parents=True)
    write_settings(folder, recipe=RECIPE, vocabulary=Vocabulary.from_characters("aç "), card=card)
    return folder


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The three folders that are searched by name, all within tmp_path."""
    found = {name: tmp_path / name for name in ("chosen", "user", "installed")}
    monkeypatch.setenv("ASR_MODELS", str(found["chosen"]))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setattr("asr.bundle.__file__", str(tmp_path / "installed/asr/bundle.py"))
    return {
        "chosen": found["chosen"],
        "user": found["user"] / "asr/models",
        "installed": found["installed"] / "models/pretrained",
    }


def refusal(folder: Path | str) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    return str(caught.value)


def test_a_model_comes_back_as_it_was_written(tmp_path: Path) -> None:
    bundle = open_bundle(model(tmp_path / "mine"))
    assert bundle == Bundle(
        folder=tmp_path / "mine",
        recipe=RECIPE,
        features=FeatureOptions(n_mfcc=26, stack=3),
        text=TextOptions(language="tr"),
        decoding=DecodingOptions(method="beam", beam_width=4),
        vocabulary=Vocabulary.from_characters("aç "),
    )
    assert (bundle.name, bundle.card) == ("mine", "# A model\n")
    files = [RECIPE_FILE, VOCABULARY_FILE, CARD_FILE]
    assert bundle.size_bytes == sum((tmp_path / "mine" / name).stat().st_size for name in files)


def test_a_runs_folder_stands_for_its_model(tmp_path: Path) -> None:
    model(tmp_path / "run/model")
    (tmp_path / "run" / RECIPE_FILE).write_text("[data]\n")  # the run's own, without a vocabulary
    bundle = open_bundle(str(tmp_path / "run"))
    assert bundle.folder == tmp_path / "run/model"
    assert bundle.name == "run"


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model(tmp_path / "mine"))
    assert open_bundle(".").name == "mine"
    monkeypatch.chdir(model(tmp_path / "run/model"))
    assert open_bundle(".").name == "run"


def test_a_card_is_not_needed(tmp_path: Path) -> None:
    (model(tmp_path / "mine") / CARD_FILE).unlink()
    assert open_bundle(tmp_path / "mine").card == ""


def test_a_decoder_is_not_needed(tmp_path: Path) -> None:
    path = model(tmp_path / "mine") / RECIPE_FILE
    path.write_text('[features]\n[text]\nlanguage = "en"\n')
    assert open_bundle(path.parent).decoding == DecodingOptions()


# By name


def test_names_are_looked_up_in_order(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_folders() == list(places.values())
    assert list(list_bundles()) == []
    for place in reversed(places.values()):
        model(place / "digits")
        model(place / f"only-{place.parent.name}")
        assert open_bundle("digits").folder == place / "digits"
    listed = [path.name for path in list_bundles()]
    assert len(listed) == len(set(listed)) == 4
    assert next(list_bundles()) == places["chosen"] / "digits"
    # A folder that is named comes before all of them.
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "digits")
    assert open_bundle("digits").folder == Path("digits")


def test_without_the_variable_two_folders_are_left(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASR_MODELS")
    assert model_folders() == [places["user"], places["installed"]]


def test_a_folder_of_something_else_does_not_hide_a_name(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(places["user"] / "digits")
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert open_bundle("digits").folder == places["user"] / "digits"


def test_a_folder_of_runs_can_be_searched_by_name(places: dict[str, Path]) -> None:
    model(places["chosen"] / "run/model")
    (places["chosen"] / "run" / RECIPE_FILE).write_text("[data]\n")
    assert list(list_bundles()) == [places["chosen"] / "run/model"]
    assert open_bundle("run").name == "run"


@pytest.mark.parametrize("name", ["../user/asr/models/digits", "dig", "", "/"])
def test_a_name_is_a_whole_name(places: dict[str, Path], name: str) -> None:
    model(places["user"] / "digits")
    with pytest.raises(BundleError):
        open_bundle(name)


def test_an_unknown_model_names_the_known_ones(places: dict[str, Path], tmp_path: Path) -> None:
    assert "none is installed" in refusal("digits")
    model(places["user"] / "letters")
    message = refusal("digits")
    assert message.startswith("no model 'digits'")
    assert "(letters)" in message
    assert "the file" in refusal(model(tmp_path / "mine") / RECIPE_FILE)


# Broken


@pytest.mark.parametrize("name", [RECIPE_FILE, VOCABULARY_FILE])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (model(tmp_path / "mine") / name).unlink()
    message = refusal(tmp_path / "mine")
    assert str(tmp_path / "mine") in message
    assert f"without {name} (" in message


def features(settings: dict[str, object]) -> str:
    return tomli_w.dumps({**RECIPE, "features": settings})


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "no TOML": (RECIPE_FILE, b"[features", "expected TOML"),
    "not UTF-8": (RECIPE_FILE, b"# \xff", "expected TOML"),
    "empty": (RECIPE_FILE, b"", r"\[features\]: expected a table, received none"),
    "no text": (RECIPE_FILE, b"[features]\n", r"\[text\]: expected a table, received none"),
    "no table": (RECIPE_FILE, b"features = 3\n", r"\[features\]: expected a table, received 3"),
    "unknown key": (RECIPE_FILE, features({"n_mfc": 13}).encode(), "unknown key n_mfc; known keys"),
    "wrong type": (RECIPE_FILE, features({"n_mfcc": "13"}).encode(), "n_mfcc: expected int"),
    "contradiction": (RECIPE_FILE, features({"n_mfcc": 41}).encode(), "n_mfcc up to n_mels = 40"),
    "no JSON": (VOCABULARY_FILE, b"{", "expected a JSON document"),
    "no blank": (VOCABULARY_FILE, b'{"kind": "characters", "tokens": ["a"]}', "first token"),
}


@pytest.mark.parametrize(("name", "content", "message"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_file_is_named_with_what_it_should_be(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = model(tmp_path / "mine") / name
    path.write_bytes(content)
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(tmp_path / "mine")
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("make_card", [lambda path: path.write_bytes(b"\xff licence"), Path.mkdir])
def test_a_card_cannot_keep_a_model_from_being_used(
    tmp_path: Path, make_card: Callable[[Path], object]
) -> None:
    card = model(tmp_path / "mine") / CARD_FILE
    card.unlink()
    make_card(card)
    assert "\xff" not in open_bundle(tmp_path / "mine").card


ARPA = """\\data\\
ngram 1=4

\\1-grams:
-1\t<s>
-1\t</s>
-1\t<unk>
-0.5\ta

\\end\\
"""


def test_a_language_model_is_opened_for_a_beam_alone(tmp_path: Path) -> None:
    bundle = open_bundle(model(tmp_path / "mine"))
    assert bundle.language_model_file is None
    assert bundle.open_language_model() is None
    (tmp_path / "mine" / LANGUAGE_MODEL_FILE).write_text(ARPA)
    bundle = open_bundle(tmp_path / "mine")
    found = bundle.open_language_model()
    assert found is not None
    assert found.word_id("a") is not None
    greedy = dataclasses.replace(bundle, decoding=DecodingOptions())
    assert greedy.open_language_model() is None


def test_a_broken_language_model_is_named(tmp_path: Path) -> None:
    model(tmp_path / "mine")
    (tmp_path / "mine" / LANGUAGE_MODEL_FILE).write_text("words")
    with pytest.raises(LanguageModelError, match=LANGUAGE_MODEL_FILE):
        open_bundle(tmp_path / "mine").open_language_model()
    with pytest.raises(LanguageModelError, match=r"nothing\.arpa"):
        open_language_model(tmp_path / "nothing.arpa")


def test_kenlms_own_code_reads_nothing_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    path = tmp_path / "lm.ngram"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0")
    with pytest.raises(LanguageModelError, match="received KenLM's format; give the ARPA file"):
        open_language_model(path)


def test_confidence_is_checked_like_the_other_settings(tmp_path: Path) -> None:
    folder = model(tmp_path / "mine")
    assert open_bundle(folder).confidence == Calibration()
    recipe = (folder / RECIPE_FILE).read_text()
    (folder / RECIPE_FILE).write_text(f"{recipe}\n[confidence]\nslope = 0.5\nbias = -1\n")
    assert open_bundle(folder).confidence == Calibration(slope=0.5, bias=-1.0)
    (folder / RECIPE_FILE).write_text(f"{recipe}\n[confidence]\nslope = -1\n")
    assert "[confidence]" in refusal(folder)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (f"n_mfcc = {'9' * 5000}", "expected TOML"),
        (f"fmin = {10**400}", "fmin: expected a smaller number"),
        (f"n_fft = {10**12}", "n_fft up to 65536"),
        (f"n_mels = {10**9}", "n_mels up to 4096"),
        (f"sample_rate = {10**12}", "sample_rate up to 768000"),
        (f"stack = {10**12}", "stack up to 256"),
        ("n_mfcc = inf", "n_mfcc: expected int"),
        ("a." * 100_000 + "b = 1", "expected TOML, received a key of"),
        ("a = " + "[" * 100_000, "expected TOML"),
    ],
)
def test_settings_that_would_take_all_memory_are_refused(
    tmp_path: Path, table: str, said: str
) -> None:
    folder = model(tmp_path / "mine")
    (folder / RECIPE_FILE).write_text(f"[text]\n[features]\n{table}\n")
    message = refusal(folder)
    assert re.search(said, message)
    assert len(message) < 1000


def test_a_beam_wider_than_memory_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "mine")
    decoding = f'[decoding]\nmethod = "beam"\nbeam_width = {10**12}\n'
    (folder / RECIPE_FILE).write_text(f"[text]\n[features]\n{decoding}")
    assert "beam_width up to 1000000" in refusal(folder)
