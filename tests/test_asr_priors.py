"""Tokens' priors: measured over speech, and taken out where something better stands in for them."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asr.decoder import Decoder
from asr.decoding import DecodingOptions, less_priors, token_log_priors
from asr.errors import DecodingError, OptionsError
from asr.lm import NgramModel, read_arpa
from asr.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]
LETTERS = Vocabulary.from_characters(" ab")
PRIORS = tuple(math.log(p) for p in (0.7, 0.1, 0.18, 0.02))
ARPA = """\\data\\
ngram 1=5

\\1-grams:
-3\t<unk>
-99\t<s>
-1\t</s>
-1\ta
-1\tb

\\end\\
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NgramModel:
    path: Path = tmp_path_factory.mktemp("lm") / "two.arpa"
    path.write_text(ARPA)
    return read_arpa(path)


def normal(logits: Floats) -> Floats:
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


some_log_probs = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(-20, 20)
).map(normal)


def test_a_token_counts_once_more_than_it_is_said() -> None:
    certain = np.log(np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]]) + 1e-300)
    found = token_log_priors([certain[:2], certain[2:]], vocab_size=3)
    np.testing.assert_allclose(np.exp(found), np.array([3, 2, 1]) / 6)
    np.testing.assert_allclose(token_log_priors([], vocab_size=5), math.log(1 / 5))


@given(some_log_probs, st.floats(0, 1))
def test_what_is_left_are_log_probabilities(log_probs: Floats, scale: float) -> None:
    found = less_priors(log_probs, PRIORS, scale=scale)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
    # Of two tokens, each gains on the other what the priors say, whatever was heard.
    gained = found - log_probs + scale * np.array(PRIORS)
    np.testing.assert_allclose(gained, np.broadcast_to(gained[:, :1], gained.shape), atol=1e-9)


def test_a_network_that_hears_nothing_is_left_with_no_opinion() -> None:
    deaf = np.tile(np.log(np.exp(PRIORS) / np.exp(PRIORS).sum()), (3, 1))
    np.testing.assert_allclose(less_priors(deaf, PRIORS, scale=1.0), math.log(1 / 4))


def decoder(model: NgramModel | None, scale: float, **more: object) -> Decoder:
    options = {"method": "beam", "alpha": 0.1, "beta": 0.0, "token_log_priors": PRIORS} | more
    return Decoder(DecodingOptions(**options, prior_scale=scale), LETTERS, model)  # type: ignore[arg-type]


A, B, AB = (LETTERS.encode(text) for text in ("a", "b", "ab"))
NEARLY_B = np.log(np.array([[0.2, 0.01, 0.45, 0.34]]))


def test_a_rare_letter_is_heard_once_the_network_expects_it_no_less(model: NgramModel) -> None:
    assert list(decoder(model, 0.0)(NEARLY_B).tokens) == A
    assert list(decoder(model, 0.5)(NEARLY_B).tokens) == B
    assert [list(one.tokens) for one in decoder(model, 0.5).n_best(NEARLY_B, 2)] == [B, A]
    assert list(decoder(None, 0.5, words=("a", "b"))(NEARLY_B).tokens) == B


@given(some_log_probs)
def test_nothing_is_taken_out_where_nothing_stands_in_for_it(log_probs: Floats) -> None:
    plain = Decoder(DecodingOptions(method="beam"), LETTERS)(log_probs)
    assert decoder(None, 0.5)(log_probs) == plain
    greedy = Decoder(DecodingOptions(), LETTERS)(log_probs)
    assert decoder(None, 0.5, method="greedy")(log_probs) == greedy


def test_priors_of_another_alphabet_are_refused(model: NgramModel) -> None:
    with pytest.raises(DecodingError, match="vocabulary's 4 tokens, received 3"):
        decoder(model, 0.5, token_log_priors=PRIORS[:3])
    decoder(None, 0.5, token_log_priors=PRIORS[:3])  # they are not asked


def test_what_is_no_log_probability_is_refused() -> None:
    for bad in (np.ones((2, 4)), np.zeros(4)):
        with pytest.raises(DecodingError, match="expected log-probabilities"):
            less_priors(bad, PRIORS, scale=0.5)


@pytest.mark.parametrize(
    ("scale", "priors", "expected"),
    [
        (1.1, PRIORS, "prior_scale in 0..1"),
        (-0.1, PRIORS, "prior_scale in 0..1"),
        (0.5, (), "token_log_priors with prior_scale"),
        (0.0, (0.1,), "finite and at most 0"),
        (0.0, (-math.inf,), "finite and at most 0"),
    ],
)
def test_senseless_settings_are_refused(
    scale: float, priors: tuple[float, ...], expected: str
) -> None:
    with pytest.raises(OptionsError, match=expected):
        DecodingOptions(prior_scale=scale, token_log_priors=priors)
