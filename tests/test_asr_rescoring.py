"""The second choice: what the score is made of, and that the decoder asks for it."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.decoder import Decoder
from asr.decoding import DecodingOptions, Hypothesis
from asr.errors import DecodingError, OptionsError
from asr.rescoring import rescored
from asr.vocabulary import Vocabulary

LETTERS = Vocabulary.from_characters(" ab")
BEAM = DecodingOptions(method="beam", beam_width=8)
NUMBERS = st.floats(-50, 50, allow_nan=False)


class Liking:
    """Says that texts are likely in the order of a list."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.asked: list[list[str]] = []

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        self.asked.append(list(texts))
        places = [self.texts.index(text) if text in self.texts else 20 for text in texts]
        return np.array([-100.0 * place for place in places])


class Saying:
    """Says what it was told to."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = scores

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        assert len(texts) == len(self.scores)
        return np.array(self.scores)


def hypothesis(log_prob: float, language: float, fused: float) -> Hypothesis:
    return Hypothesis(
        tokens=(),
        frames=(),
        log_probability=log_prob,
        fusion_score=fused,
        lm_log_probability=language,
    )


@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, st.floats(0, 5)), min_size=1, max_size=6),
    weights=st.tuples(st.floats(0, 2), st.floats(-2, 2), st.floats(0, 1)),
)
def test_the_score_is_its_definition(
    rows: list[tuple[float, float, float, float]], weights: tuple[float, float, float]
) -> None:
    alpha, beta, share = weights
    options = dataclasses.replace(
        BEAM,
        alpha=0.7,
        beta=1.5,
        num_rescored=8,
        rescored_alpha=alpha,
        rescored_beta=beta,
        recurrent_share=share,
    )
    texts = [" ".join("a" * (place + 1)) for place in range(len(rows))]
    found = [
        hypothesis(heard, language, 0.7 * language + 1.5 * (place + 1) + hotwords)
        for place, (heard, language, _, hotwords) in enumerate(rows)
    ]
    saying = Saying([read for _, _, read, _ in rows])
    again = rescored(found, texts, options, saying, has_language_model=True)
    expected = [
        heard + alpha * ((1 - share) * language + share * read) + beta * (place + 1) + hotwords
        for place, (heard, language, read, hotwords) in enumerate(rows)
    ]
    np.testing.assert_allclose([one.score for one in again], sorted(expected)[::-1], atol=1e-6)
    # A search without a language model has counted no words.
    bare = [hypothesis(heard, 0.0, hotwords) for heard, _, _, hotwords in rows]
    again = rescored(bare, texts, options, saying, has_language_model=False)
    expected = [
        heard + alpha * share * read + beta * (place + 1) + hotwords
        for place, (heard, _, read, hotwords) in enumerate(rows)
    ]
    np.testing.assert_allclose([one.score for one in again], sorted(expected)[::-1], atol=1e-6)


def log_probs() -> npt.NDArray[np.float32]:
    """Sure of a, then undecided between a and b, then of neither."""
    odds = np.array([[1, 1, 90, 8], [90, 1, 8, 1], [1, 1, 60, 38], [97, 1, 1, 1]])
    found: npt.NDArray[np.float32] = np.log(odds / odds.sum(axis=1, keepdims=True)).astype(
        "float32"
    )
    return found


def test_the_decoder_chooses_among_the_beams_texts() -> None:
    assert LETTERS.decode(Decoder(BEAM, LETTERS)(log_probs()).tokens) == "aa"
    options = dataclasses.replace(BEAM, num_rescored=8, rescored_alpha=1.0, recurrent_share=1.0)
    liking = Liking("ab", "bb")
    decoder = Decoder(options, LETTERS, rescorer=liking)
    assert LETTERS.decode(decoder(log_probs()).tokens) == "ab"
    assert len(liking.asked[0]) == 8
    best = decoder.n_best(log_probs(), 3)
    assert [LETTERS.decode(one.tokens) for one in best][:2] == ["ab", "bb"]
    assert [one.score for one in best] == sorted((one.score for one in best), reverse=True)
    assert best[0].lm_log_probability == 0.0
    assert best[1].lm_log_probability == -100.0


def test_only_so_many_texts_are_read_unless_more_are_asked_for() -> None:
    options = dataclasses.replace(BEAM, num_rescored=2)
    liking = Liking()
    decoder = Decoder(options, LETTERS, rescorer=liking)
    decoder(log_probs())
    decoder.n_best(log_probs(), 5)
    assert [len(texts) for texts in liking.asked] == [2, 5]


def test_none_are_read_where_none_are_to_be() -> None:
    liking = Liking("ab")
    plain = Decoder(BEAM, LETTERS)(log_probs())
    assert Decoder(BEAM, LETTERS, rescorer=liking)(log_probs()) == plain
    assert not liking.asked


def test_a_batch_is_its_items() -> None:
    options = dataclasses.replace(BEAM, num_rescored=4, rescored_alpha=0.1)
    decoder = Decoder(options, LETTERS, rescorer=Liking("ab"))
    rows = [log_probs(), log_probs()[:2], log_probs()[:3]]
    assert decoder.batch(rows, num_threads=2) == [decoder(row) for row in rows]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(DecodingError, match="expected method 'beam' with a recurrent"):
        Decoder(DecodingOptions(), LETTERS, rescorer=Liking())
    for changes, reason in (
        ({"num_rescored": 9}, "at most 8"),
        ({"num_rescored": -1}, "at least 0"),
        ({"method": "greedy", "num_rescored": 1}, "at most 0"),
        ({"rescored_alpha": -1.0}, "rescored_alpha"),
        ({"rescored_beta": float("inf")}, "rescored_beta"),
        ({"recurrent_share": 1.5}, "recurrent_share"),
    ):
        with pytest.raises(OptionsError, match=reason):
            dataclasses.replace(BEAM, **changes)
