"""`asr export`: checked against Keras, chosen by measured errors, whole or not there."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import asr
from asr.audio import write_wav
from asr.bundle import NETWORK_FILE, open_bundle, write_settings
from asr.decoding import DecodingOptions
from asr.errors import BundleError, MissingExtraError
from asr.features import FeatureOptions
from asr.lm import Corpus, EstimationOptions, estimate_model, write_binary
from asr.manifest import Utterance, write_manifest
from asr.onnx_network import ONNX_FILES, RECORD_FILE
from asr.options import to_table
from asr.vocabulary import Vocabulary
from models.bilstm import BiLSTMOptions, build_bilstm
from pipelines import cli
from pipelines import export as program
from pipelines.agreement import Agreement, compare_networks
from pipelines.export import export
from pipelines.network import load_recognizer

FEATURES = FeatureOptions(n_mfcc=5, stack=2)
VOCABULARY = Vocabulary.from_characters(" ab")
WRITTEN = {*ONNX_FILES.values(), RECORD_FILE}


def make(folder: Path, **options: Any) -> Path:
    recipe = {"features": to_table(FEATURES), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=VOCABULARY, card="")
    save(folder, **options)
    return folder


def save(folder: Path, *, seed: int = 4, **options: Any) -> None:
    keras.utils.set_random_seed(seed)
    network = build_bilstm(
        BiLSTMOptions(**{"units": 6, "num_layers": 2} | options),
        num_features=FEATURES.num_features,
        vocab_size=len(VOCABULARY),
    )
    network.save(folder / NETWORK_FILE)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make(tmp_path / "tiny")


def record(folder: Path) -> Any:
    return json.loads((folder / RECORD_FILE).read_text())


def written(folder: Path) -> set[str]:
    settings = {"recipe.toml", "vocabulary.json", "card.md", NETWORK_FILE}
    return {path.name for path in folder.iterdir()} - settings


def noise(num_samples: int, seed: int) -> Any:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, num_samples).astype(np.float32)


@pytest.fixture
def spoken(tmp_path: Path) -> list[Utterance]:
    """Recordings with what Keras hears in them as their texts: its WER is 0."""
    recognizer = load_recognizer(make(tmp_path / "ears"))
    utterances = []
    for n in range(4):
        samples = noise(8_000 + 1_000 * n, n)
        write_wav(tmp_path / f"{n}.wav", samples)
        heard = recognizer.transcribe(tmp_path / f"{n}.wav").text
        assert heard
        utterances.append(
            Utterance(id=str(n), audio=tmp_path / f"{n}.wav", duration_s=None, text=heard)
        )
    return utterances


def test_an_export_is_checked_on_recordings(model: Path, spoken: list[Utterance]) -> None:
    result = export(open_bundle(model), spoken, source="speech", quiet=True)
    assert written(model) == WRITTEN
    assert result.checked_on == "4 utterances (0.0 minutes) of speech"
    assert set(result.agreements) == {"keras", "float32", "int8"}
    for name, found in result.agreements.items():
        assert (found.max_logit_difference == 0) == (name == "keras")
    assert result.agreements["float32"].max_logit_difference < 1e-4
    for name in ("keras", "float32"):
        found = result.agreements[name]
        assert (found.identical_texts, found.wer, found.cer) == (1.0, 0.0, 0.0)
    assert record(model)["precision"] == result.precision
    assert record(model)["networks"]["keras"]["wer"] == 0.0
    # What it hears through ONNX Runtime is what it heard through Keras.
    ears = asr.load(model, precision="float32")
    assert [ears.transcribe(item.audio).text for item in spoken] == [item.text for item in spoken]


def test_without_recordings_it_is_checked_on_made_up_features(model: Path) -> None:
    result = export(open_bundle(model), quiet=True)
    assert "made-up" in result.checked_on
    assert result.agreements["int8"].wer is None
    assert result.precision == record(model)["precision"] == "float32"


def test_recordings_without_texts_measure_no_errors(model: Path, spoken: list[Utterance]) -> None:
    silent = [Utterance(id=item.id, audio=item.audio, duration_s=None) for item in spoken]
    result = export(open_bundle(model), silent, quiet=True)
    assert result.agreements["keras"].wer is None
    assert result.precision == "float32"
    assert "–" in "\n".join(result.lines())


def test_no_more_audio_is_used_than_asked_for(model: Path, spoken: list[Utterance]) -> None:
    result = export(open_bundle(model), spoken, max_audio_s=1.2, quiet=True)
    # They last 0.5 to 0.7 s: one fits, two may or may not, three do not.
    assert result.checked_on.startswith(("1 utterances", "2 utterances"))


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_cells_without_an_int8_layer_are_float32_only(tmp_path: Path, cell: str) -> None:
    model = make(tmp_path / "tiny", cell=cell)
    stale = model / ONNX_FILES["int8"]
    stale.write_bytes(b"of a network before")
    export(open_bundle(model), quiet=True)
    assert written(model) == WRITTEN - {stale.name}
    assert asr.load(model).transcribe(noise(8_000, 0))


@pytest.mark.parametrize(
    ("keras_wer", "int8_wer", "chosen"),
    [
        (0.1, 0.1, "int8"),
        (0.1, 0.1019, "int8"),
        (0.1, 0.05, "int8"),
        (0.1, 0.103, "float32"),
        (None, None, "float32"),
    ],
)
def test_int8_is_chosen_by_its_errors(
    keras_wer: float | None, int8_wer: float | None, chosen: str
) -> None:
    def found(wer: float | None) -> Agreement:
        return Agreement(max_logit_difference=0.0, max_logit=1.0, identical_texts=1.0, wer=wer)

    assert program._choose({"keras": found(keras_wer), "int8": found(int8_wer)}) == chosen
    assert program._choose({"keras": found(keras_wer)}) == "float32"


# What cannot be exported leaves nothing behind


def test_a_graph_that_is_another_network_is_not_written(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(open_bundle(model), quiet=True)
    before = {name: (model / name).read_bytes() for name in written(model)}
    monkeypatch.setattr("models.onnx_graph._LSTM_GATES", (0, 1, 2, 3))
    with pytest.raises(BundleError, match="expected the exported network to agree with Keras"):
        export(open_bundle(model), quiet=True)
    assert {name: (model / name).read_bytes() for name in written(model)} == before


def test_a_layer_it_cannot_write_is_named(model: Path) -> None:
    features = keras.Input((None, FEATURES.num_features), name="features")
    lengths = keras.Input((), dtype="int32", name="feature_lengths")
    layer = keras.layers.Dense(len(VOCABULARY), activation="tanh", name="squashed")
    keras.Model({"features": features, "feature_lengths": lengths}, layer(features)).save(
        model / NETWORK_FILE
    )
    with pytest.raises(BundleError, match=r"model\.keras: cannot be exported: layer 'squashed'"):
        export(open_bundle(model), quiet=True)
    assert written(model) == set()


def test_a_cell_that_onnx_does_not_have_is_named_before_anything_is_read(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(model, cell="peephole")
    write_manifest(
        tmp_path / "m.jsonl",
        [Utterance(id="a", audio=tmp_path / "missing.wav", duration_s=1.0, text="a")],
    )
    assert cli.main(["export", str(model), "--manifest", str(tmp_path / "m.jsonl")]) == 1
    assert capsys.readouterr().err.endswith(
        "ONNX has no operator for its cell peephole; Keras is used\n"
    )
    assert written(model) == set()
    assert type(load_recognizer(model).network).__name__ == "KerasNetwork"


def test_without_onnx_the_extra_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name != "onnx" or None)
    with pytest.raises(MissingExtraError, match=r"'bilstm-asr\[train\]'"):
        export(open_bundle(model), quiet=True)


def test_a_killed_export_leaves_a_model_for_keras(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(open_bundle(model), quiet=True)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    (model / ".export-killed").mkdir()
    (model / ".export-killed" / "model.onnx").touch()
    monkeypatch.setattr(program, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        export(open_bundle(model), quiet=True)
    assert written(model) == WRITTEN - {RECORD_FILE}
    assert type(load_recognizer(model).network).__name__ == "KerasNetwork"


# Which engine is used


def engine_of(model: Path, **options: Any) -> str:
    return type(load_recognizer(model, **options).network).__name__


def test_an_export_is_used_where_there_is_one(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine_of(model) == "KerasNetwork"
    with pytest.raises(BundleError, match="asr export"):
        load_recognizer(model, engine="onnx")
    export(open_bundle(model), quiet=True)
    assert engine_of(model) == engine_of(model, engine="onnx", threads=1) == "OnnxNetwork"
    assert engine_of(model, engine="keras") == "KerasNetwork"
    assert capsys.readouterr().err == ""


def test_an_export_of_another_network_is_not_used_in_silence(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(open_bundle(model), quiet=True)
    save(model, seed=5)
    assert engine_of(model) == "KerasNetwork"
    message = capsys.readouterr().err
    assert "was made from another model.keras" in message
    assert message.endswith("using Keras, which is slower\n")
    with pytest.raises(BundleError, match=r"another model\.keras"):
        load_recognizer(model, engine="onnx")
    export(open_bundle(model), quiet=True)
    assert engine_of(model) == "OnnxNetwork"


def test_without_the_runtime_keras_is_used_and_said_so(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(open_bundle(model), quiet=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert engine_of(model) == "KerasNetwork"
    assert "bilstm-asr[transcribe]" in capsys.readouterr().err
    # With neither of the two, the lighter one is named.
    (model / NETWORK_FILE).unlink()
    with pytest.raises(MissingExtraError, match=r"bilstm-asr\[transcribe\]"):
        load_recognizer(model)


# The program


def test_the_command_shows_what_it_measured(
    model: Path, spoken: list[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "dev.jsonl", spoken)
    arguments = ["export", str(model), "--manifest", str(tmp_path / "dev.jsonl"), "--quiet"]
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("checked on 4 utterances (0.0 minutes) of dev.jsonl\n")
    for name in ("keras", "float32", "int8"):
        assert f"\n  {name} " in out
    assert out.endswith(f"used from now on: {record(model)['precision']}\n")
    assert str(tmp_path) not in (model / RECORD_FILE).read_text()


def test_what_is_missing_is_said_without_a_traceback(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(
        tmp_path / "dev.jsonl", [Utterance(id="gone", audio=tmp_path / "gone.wav", duration_s=None)]
    )
    assert cli.main(["export", str(model), "--manifest", str(tmp_path / "dev.jsonl")]) == 1
    assert capsys.readouterr().err == f"asr: {tmp_path / 'gone.wav'}: no such file\n"
    (model / NETWORK_FILE).unlink()
    assert cli.main(["export", str(model)]) == 1
    assert f"expected {NETWORK_FILE}" in capsys.readouterr().err
    assert written(model) == set()


# Comparing


def test_networks_are_compared_row_by_row_and_never_on_padding(model: Path) -> None:
    bundle = open_bundle(model)
    width = bundle.features.num_features
    features = [np.full((steps, width), steps, np.float32) for steps in (3, 1, 2)]
    texts = ["a", "ab", "b"]

    def network(bias: float) -> Any:
        def run(rows: Any, lengths: Any) -> Any:
            """Says a to all; b where a row's values are below the bias."""
            logits = np.zeros((*rows.shape[:2], len(VOCABULARY)), np.float32)
            for row, values, length in zip(logits, rows, lengths, strict=True):
                token = 3 if values[0, 0] < bias else 2
                row[:length, token] = 5.0
                row[length:] = np.nan
            return logits, lengths

        return run

    told: list[int] = []
    found = compare_networks(
        bundle,
        {"one": network(0), "same": network(0), "other": network(2.5)},
        features,
        references=texts,
        advance=told.append,
    )
    assert sorted(told) == [1, 2, 3]
    assert found["one"] == found["same"]
    assert (found["one"].identical_texts, found["one"].max_logit_difference) == (1.0, 0.0)
    # a, a, a for "a", "ab", "b"; then a, b, b.
    assert found["one"].wer == pytest.approx(2 / 3)
    assert found["other"].wer == pytest.approx(1 / 3)
    assert found["other"].identical_texts == pytest.approx(1 / 3)
    assert (found["other"].max_logit_difference, found["other"].max_logit) == (5.0, 5.0)


def test_texts_are_judged_as_the_language_model_has_them_written(model: Path) -> None:
    """Else a network would be judged by what nobody will see of it."""
    with Corpus() as corpus:
        for _ in range(9):
            corpus.add("b b")
        corpus.add("a")
        write_binary(model / "lm.ngram", estimate_model(corpus, EstimationOptions(order=2)).model)
    bundle = open_bundle(model)
    log_odds = np.array([-9.0, -9.0, 0.3, 0.0], np.float32)  # rather a than b

    def network(rows: Any, lengths: Any) -> Any:
        return np.tile(log_odds, (*rows.shape[:2], 1)), lengths

    features = [np.zeros((1, bundle.features.num_features), np.float32)]
    for decoding, expected in (
        (DecodingOptions(method="beam", alpha=1.0), 0.0),
        (DecodingOptions(method="beam", alpha=0.0), 1.0),
        (DecodingOptions(), 1.0),
    ):
        given = dataclasses.replace(bundle, decoding=decoding)
        found = compare_networks(given, {"it": network}, features, references=["b"])
        assert found["it"].wer == expected
