"""`asr inspect`: figures and a drawing of any model, and one line for whatever cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr.audio import SAMPLE_RATE, load_audio, write_wav
from asr.bundle import NETWORK_FILE, write_settings
from asr.features import FeatureOptions
from asr.options import to_table
from asr.vocabulary import Vocabulary
from models.bilstm import BiLSTMOptions, build_bilstm
from models.traces import trace_network
from pipelines import cli
from pipelines.network import load_network, load_recognizer
from pipelines.progress import num_columns

FEATURES = FeatureOptions(n_mfcc=5, stack=2)
VOCABULARY = Vocabulary.from_characters(" ab")
Command = Callable[..., int]


def make(folder: Path, **options: Any) -> Path:
    keras.utils.set_random_seed(4)
    recipe = {"features": to_table(FEATURES), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=VOCABULARY, card="")
    network = build_bilstm(
        BiLSTMOptions(**{"units": 6, "num_layers": 2} | options),
        num_features=FEATURES.num_features,
        vocab_size=len(VOCABULARY),
    )
    network.save(folder / NETWORK_FILE)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles with untrained networks, by the names of their cells."""
    folder = tmp_path_factory.mktemp("models")
    make(folder / "lstm")
    make(folder / "one-way", cell="gru", bidirectional=False)
    make(folder / "attention", cell="attention", num_heads=2)
    return folder


@pytest.fixture
def asr(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command in a folder with talk.wav, of 12 s; models are named by their cells."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, 12 * SAMPLE_RATE)
    write_wav("talk.wav", noise.astype(np.float32))

    def run(model: str, *words: str) -> int:
        return cli.main(["inspect", str(models / model), *words])

    return run


def test_figures_and_a_drawing(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert asr("lstm", "talk.wav", "--duration-s", "2") == 0
    shown = capsys.readouterr().out
    assert "from 0.00 to 2.00 s" in shown
    assert "figure of layer 2, forward" in shown
    assert "talk.gates.svg" in shown
    for row in ("1 forward", "1 backward", "2 forward", "2 backward"):
        assert any(line.startswith(row) for line in shown.splitlines())
    assert max(map(num_columns, shown.splitlines())) <= 80
    assert Path("talk.gates.svg").read_bytes().startswith(b"<?xml")


def test_json_is_what_the_network_did(
    asr: Command, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asr("lstm", "talk.wav", "--start-s", "1", "--duration-s", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    samples = load_audio("talk.wav", offset_s=1, duration_s=3)
    recognizer = load_recognizer(models / "lstm", engine="keras")
    features = recognizer.extract(samples)
    (trace,) = trace_network(
        load_network(models / "lstm"), features[None], np.array([len(features)], np.int32)
    )
    heard = recognizer.transcribe(samples)
    assert (found["text"], found["figure"]) == (heard.text, None)
    assert len(found["words"]) == len(heard.words) > 0
    assert (found["start_s"], found["duration_s"], found["steps"]) == (1, 3, len(features))
    assert [(one["layer"], one["direction"]) for one in found["layers"]] == [
        (one.layer, one.direction) for one in trace.layers
    ]
    for figures, one in zip(found["layers"], trace.layers, strict=True):
        for name, gate in one.gates.items():
            assert figures["mean_opening"][name] == pytest.approx(gate.mean(), abs=1e-4)
        assert figures["deviation"] < 1e-5
    assert sorted(path.name for path in Path().iterdir()) == ["talk.wav"]


def test_ten_seconds_are_taken_of_a_longer_recording(
    asr: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asr("lstm", "talk.wav", "--json", "--layer", "1", "-o", "a.png") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["duration_s"], found["figure"]) == (10, "a.png")
    assert Path("a.png").stat().st_size > 10_000


@pytest.mark.parametrize("model", ["one-way", "attention"])
def test_other_cells(asr: Command, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert asr(model, "talk.wav", "--duration-s", "1", "-o", "page.html") == 0
    shown = capsys.readouterr().out
    assert ("no gates" in shown) == (model == "attention")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert model in page
    assert asr(model, "talk.wav", "--direction", "backward", "-o", "b.svg") == 2
    assert "--direction: expected " in capsys.readouterr().err


def test_nothing_is_overwritten_unasked(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    Path("talk.gates.svg").write_text("mine")
    assert asr("lstm", "talk.wav") == 2
    assert capsys.readouterr().err.startswith("asr: talk.gates.svg is there already; --overwrite")
    assert Path("talk.gates.svg").read_text() == "mine"
    assert asr("lstm", "talk.wav", "--duration-s", "1", "--overwrite") == 0
    assert Path("talk.gates.svg").read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "3"], "--layer: expected 1 to 2"),
        (["--layer", "0"], "--layer: expected 1 to 2"),
        (["--units", "13"], "--units: expected 0 to 12"),
        (["--units", "-1"], "--units: expected 0 to 12"),
        (["--start-s", "-1"], "--start-s: expected"),
        (["--start-s", "nan"], "--start-s: expected"),
        (["--duration-s", "0"], "--duration-s: expected"),
        (["--duration-s", "37"], "--duration-s: expected"),
        (["--duration-s", "nan"], "--duration-s: expected"),
        (["-o", "a.pdf"], "a.pdf: expected a figure"),
    ],
)
def test_what_makes_no_sense_is_a_line(
    asr: Command, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asr("lstm", "talk.wav", *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"asr: {said}")
    assert err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["talk.wav"]


def failing(asr: Command, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert asr(*words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_what_cannot_be_read_is_a_line(asr: Command, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.wav").write_text("no sound")
    assert "text.wav" in failing(asr, capsys, "lstm", "text.wav")
    assert "none.wav" in failing(asr, capsys, "lstm", "none.wav")
    assert "no model" in failing(asr, capsys, "nothing", "talk.wav")
    assert failing(asr, capsys, "lstm", "talk.wav", "--start-s", "99")
    folder = make(Path("bare").absolute())
    (folder / NETWORK_FILE).unlink()
    assert f"expected {NETWORK_FILE}" in failing(asr, capsys, str(folder), "talk.wav")
