"""Keras networks behind the recognizer: opened safely, quietly, and only if they fit."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr.bundle import NETWORK_FILE, open_bundle, write_settings
from asr.errors import BundleError, MissingExtraError, OptionsError
from asr.features import FeatureOptions
from asr.options import to_table
from asr.vocabulary import Vocabulary
from models.bilstm import BiLSTMOptions, build_bilstm
from pipelines import network
from pipelines.network import load_recognizer, recognizer_of, require_backend

ROOT = Path(__file__).resolve().parent.parent
FEATURES = FeatureOptions(n_mfcc=5, stack=2)
VOCABULARY = Vocabulary.from_characters(" ab")


def build(num_features: int = FEATURES.num_features, vocab_size: int = len(VOCABULARY)) -> Any:
    keras.utils.set_random_seed(4)
    options = BiLSTMOptions(units=6, num_layers=2)
    return build_bilstm(options, num_features=num_features, vocab_size=vocab_size)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle with an untrained network."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    recipe = {"features": to_table(FEATURES), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=VOCABULARY, card="")
    build().save(folder / NETWORK_FILE)
    return folder


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """The same bundle, to be broken."""
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_recognizer(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def run_python(program: str, *paths: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter that finds packages in `paths` first."""
    path = os.pathsep.join(map(str, [*paths, ROOT]))
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# Using a network


def test_a_batch_is_its_items_with_a_real_network(model: Path, rng: np.random.Generator) -> None:
    recognizer = load_recognizer(model)
    lengths = [8_000, 1, 24_000, 100, 8_000]
    recordings = [rng.uniform(-0.3, 0.3, length).astype(np.float32) for length in lengths]
    together = recognizer.transcribe_batch(recordings)
    assert any(transcript.words for transcript in together)
    for transcript, samples in zip(together, recordings, strict=True):
        alone = recognizer.transcribe(samples)
        assert alone.text == transcript.text
        for ours, theirs in zip(alone.words, transcript.words, strict=True):
            assert (ours.text, ours.start_s, ours.end_s) == (
                theirs.text,
                theirs.start_s,
                theirs.end_s,
            )
            assert ours.probability == pytest.approx(theirs.probability, abs=1e-4)
        assert alone.log_probability == pytest.approx(transcript.log_probability, abs=1e-3)
    features = [recognizer.extract(samples) for samples in recordings]
    for found, row in zip(recognizer.log_probs(features), features, strict=True):
        np.testing.assert_allclose(found, recognizer.log_probs([row])[0], atol=1e-4)


# Opening one


def test_a_missing_network_is_named(copy: Path) -> None:
    (copy / NETWORK_FILE).unlink()
    assert f"expected {NETWORK_FILE}" in refusal(copy)


def empty_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w"):
        pass


def without_weights(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"garbage"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        empty_zip,
        without_weights,
    ],
)
def test_a_broken_network_is_named(copy: Path, damage: Callable[[Path], object]) -> None:
    damage(copy / NETWORK_FILE)
    message = refusal(copy)
    assert message.startswith(f"{copy / NETWORK_FILE}: expected a Keras network (")


def test_a_lambda_layer_is_refused_and_not_run(copy: Path) -> None:
    inputs = keras.Input((None, FEATURES.num_features), name="features")
    lengths = keras.Input((), dtype="int32", name="feature_lengths")
    # As a function it would be saved by name; a lambda is saved as Python code.
    layer = keras.layers.Lambda(lambda x: x[:, :, :4])
    malicious = keras.Model({"features": inputs, "feature_lengths": lengths}, layer(inputs))
    malicious.save(copy / NETWORK_FILE)
    assert "lambda" in refusal(copy).lower()


def test_a_config_cannot_name_any_python_function(copy: Path) -> None:
    path, trace = copy / NETWORK_FILE, copy / "trace"
    config = {
        "module": "os",
        "class_name": "mkdir",
        "config": {"path": str(trace)},
        "registered_name": "mkdir",
    }
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refusal(copy)
    assert not trace.exists()


@pytest.mark.parametrize("sizes", [(FEATURES.num_features + 1, 4), (FEATURES.num_features, 5)])
def test_a_network_of_another_shape_is_refused(model: Path, sizes: tuple[int, int]) -> None:
    with pytest.raises(BundleError, match="from 10 features to 4 tokens") as caught:
        recognizer_of(open_bundle(model), build(*sizes))
    assert f"received one from {sizes[0]} to {sizes[1]}" in str(caught.value)


def strangers() -> list[Any]:
    inputs = keras.Input((None, 10), name="features")
    lengths = keras.Input((), dtype="int32", name="feature_lengths")
    return [
        keras.Model(inputs, keras.layers.Dense(4)(inputs)),
        keras.Model([inputs, lengths], [inputs, lengths]),
        keras.Model([inputs, lengths], keras.ops.mean(inputs, axis=1)),
        keras.layers.Dense(4),
    ]


@pytest.mark.parametrize("stranger", range(4))
def test_a_stranger_is_refused(model: Path, stranger: int) -> None:
    with pytest.raises(BundleError, match="expected a network from features and feature_lengths"):
        recognizer_of(open_bundle(model), strangers()[stranger])


# The backend


@pytest.mark.parametrize(
    ("there", "chosen", "message"),
    [
        (set(), None, r"needs keras,.*\[train\]"),
        ({"keras"}, None, r"needs tensorflow,.*\[train\]"),
        ({"tensorflow"}, None, r"needs keras,.*\[train\]"),
        ({"jax"}, None, r"needs keras,.*\[jax\]"),
        ({"keras", "tensorflow"}, "jax", r"needs jax,.*\[jax\]"),
        ({"keras", "jax"}, "tensorflow", r"needs tensorflow,.*\[train\]"),
    ],
)
def test_what_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, there: set[str], chosen: str | None, message: str
) -> None:
    monkeypatch.setattr(network, "_is_installed", there.__contains__)
    monkeypatch.setenv("KERAS_BACKEND", chosen or "")
    with pytest.raises(MissingExtraError, match=message):
        require_backend()


@pytest.mark.parametrize(
    ("there", "taken"), [({"keras", "jax"}, "jax"), ({"keras", "jax", "tensorflow"}, "tensorflow")]
)
def test_the_backend_that_is_there_is_taken(
    monkeypatch: pytest.MonkeyPatch, there: set[str], taken: str
) -> None:
    monkeypatch.setattr(network, "_is_installed", there.__contains__)
    monkeypatch.setenv("KERAS_BACKEND", "")
    require_backend()
    assert os.environ["KERAS_BACKEND"] == taken


def test_a_backend_the_networks_are_not_made_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(OptionsError, match="expected tensorflow or jax, received torch"):
        require_backend()


def test_an_environment_without_keras_names_the_extra(tmp_path: Path) -> None:
    """As after a plain install: nothing of site-packages but what reading a bundle needs."""
    program = (
        "import sys, importlib.machinery as machinery\n"
        "find = machinery.PathFinder.find_spec\n"
        "class Finder:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        missing = name in ('keras', 'tensorflow', 'jax')\n"
        "        return None if missing else find(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(machinery.PathFinder)] = Finder\n"
        "from pipelines.cli import main\n"
        f"sys.exit(main(['transcribe', '--model', {str(tmp_path)!r}, {__file__!r}]))\n"
    )
    write_settings(
        tmp_path,
        recipe={"features": {}, "text": {"language": "en"}},
        vocabulary=VOCABULARY,
        card="",
    )
    (tmp_path / NETWORK_FILE).touch()
    run = run_python(program, KERAS_BACKEND="")
    assert run.stderr == (
        "asr: this needs keras, which is not installed: pip install 'bilstm-asr[train]'\n"
    )
    assert (run.returncode, run.stdout) == (1, "")


IMPORT = "import pipelines.network as n, os\nn.import_backend()\nos.write(2, b'afterwards\\n')\n"


def fake_keras(folder: Path, body: str) -> Path:
    """A package folder whose `keras` writes to the error stream's descriptor, as libraries do."""
    (folder / "tensorflow.py").touch()
    (folder / "keras.py").write_text(f"import os, sys\n{body}\n")
    return folder


SAYS = r"""
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to X\n")
os.write(2, b"I0000 00:00:1795221894.508372   29192 port.cc:153] oneDNN operations are on.\n")
os.write(2, b"W0000 00:00:1795221894.508372   29192 port.cc:160] a warning\n")
print("I say so", file=sys.stderr)
os.write(2, b"To enable the following instructions: AVX2, rebuild TensorFlow\nno newline")
"""


def test_notices_are_held_back_and_all_else_passes(tmp_path: Path) -> None:
    run = run_python(IMPORT, fake_keras(tmp_path, SAYS))
    assert run.stderr == (
        "W0000 00:00:1795221894.508372   29192 port.cc:160] a warning\n"
        "I say so\n"
        "no newlineafterwards\n"
    )


def test_a_broken_backend_says_why(tmp_path: Path) -> None:
    broken = f"{SAYS}\nraise ImportError('libcud.so: no such file')"
    program = f"from asr.errors import AsrError\ntry:\n {IMPORT.splitlines()[0]};n.import_backend()"
    program += "\nexcept AsrError as error: print(error)"
    run = run_python(program, fake_keras(tmp_path, broken))
    assert run.stdout == (
        "tensorflow is installed, but importing it failed: libcud.so: no such file\n"
    )
    assert "a warning" in run.stderr
    assert "oneDNN" not in run.stderr


def test_a_crash_of_the_backend_says_where(tmp_path: Path) -> None:
    run = run_python(IMPORT, fake_keras(tmp_path, "os.abort()"))
    assert run.returncode != 0
    assert "Fatal Python error: Aborted" in run.stderr
    assert "keras.py" in run.stderr


def test_without_an_error_stream_it_is_imported_all_the_same(tmp_path: Path) -> None:
    program = f"import os\nos.close(2)\n{IMPORT.rpartition('os.write')[0]}\nprint('done')"
    assert run_python(program, fake_keras(tmp_path, "")).stdout == "done\n"


def test_the_real_backend_is_quiet() -> None:
    program = (
        "import asr\nfrom pipelines.network import import_backend\nimport_backend()\n"
        "import keras\nprint(keras.backend.backend())"
    )
    run = run_python(program)
    assert run.stderr == ""
    assert run.stdout == f"{keras.backend.backend()}\n"
