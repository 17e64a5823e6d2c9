"""A bundle's network on ONNX Runtime: exact for every row, refused where it is not the bundle's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import asr
from asr import onnx_network
from asr.audio import write_wav
from asr.bundle import NETWORK_FILE, open_bundle, write_settings
from asr.errors import AudioError, BundleError, MissingExtraError
from asr.features import FeatureOptions
from asr.onnx_network import ONNX_FILES, RECORD_FILE, OnnxNetwork, digest, read_record
from asr.options import to_table
from asr.vocabulary import Vocabulary
from models.bilstm import BiLSTMOptions, build_bilstm
from models.onnx_graph import build_onnx, quantise

ROOT = Path(__file__).resolve().parent.parent
FEATURES = FeatureOptions(n_mfcc=5, stack=2)
VOCABULARY = Vocabulary.from_characters(" ab")
SHAPE = {"num_features": FEATURES.num_features, "vocab_size": len(VOCABULARY)}
UNITS = 16
LENGTHS = np.array([9, 1, 40, 6], np.int32)


def graph(num_features: int = FEATURES.num_features, vocab_size: int = len(VOCABULARY)) -> Any:
    options = BiLSTMOptions(units=UNITS, num_layers=2)
    network = build_bilstm(options, num_features=num_features, vocab_size=vocab_size)
    rng = np.random.default_rng(3)
    for weight in network.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return build_onnx(network)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with ONNX files and, for want of a need to read it, no Keras network."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    recipe = {"features": to_table(FEATURES), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=VOCABULARY, card="")
    model = graph()
    onnx.save(model, folder / ONNX_FILES["float32"])
    quantise(model, folder / ONNX_FILES["int8"])
    record = {"network_sha256": "none", "precision": "int8"}
    (folder / RECORD_FILE).write_text(json.dumps(record))
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """The same bundle, to be broken."""
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def features_of(rng: np.random.Generator) -> Any:
    """Rows padded with noise, which nobody may look at."""
    return rng.normal(size=(len(LENGTHS), LENGTHS.max(), SHAPE["num_features"])).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_batch_is_its_items(
    exported: Path, rng: np.random.Generator, precision: Any, threads: int
) -> None:
    network = OnnxNetwork(exported / ONNX_FILES[precision], **SHAPE, threads=threads)
    features = features_of(rng)
    together, lengths = network(features, LENGTHS)
    np.testing.assert_array_equal(lengths, LENGTHS)
    assert together.shape == (*features.shape[:2], SHAPE["vocab_size"])
    assert together.dtype == np.float32
    # int8 rows are run alone, so there it is no matter of rounding.
    tolerance = 1e-4 if precision == "float32" else 0.0
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone, _ = network(features[one, :length], LENGTHS[one])
        np.testing.assert_allclose(together[row, :length], alone[0], atol=tolerance, rtol=0)


def test_int8_is_near_float32(exported: Path, rng: np.random.Generator) -> None:
    features = features_of(rng)
    exact, rough = (
        OnnxNetwork(exported / ONNX_FILES[precision], **SHAPE)(features, LENGTHS)[0]
        for precision in ("float32", "int8")
    )
    for row, length in enumerate(LENGTHS):
        off = np.abs(exact[row, :length] - rough[row, :length]).max()
        assert 0 < off < 0.1 * np.abs(exact).max()


def test_a_recording_beyond_memory_is_refused(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 7
    bytes_per_step = onnx_network._BYTES_PER_UNIT * UNITS
    monkeypatch.setattr(onnx_network, "MAX_ROW_BYTES", steps * bytes_per_step)
    recognizer = asr.load(exported)
    step_samples = FEATURES.hop_length * FEATURES.stack
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * step_samples).astype(np.float32)
    recognizer.transcribe(noise[: 5 * step_samples])
    with pytest.raises(AudioError, match="at most 7 steps of features at once, received 20"):
        recognizer.log_probs([recognizer.extract(noise)[:20]])


# As a recognizer


def test_a_model_is_loaded_by_its_folder(exported: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    write_wav(tmp_path / "noise.wav", noise)
    recognizer = asr.load(exported, threads=1)
    assert recognizer.vocabulary == VOCABULARY
    assert recognizer.transcribe(tmp_path / "noise.wav").words
    rough, exact = recognizer, asr.load(str(exported), precision="float32")
    features = [recognizer.extract(noise)]
    assert np.abs(rough.log_probs(features)[0] - exact.log_probs(features)[0]).max() > 0


def test_neither_tensorflow_nor_keras_is_imported(exported: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    write_wav(tmp_path / "noise.wav", noise)
    program = (
        "import sys\n"
        "from pipelines.cli import main\n"
        f"code = main(['transcribe', '--model', {str(exported)!r}, 'noise.wav', '--quiet'])\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'onnx', 'librosa', 'matplotlib'}\n"
        "print('\\nimported:', *sorted(heavy & sys.modules.keys()))\n"
        "print('onnxruntime' in sys.modules)\n"
        "sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout.splitlines()[-2:] == ["imported:", "True"]


# Refused


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(BundleError) as caught:
        asr.load(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_model_that_was_not_exported_says_what_to_do(copy: Path) -> None:
    (copy / RECORD_FILE).unlink()
    assert f"asr export {copy}" in refusal(copy)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"network_sha256": "x"}',
        '{"network_sha256": "x", "precision": "../../secret"}',
        '{"network_sha256": "x", "precision": ["int8"]}',
    ],
    ids=lambda text: text[:60] or "empty",
)
def test_a_broken_record_is_named(copy: Path, record: str) -> None:
    (copy / RECORD_FILE).write_text(record)
    assert refusal(copy).startswith(f"{copy / RECORD_FILE}: expected the record of an export")


def test_a_network_that_has_changed_since_is_noticed(copy: Path) -> None:
    (copy / NETWORK_FILE).write_bytes(b"trained on")
    assert "from another model.keras" in refusal(copy)
    record = {"network_sha256": digest(copy / NETWORK_FILE), "precision": "float32"}
    (copy / RECORD_FILE).write_text(json.dumps(record))
    assert read_record(copy).precision == "float32"
    asr.load(copy)


def test_a_missing_or_broken_network_is_named(copy: Path) -> None:
    path = copy / ONNX_FILES["int8"]
    content = path.read_bytes()
    path.unlink()
    assert refusal(copy).startswith(f"{path}: expected a readable file")
    for broken in (b"", b"garbage", content[:-100], content[: len(content) // 2]):
        path.write_bytes(broken)
        assert refusal(copy).startswith(f"{path}: expected an ONNX network (")


def test_a_graph_that_makes_no_sense_is_refused_by_the_runtime(copy: Path) -> None:
    model = graph()
    model.graph.node[1].input[0] = "nowhere"
    (copy / ONNX_FILES["float32"]).write_bytes(model.SerializeToString())
    assert "expected an ONNX network (" in refusal(copy, precision="float32")


@pytest.mark.parametrize("sizes", [(11, 4), (10, 5)])
def test_a_network_of_another_shape_is_refused(copy: Path, sizes: tuple[int, int]) -> None:
    onnx.save(graph(*sizes), copy / ONNX_FILES["float32"])
    message = refusal(copy, precision="float32")
    assert "from 10 features to 4 tokens" in message
    assert f"received one from {sizes[0]} to {sizes[1]}" in message


def test_other_inputs_and_outputs_are_refused(copy: Path) -> None:
    model = graph()
    model.graph.output[0].name = model.graph.node[-2].output[0] = "probabilities"
    (copy / ONNX_FILES["float32"]).write_bytes(model.SerializeToString())
    message = refusal(copy, precision="float32")
    assert "received one with features, feature_lengths, probabilities, logit_lengths" in message


def test_logits_of_another_shape_than_promised_are_refused(
    copy: Path, rng: np.random.Generator
) -> None:
    """The shape a file declares is only a word: here the rows come out as steps."""
    model = graph()
    (last,) = (node for node in model.graph.node if node.output[0] == "logits")
    last.attribute[0].ints[:] = [0, 1, 2]
    path = copy / ONNX_FILES["float32"]
    path.write_bytes(model.SerializeToString())
    network = OnnxNetwork(path, **SHAPE)
    with pytest.raises(BundleError, match="expected float32 logits of shape"):
        network(features_of(rng), LENGTHS)


def test_without_the_runtime_its_extra_is_named(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"ONNX Runtime.*'bilstm-asr\[transcribe\]'"):
        asr.load(exported)
    assert open_bundle(exported).vocabulary == VOCABULARY
