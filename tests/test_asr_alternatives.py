"""The best texts of a search that recombines: each exactly scored, none better left out."""

import itertools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding import FusionWeights, Lexicon, best_texts, ctc_log_probability, fast_beam
from asr.decoding.forward_kernel import text_log_probs
from asr.decoding.fusion import Fusion
from asr.errors import DecodingError
from asr.lm import NgramModel, read_arpa

LETTERS = ("", " ", "a", "b")
ARPA = """\\data\\
ngram 1=7
ngram 2=2

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.2
-0.6\t</s>
-0.7\ta\t-0.3
-0.9\tb\t0
-1.1\tab\t0
-1.3\tba\t0

\\2-grams:
-0.1\ta ba
-0.4\tb a

\\end\\
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NgramModel:
    path: Path = tmp_path_factory.mktemp("lm") / "small.arpa"
    path.write_text(ARPA)
    return read_arpa(path)


def random_log_probs(steps: int, seed: int, *, sharp: float = 2.0) -> npt.NDArray[np.float64]:
    logits = sharp * np.random.default_rng(seed).normal(size=(steps, len(LETTERS)))
    found: npt.NDArray[np.float64] = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found


@given(
    texts=st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=1, max_size=5),
    steps=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_texts_are_as_probable_as_the_forward_algorithm_says(
    texts: list[list[int]], steps: int, seed: int
) -> None:
    log_probs = random_log_probs(steps, seed)
    starts = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    tokens = np.array([token for text in texts for token in text], np.int32)
    expected = [ctc_log_probability(log_probs, text, blank_id=0) for text in texts]
    found = text_log_probs(log_probs, tokens, starts, 0)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_long_text_does_not_vanish() -> None:
    log_probs = random_log_probs(3000, 1)
    text = [1, 2, 3] * 300
    found = text_log_probs(log_probs, np.array(text, np.int32), np.array([0, 900], np.int32), 0)
    assert found[0] < -1000
    assert found[0] == pytest.approx(ctc_log_probability(log_probs, text, blank_id=0))


@given(
    steps=st.integers(0, 30),
    seed=st.integers(0, 10_000),
    beam_width=st.sampled_from([1, 4, 20]),
    count=st.integers(1, 12),
    weights=st.tuples(st.floats(0, 2), st.floats(-2, 3), st.floats(-4, 0), st.booleans()),
)
def test_each_is_another_text_with_its_own_score(
    model: NgramModel,
    steps: int,
    seed: int,
    beam_width: int,
    count: int,
    weights: tuple[float, float, float, bool],
) -> None:
    fusion = Fusion(
        LETTERS, language_model=model, weights=FusionWeights(*weights), hotwords={"ab": 1.0}
    )
    log_probs = random_log_probs(steps, seed)
    same = {"blank_id": 0, "beam_width": beam_width, "fusion": fusion, "count": count}
    found = best_texts(log_probs, **same)  # type: ignore[arg-type]
    assert 1 <= len(found) <= count
    assert len({one.tokens for one in found}) == len(found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        heard = ctc_log_probability(log_probs, one.tokens, blank_id=0)
        assert one.log_probability == pytest.approx(heard, abs=1e-6)
        added = fusion.finished(one.tokens)
        assert (one.fusion_score, one.lm_log_probability) == tuple(added)
    (alone,) = fast_beam.beam_search(log_probs, recombine=True, **(same | {"count": 1}))  # type: ignore[arg-type]
    assert found[0].score >= alone.score - 1e-5


@pytest.mark.parametrize("seed", range(12))
def test_no_better_text_is_left_out(seed: int, model: NgramModel) -> None:
    """Against all texts of up to five letters, where the beam has room for them."""
    fusion = Fusion(LETTERS, language_model=model, weights=FusionWeights(0.8, 0.5, -2.0, False))
    log_probs = random_log_probs(5, seed)
    every = [text for n in range(6) for text in itertools.product((1, 2, 3), repeat=n)]
    scores = sorted(
        (
            ctc_log_probability(log_probs, text, blank_id=0) + fusion.finished(text).score
            for text in every
        ),
        reverse=True,
    )
    found = best_texts(log_probs, blank_id=0, beam_width=300, fusion=fusion, count=60)
    # What is dropped is told apart by costs that are true up to how a prefix has come to end.
    assert [one.score for one in found[:10]] == pytest.approx(scores[:10], abs=1e-6)


def test_they_differ_where_a_beam_of_that_width_would_not(model: NgramModel) -> None:
    """A word in doubt at the beginning, a sure one, and many letters in doubt at the end."""
    fusion = Fusion(LETTERS, language_model=model)
    doubt, space, sure = [0.02, 0.02, 0.5, 0.46], [0.02, 0.94, 0.02, 0.02], [0.02, 0.02, 0.94, 0.02]
    odds = [doubt, space, sure, space, *[[0.1, 0.05, 0.45, 0.4], [0.94, 0.02, 0.02, 0.02]] * 6]
    log_probs = np.log(odds)
    same = {"blank_id": 0, "beam_width": 8, "fusion": fusion, "count": 8}
    ours = best_texts(log_probs, **same)  # type: ignore[arg-type]
    beams = fast_beam.beam_search(log_probs, recombine=True, **same)  # type: ignore[arg-type]
    assert len({one.tokens[0] for one in beams}) == 1
    assert len({one.tokens[0] for one in ours}) == 2


@pytest.mark.parametrize("seed", range(4))
def test_fewer_are_the_first_of_more(seed: int, model: NgramModel) -> None:
    fusion = Fusion(LETTERS, language_model=model)
    log_probs = random_log_probs(30, seed)
    found = [
        best_texts(log_probs, blank_id=0, beam_width=30, fusion=fusion, count=count)
        for count in (3, 10, 60)
    ]
    assert found[0] == found[1][:3]
    assert found[1] == found[2][:10]


def test_a_lexicon_is_kept_to(model: NgramModel) -> None:
    fusion = Fusion(LETTERS, language_model=model)
    lexicon = Lexicon([(2,), (2, 3), (3, 3, 2)], separator=(1,))
    for seed in range(5):
        found = best_texts(
            random_log_probs(25, seed),
            blank_id=0,
            beam_width=12,
            lexicon=lexicon,
            fusion=fusion,
            count=20,
        )
        for one in found:
            words = "".join(map(str, one.tokens)).split("1")
            assert set(words) <= {"", "2", "23", "332"}


def test_without_a_language_model_they_are_the_beams() -> None:
    log_probs = random_log_probs(20, 3)
    found = best_texts(log_probs, blank_id=0, beam_width=10, count=5)
    expected = fast_beam.beam_search(log_probs, blank_id=0, beam_width=10, count=5)
    assert [(one.tokens, one.score) for one in found] == [
        (one.tokens, one.score) for one in expected
    ]


def test_what_is_no_log_probability_is_refused(model: NgramModel) -> None:
    fusion = Fusion(LETTERS, language_model=model)
    with pytest.raises(DecodingError):
        best_texts(np.full((3, 4), math.nan), blank_id=0, beam_width=4, fusion=fusion, count=2)
