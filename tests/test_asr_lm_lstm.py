"""The recurrent language model: against its equations, one piece at a time; and its file."""

import io
import itertools
import json
import math
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import LanguageModelError, OptionsError
from asr.lm.lstm import LstmModel, LstmWeights, lstm_perplexity
from asr.lm.lstm_file import is_lstm, read_lstm, write_lstm
from asr.lm.word_pieces import END_ID, SPACE, SPECIAL, WordPieces

PIECES = WordPieces([*SPECIAL, SPACE, "a", "b", f"{SPACE}a"], [0.0, 0.0, -2.0, -2.0, -2.0, -1.0])
Doubles = npt.NDArray[np.float64]


def weights(seed: int, *, units: int = 4, width: int = 3, scale: float = 1.0) -> LstmWeights:
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> npt.NDArray[np.float32]:
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return LstmWeights(
        embedding=drawn(len(PIECES), width),
        kernel=drawn(width, 4 * units),
        recurrent_kernel=drawn(units, 4 * units),
        bias=drawn(4 * units),
        projection=drawn(units, width),
        projection_bias=drawn(width),
        output_bias=drawn(len(PIECES)),
    )


def by_the_equations(one: LstmWeights, pieces: list[int]) -> float:
    """Log-probability of pieces behind a sentence's end, in double precision."""

    def sigmoid(value: Doubles) -> Doubles:
        return 1 / (1 + np.exp(-value))

    h = c = np.zeros(len(one.recurrent_kernel))
    total = 0.0
    for before, piece in itertools.pairwise([END_ID, *pieces]):
        z = one.embedding[before].astype(float) @ one.kernel + h @ one.recurrent_kernel + one.bias
        i, f, g, o = np.split(z, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        logits = one.embedding @ (h @ one.projection + one.projection_bias) + one.output_bias
        total += logits[piece] - math.log(np.exp(logits).sum())
    return total


TEXTS = st.lists(st.text("ab ", max_size=7), min_size=1, max_size=8)


@given(texts=TEXTS, seed=st.integers(0, 1000))
def test_many_texts_score_as_each_does_by_the_equations(texts: list[str], seed: int) -> None:
    model = LstmModel(PIECES, weights(seed))
    expected = [by_the_equations(model.weights, [*PIECES.encode(t), END_ID]) for t in texts]
    np.testing.assert_allclose(model.score(texts), expected, rtol=1e-4, atol=1e-4)


def test_no_texts_have_no_scores() -> None:
    assert LstmModel(PIECES, weights(0)).score([]).shape == (0,)


def test_perplexity_counts_words_and_sentence_ends() -> None:
    model = LstmModel(PIECES, weights(1))
    log_prob = model.score(["ab a", "b"]).sum()
    assert lstm_perplexity(model, ["ab a", "", "b"]) == pytest.approx(math.exp(-log_prob / 5))
    with pytest.raises(LanguageModelError, match="at least one word"):
        lstm_perplexity(model, ["", " "])


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), bits=st.integers(4, 8))
def test_a_written_model_is_the_same_but_for_its_rounding(
    tmp_path_factory: pytest.TempPathFactory, seed: int, bits: int
) -> None:
    path = tmp_path_factory.mktemp("lm") / "lm.lstm"
    model = LstmModel(PIECES, weights(seed))
    write_lstm(path, model, bits=bits)
    assert is_lstm(path)
    found = read_lstm(path)
    assert found.pieces.pieces == PIECES.pieces
    assert found.pieces.encode("aab b") == PIECES.encode("aab b")
    for field in fields(LstmWeights):
        ours, theirs = getattr(model.weights, field.name), getattr(found.weights, field.name)
        step = np.abs(ours).max() / (2 ** (bits - 1) - 1)
        np.testing.assert_allclose(theirs, ours, atol=0.51 * step if ours.ndim == 2 else 0)


def test_what_was_rounded_is_not_rounded_again(tmp_path: Path) -> None:
    write_lstm(tmp_path / "a.lstm", LstmModel(PIECES, weights(3)), bits=5)
    write_lstm(tmp_path / "b.lstm", read_lstm(tmp_path / "a.lstm"), bits=5)
    texts = ["ab", "b a", ""]
    np.testing.assert_allclose(
        read_lstm(tmp_path / "b.lstm").score(texts), read_lstm(tmp_path / "a.lstm").score(texts)
    )


@pytest.mark.parametrize("bits", [3, 9])
def test_other_numbers_of_bits_are_refused(tmp_path: Path, bits: int) -> None:
    with pytest.raises(OptionsError, match="4 to 8 bits"):
        write_lstm(tmp_path / "lm.lstm", LstmModel(PIECES, weights(0)), bits=bits)


def test_weights_that_do_not_fit_are_refused() -> None:
    good = weights(0)
    with pytest.raises(LanguageModelError, match=r"kernel of shape \(3, 16\)"):
        replace(good, kernel=good.kernel[:2])
    with pytest.raises(LanguageModelError, match="finite numbers as bias"):
        replace(good, bias=good.bias * np.nan)
    other = WordPieces([*SPECIAL, "a"], [0.0, 0.0, -1.0])
    with pytest.raises(LanguageModelError, match="expected weights of 3 pieces, received 6"):
        LstmModel(other, good)


def changed(path: Path, **changes: Any) -> Path:
    """The file with arrays replaced, or left out where None."""
    with np.load(path) as stored:
        arrays = dict(stored) | changes
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(path.with_suffix(".npz"), **kept)
    return path.with_suffix(".npz")


def head(**changes: Any) -> npt.NDArray[np.uint8]:
    table = {"kind": "recurrent language model", "version": 1, "pieces": PIECES.pieces} | changes
    return np.frombuffer(json.dumps(table).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bias": None}, "bias"),
        ({"embedding_scale": None}, "embedding_scale"),
        ({"kernel": np.zeros((3, 16), np.float32)}, "kernel is of another type"),
        ({"kernel": np.zeros(3, np.int8)}, "kernel is of another shape"),
        ({"projection": np.zeros((5, 3), np.int8)}, "projection of shape"),
        ({"head": head(version=2)}, "expected version 1, received 2"),
        ({"head": head(kind="a picture")}, "something else"),
        ({"head": head(pieces=[1, 2, 3, 4, 5, 6])}, "pieces that are text"),
        ({"head": np.frombuffer(b"[]", np.uint8)}, "something else"),
        ({"head": np.frombuffer(b"\xff{", np.uint8)}, "recurrent language model"),
        ({"scores": np.zeros(4, np.float32)}, "expected 6 scores"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    write_lstm(tmp_path / "lm.lstm", LstmModel(PIECES, weights(0)))
    broken = changed(tmp_path / "lm.lstm", **changes)
    with pytest.raises(LanguageModelError, match=reason) as error:
        read_lstm(broken)
    assert str(broken) in str(error.value)


def test_a_file_cut_short_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lm.lstm"
    write_lstm(path, LstmModel(PIECES, weights(0)))
    whole = path.read_bytes()
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(LanguageModelError, match="recurrent language model"):
            read_lstm(path)


def test_a_file_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("head.npy", bytes(1 << 25))
    (tmp_path / "lm.lstm").write_bytes(packed.getvalue())
    with pytest.raises(LanguageModelError, match="unpack to 33,554,432 bytes"):
        read_lstm(tmp_path / "lm.lstm")
