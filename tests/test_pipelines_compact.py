"""A copy of a model at half its size: its network but for the rounding, and exported exactly."""

import zipfile
from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from asr.bundle import NETWORK_FILE, Bundle, open_bundle, write_settings
from asr.errors import BundleError
from asr.features import FeatureOptions
from asr.onnx_network import ONNX_FILES, OnnxNetwork
from asr.options import to_table
from asr.pronunciations import Pronunciations
from asr.vocabulary import Vocabulary
from models.bilstm import BiLSTMOptions, build_bilstm
from models.onnx_graph import build_onnx
from pipelines import cli
from pipelines import export as exporting
from pipelines.compact import NOTE, compact, round_to_bfloat16
from pipelines.network import load_network

FEATURES = FeatureOptions(n_mfcc=5, stack=2)
VOCABULARY = Vocabulary.from_characters(" ab")

FLOATS = arrays.arrays(
    np.float32,
    arrays.array_shapes(max_dims=3, max_side=5),
    elements=st.floats(-(2.0**99), 2.0**99, width=32),
)


@given(FLOATS)
def test_rounding_is_that_of_an_independent_implementation(values: np.ndarray) -> None:
    expected = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(round_to_bfloat16(values), expected)
    np.testing.assert_array_equal(round_to_bfloat16(expected), expected)


@pytest.fixture
def model(tmp_path: Path) -> Bundle:
    keras.utils.set_random_seed(7)
    network = build_bilstm(
        BiLSTMOptions(units=64, num_layers=2, layer_norm=True),
        num_features=FEATURES.num_features,
        vocab_size=len(VOCABULARY),
    )
    folder = tmp_path / "full"
    recipe = {"features": to_table(FEATURES), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=VOCABULARY, card="# full\n")
    network.save(folder / NETWORK_FILE)
    return open_bundle(folder)


def size(folder: Path, name: str) -> int:
    return (folder / name).stat().st_size


def test_a_copy_holds_the_rounded_network_at_half_the_size(model: Bundle, tmp_path: Path) -> None:
    copy = compact(model, tmp_path / "small")
    original = load_network(model.folder).get_weights()
    for before, after in zip(original, load_network(copy.folder).get_weights(), strict=True):
        expected = round_to_bfloat16(before) if before.ndim > 1 else before
        np.testing.assert_array_equal(after, expected)
    assert size(copy.folder, NETWORK_FILE) < 0.6 * size(model.folder, NETWORK_FILE)
    assert copy.card == f"# full\n\n{NOTE}\n"
    assert (copy.recipe, copy.vocabulary.tokens) == (model.recipe, model.vocabulary.tokens)
    with zipfile.ZipFile(copy.folder / NETWORK_FILE) as file:
        assert file.testzip() is None


def test_its_onnx_file_has_half_the_size_too_and_exactly_its_numbers(
    model: Bundle, tmp_path: Path
) -> None:
    copy = compact(model, tmp_path / "small")
    for bundle in (model, copy):
        assert exporting.export(bundle, quiet=True).agreements["float32"].identical_texts == 1
    halves = ONNX_FILES["float32"]
    assert size(copy.folder, halves) < 0.6 * size(model.folder, halves)
    # Full numbers of the same rounded network: what ONNX Runtime converts must not differ a bit.
    network = load_network(copy.folder)
    onnx.save(build_onnx(network), tmp_path / "whole.onnx")
    shape = {"num_features": FEATURES.num_features, "vocab_size": len(VOCABULARY)}
    features = np.random.default_rng(0).standard_normal((2, 9, FEATURES.num_features), np.float32)
    lengths = np.array([9, 5], np.int32)
    whole, stored = (
        OnnxNetwork(path, **shape)(features, lengths)[0]
        for path in (tmp_path / "whole.onnx", copy.folder / halves)
    )
    np.testing.assert_array_equal(whole[0], stored[0])
    np.testing.assert_array_equal(whole[1, :5], stored[1, :5])


def test_a_copy_replaces_nothing(model: Bundle, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    with pytest.raises(BundleError, match="expected no such folder yet, or an empty one"):
        compact(model, tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_the_command_leaves_the_model_as_it_is(model: Bundle, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in model.folder.iterdir()}
    target = tmp_path / "small"
    assert cli.main(["export", str(model.folder), "--compact-to", str(target), "--quiet"]) == 0
    assert {path: path.read_bytes() for path in model.folder.iterdir()} == before
    assert {*ONNX_FILES.values()} <= {path.name for path in target.iterdir()}


def test_of_sounds_only_the_words_that_are_written_keep_theirs(
    model: Bundle, tmp_path: Path
) -> None:
    spoken = Pronunciations.of({"ab": [["a"], ["b"]], "ba": [["b", "a"]]})
    sounds = Vocabulary(tokens=VOCABULARY.tokens, kind="sounds", pronunciations=spoken)
    for words, kept in ((["ba"], ["ba"]), ([], ["ab", "ba"])):
        recipe = {**model.recipe, "decoding": {"method": "beam", "words": words}}
        write_settings(model.folder, recipe=recipe, vocabulary=sounds, card="# x\n")
        made = compact(open_bundle(model.folder), tmp_path / f"half-{len(words)}").vocabulary
        assert made.tokens == sounds.tokens
        assert made.pronunciations is not None
        assert [*made.pronunciations] == kept
