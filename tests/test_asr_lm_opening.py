"""Models opened by what the file is; KenLM's asked through a package that is played here."""

import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from asr.errors import LanguageModelError, MissingExtraError
from asr.lm import KenlmModel, NgramModel, open_model, perplexity, write_arpa, write_binary
from asr.lm.kenlm_model import MAGIC
from asr.lm.trie import Level, build_trie
from asr.lm.words import Words


@pytest.fixture
def model(rng: np.random.Generator) -> NgramModel:
    words = Words.of(["<s>", "</s>", "<unk>", "a", "b"])
    ids = np.arange(5, dtype=np.int32)[:, None]
    pairs = np.array([[1, 3], [3, 4], [4, 0]], np.int32)
    values = -rng.random(5).astype(np.float32)
    levels = [Level(ids, values, values), Level(pairs, values[:3], values[:3])]
    return NgramModel(build_trie(levels), words)


class Played:
    """As much of the package kenlm as we use, on top of a model of ours."""

    def __init__(self, model: NgramModel) -> None:
        ours = model

        class State:
            node = 0

        class Model:
            order = ours.order

            def __init__(self, path: str) -> None:
                if Path(path).stat().st_size < 100:
                    raise OSError("Cannot read model")

            def __contains__(self, word: str) -> bool:
                return word in ours

            def BeginSentenceWrite(self, state: State) -> None:  # noqa: N802 - KenLM's name
                state.node = ours.begin_state

            def NullContextWrite(self, state: State) -> None:  # noqa: N802 - KenLM's name
                state.node = ours.null_state

            def BaseScore(self, state: State, word: str, out: State) -> float:  # noqa: N802
                log_prob, out.node = ours.advance(state.node, word)
                return log_prob / math.log(10)

            def score(self, sentence: str, bos: bool, eos: bool) -> float:
                return ours.score(sentence, begin=bos, end=eos) / math.log(10)

        self.module = types.ModuleType("kenlm")
        self.module.__dict__.update(Model=Model, State=State)


def test_every_form_is_opened_by_what_it_is(model: NgramModel, tmp_path: Path) -> None:
    write_binary(tmp_path / "plain", model)
    write_binary(tmp_path / "packed", model, bits=16)
    write_arpa(tmp_path / "arpa", model)
    write_arpa(tmp_path / "arpa.gz", model)
    for name in ("plain", "packed", "arpa", "arpa.gz"):
        again = open_model(tmp_path / name)
        assert isinstance(again, NgramModel)
        assert again.score("a b c") == pytest.approx(model.score("a b c"), abs=1e-5), name


def test_kenlm_answers_as_a_model_of_ours(
    model: NgramModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", Played(model).module)
    (tmp_path / "lm.bin").write_bytes(MAGIC + bytes(100))
    kenlm = open_model(tmp_path / "lm.bin")
    assert isinstance(kenlm, KenlmModel)
    assert kenlm.order == 2
    assert "a" in kenlm
    assert "c" not in kenlm
    for begin in (True, False):
        theirs = kenlm.begin_state if begin else kenlm.null_state
        ours = model.begin_state if begin else model.null_state
        for word in ("a", "b", "c", "a", "</s>"):
            wanted, ours = model.advance(ours, word)
            log_prob, theirs = kenlm.advance(theirs, word)
            assert log_prob == pytest.approx(wanted)
        assert kenlm.score("a c", begin=begin) == pytest.approx(model.score("a c", begin=begin))


def test_what_kenlm_cannot_read_is_an_error_of_ours(
    model: NgramModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", Played(model).module)
    (tmp_path / "lm.bin").write_bytes(MAGIC)
    with pytest.raises(LanguageModelError, match=r"lm.bin: KenLM cannot read this file"):
        open_model(tmp_path / "lm.bin")


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    (tmp_path / "lm.bin").write_bytes(MAGIC + bytes(100))
    with pytest.raises(MissingExtraError, match="pip install kenlm"):
        open_model(tmp_path / "lm.bin")


def test_perplexity_is_the_mean_of_the_words(model: NgramModel) -> None:
    found = perplexity(model, ["a b", "", "b c"])
    assert (found.num_sentences, found.num_words, found.num_unknown) == (2, 4, 1)
    total = model.score("a b") + model.score("b c")
    unknown = model.score("b c", end=False) - model.score("b", end=False)
    assert found.log_prob == pytest.approx(total)
    assert found.value == pytest.approx(math.exp(-(total - unknown) / 5))
    assert found.value_with_unknown == pytest.approx(math.exp(-total / 6))
    assert found.unknown_rate == 0.25


def test_perplexity_of_nothing_is_refused(model: NgramModel) -> None:
    with pytest.raises(LanguageModelError, match="at least one word"):
        perplexity(model, [" "])
