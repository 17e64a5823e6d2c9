"""The decoder as a recognizer has it: with a vocabulary, a language model and hotwords."""

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from asr.decoder import Decoder
from asr.decoding import DecodingOptions, decode
from asr.errors import DecodingError, OptionsError, VocabularyError
from asr.lm import NgramModel, read_arpa
from asr.options import from_table, to_table
from asr.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]
LETTERS = Vocabulary.from_characters(" abcdefghijklmnopqrstuvwxyz")
BEAM = DecodingOptions(method="beam", beam_width=30)

ARPA = """\\data\\
ngram 1=7
ngram 2=1

\\1-grams:
-3\t<unk>
-99\t<s>\t0
-1\t</s>
-1\tthe
-1.5\tcat\t0
-1.2\tsat
-2\tkat

\\2-grams:
-0.1\tcat sat

\\end\\
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NgramModel:
    path: Path = tmp_path_factory.mktemp("lm") / "small.arpa"
    path.write_text(ARPA)
    return read_arpa(path)


def writing(path: str, *, sure: float = 0.9, like: Mapping[int, str] | None = None) -> Floats:
    """Log-probabilities of a path; at the steps of `like` another letter is nearly as likely."""
    probs = np.full((len(path), len(LETTERS)), 1e-4)
    for step, character in enumerate(path):
        probs[step, 0 if character == "_" else LETTERS.encode(character)[0]] = sure
    for step, character in (like or {}).items():
        probs[step, LETTERS.encode(character)[0]] = sure * 0.8
    log_probs: Floats = np.log(probs / probs.sum(axis=1, keepdims=True))
    return log_probs


def text(decoder: Decoder, log_probs: Floats) -> str:
    return LETTERS.decode(decoder(log_probs).tokens)


def test_a_language_model_decides_between_letters_that_sound_alike(model: NgramModel) -> None:
    heard = writing("the kat sat", like={4: "c"})
    assert text(Decoder(BEAM, LETTERS), heard) == "the kat sat"
    assert text(Decoder(BEAM, LETTERS, model), heard) == "the cat sat"


def test_what_the_language_model_does_not_know_can_be_said(model: NgramModel) -> None:
    assert text(Decoder(BEAM, LETTERS, model), writing("the zebra sat")) == "the zebra sat"


def test_a_closed_vocabulary_says_nothing_else(model: NgramModel) -> None:
    closed = DecodingOptions(
        method="beam", beam_width=60, min_token_log_prob=-math.inf, closed_vocabulary=True
    )
    assert text(Decoder(closed, LETTERS, model), writing("the bat sat")) == "the cat sat"


def test_hotwords_are_heard_where_they_nearly_were() -> None:
    heard = writing("ask maria_lo", like={9: " "})
    assert text(Decoder(BEAM, LETTERS), heard) == "ask marialo"
    decoder = Decoder(BEAM, LETTERS, hotwords={"maria lo": 8.0})
    assert text(decoder, heard) == "ask maria lo"
    assert text(decoder, writing("ask me")) == "ask me"


def test_n_best_are_different_texts_in_order(model: NgramModel) -> None:
    decoder = Decoder(BEAM, LETTERS, model)
    heard = writing("the kat sat", like={4: "c", 8: "c"})
    found = decoder.n_best(heard, 5)
    assert len({h.tokens for h in found}) == 5
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert found[0] == decoder(heard)
    for h in found:
        words = LETTERS.decode(h.tokens).split()
        if all(model.word_id(word) is not None for word in words):
            assert h.lm_log_probability == pytest.approx(model.score(" ".join(words)), abs=1e-5)
        added = BEAM.alpha * h.lm_log_probability + BEAM.beta * len(words)
        assert h.fusion_score == pytest.approx(added, abs=1e-5)


@pytest.mark.parametrize("num_threads", [None, 1, 4])
def test_a_batch_is_its_utterances(num_threads: int | None, model: NgramModel) -> None:
    decoder = Decoder(BEAM, LETTERS, model, {"sat": 1.0})
    batch = [writing(heard, sure=0.5) for heard in ("the cat", "", "kat sat the", "a zebra")]
    assert decoder.batch(batch, num_threads=num_threads) == [decoder(row) for row in batch]
    assert decoder.batch([]) == []


def test_a_decoder_goes_to_another_process(model: NgramModel) -> None:
    decoder = Decoder(BEAM, LETTERS, model, {"sat": 1.0})
    heard = writing("the kat sat", like={4: "c"})
    assert pickle.loads(pickle.dumps(decoder))(heard) == decoder(heard)


def test_subwords_are_read_as_the_words_they_make(model: NgramModel) -> None:
    pytest.importorskip("sentencepiece")
    pieces = Vocabulary.learn_subwords(["the cat sat", "the kat sat", "cat the at"], size=10)
    decoder = Decoder(BEAM, pieces, model)
    path = [token for piece in pieces.encode("the cat sat") for token in (piece, 0)]
    probs = np.full((len(path), len(pieces)), 0.001)
    probs[np.arange(len(path)), path] = 0.9
    found = decoder(np.log(probs))
    assert pieces.decode(found.tokens) == "the cat sat"
    assert found.lm_log_probability == pytest.approx(model.score("the cat sat"), abs=1e-5)


def test_what_does_not_belong_together_is_refused(model: NgramModel) -> None:
    greedy, closed = DecodingOptions(), DecodingOptions(method="beam", closed_vocabulary=True)
    with pytest.raises(DecodingError, match="'beam' with a language model or hotwords, received"):
        Decoder(greedy, LETTERS, model)
    with pytest.raises(DecodingError, match="'beam' with a language model or hotwords, received"):
        Decoder(greedy, LETTERS, hotwords={"anna": 1.0})
    for hotwords in (None, {"anna": 1.0}):
        with pytest.raises(DecodingError, match="a language model with closed_vocabulary"):
            Decoder(closed, LETTERS, hotwords=hotwords)
    with pytest.raises(DecodingError, match="a language model with closed_vocabulary"):
        decode(writing("a"), closed, blank_id=0)


def test_a_language_model_without_arrays_is_refused() -> None:
    class Other:
        """Scores sentences, and no more."""

    with pytest.raises(DecodingError, match=r"search can walk .* received a Other"):
        Decoder(BEAM, LETTERS, Other())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hotwords", "error", "message"),
    [
        ({"anna": 0.0}, DecodingError, "weights above 0, received 0.0 of anna"),
        ({"anna": math.nan}, DecodingError, "weights above 0, received nan"),
        ({"anna": math.inf}, DecodingError, "weights above 0, received inf"),
        ({"": 1.0}, DecodingError, "single spaces between them, received ''"),
        ({"anna  lee": 1.0}, DecodingError, "single spaces between them, received 'anna  lee'"),
        ({"anna": 1.0, "Zoë": 1.0}, VocabularyError, "27 characters spell, received 'Zoë'$"),
    ],
)
def test_senseless_hotwords_are_refused(
    hotwords: dict[str, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Decoder(BEAM, LETTERS, hotwords=hotwords)


def test_several_texts_need_a_beam_that_holds_them() -> None:
    with pytest.raises(DecodingError, match="expected method 'beam' for several texts"):
        Decoder(DecodingOptions(), LETTERS).n_best(writing("a"), 2)
    for count in (0, 31):
        with pytest.raises(DecodingError, match=f"from 1 to the beam's 30, received {count}"):
            Decoder(BEAM, LETTERS).n_best(writing("a"), count)


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha": -0.1},
        {"alpha": math.nan},
        {"beta": math.inf},
        {"unknown_letter_log_prob": 0.1},
        {"unknown_letter_log_prob": -math.inf},
        {"closed_vocabulary": True},
    ],
)
def test_senseless_weights_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=f"decoding: expected .*{next(iter(bad))}"):
        from_table(DecodingOptions, bad, where="decoding")


def test_weights_survive_a_table() -> None:
    options = DecodingOptions(method="beam", alpha=1.0, beta=-0.5, closed_vocabulary=True)
    assert from_table(DecodingOptions, to_table(options), where="decoding") == options
