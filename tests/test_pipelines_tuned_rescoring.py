"""How a recurrent model's word is weighed: what is found, what is shown, and what is written."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from asr.bundle import RESCORER_FILE, Bundle, open_bundle, write_settings
from asr.decoding import DecodingOptions
from asr.errors import LanguageModelError
from asr.lm.lstm import LstmModel, LstmWeights
from asr.lm.lstm_file import write_lstm
from asr.lm.word_pieces import SPECIAL, WordPieces
from asr.recognizer import Recognizer
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from pipelines import tuned_rescoring
from pipelines.tuned_model import write_surface, write_tuned
from pipelines.tuned_rescoring import tune_rescoring
from pipelines.tuning import Search, Trial, TuningSpeech
from pipelines.tuning_table import described, lines

Floats = npt.NDArray[np.float32]
LETTERS = Vocabulary.from_characters(" abcdk")
TEXT = TextOptions(language="en")
WORDS = ("cab", "dad", "back")
BEAM = DecodingOptions(method="beam", beam_width=16, min_token_log_prob=-50.0)


def heard(text: str, rng: np.random.Generator) -> Floats:
    """Log-probabilities that spell a text, not very surely."""
    tokens = LETTERS.encode(text)
    logits = 2.0 * rng.standard_normal((2 * len(tokens), len(LETTERS)))
    logits[::2][np.arange(len(tokens)), tokens] += 4.0
    logits[1::2, LETTERS.blank_id] += 6.0
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def speech() -> TuningSpeech:
    rng = np.random.default_rng(7)
    texts = {f"u{n}": " ".join(rng.choice(WORDS, 3)) for n in range(12)}
    return TuningSpeech(
        references=texts,
        # Some are heard in two passages.
        passages={
            key: [heard(text[:5], rng), heard(text[5:], rng)] if "2" in key else [heard(text, rng)]
            for key, text in texts.items()
        },
        groups={key: key[-1] for key in texts},
        by_speaker=True,
    )


class Speller:
    """Knows how words are spelt."""

    def __init__(self, worth: float) -> None:
        self.worth = worth

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        known = [sum(word in WORDS for word in text.split()) for text in texts]
        return self.worth * np.array(known, np.float64)


def searched(worth: float | None) -> tuple[Search, Trial]:
    search = Search(
        speech=speech(),
        vocabulary=LETTERS,
        text=TEXT,
        options=BEAM,
        rescorer=None if worth is None else Speller(worth),
        quiet=True,
    )
    search.attempt([BEAM], label="beam")
    return search, search.trials[BEAM]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned_rescoring, "COUNTS", (4, 8, 16))


def test_a_model_that_knows_the_words_is_asked() -> None:
    search, before = searched(10.0)
    chosen = tune_rescoring(search, before)
    assert chosen.wer < before.wer - 0.05
    assert chosen.options.num_rescored in (4, 8, 16)
    assert chosen.wer <= min(one.wer for one in search.trials.values()) + 0.001
    assert chosen.options.num_rescored <= chosen.options.beam_width <= BEAM.beam_width


def test_a_trial_is_what_the_decoder_makes_of_its_setting() -> None:
    search, before = searched(3.0)
    tune_rescoring(search, before)
    tried = [options for options in search.trials if options.num_rescored]
    assert len(tried) > 20
    for options in tried[::7]:
        expected = search.trials.pop(options)
        search.attempt([options], label="again")
        assert search.trials[options].errors == expected.errors


@pytest.mark.parametrize("worth", [None, 0.0, -10.0])
def test_one_that_is_of_no_use_is_not(worth: float | None) -> None:
    search, before = searched(worth)
    chosen = tune_rescoring(search, before)
    # What every word adds may gain something even so; the recurrent model may not.
    share = chosen.options.recurrent_share if chosen.options.num_rescored else 0.0
    if worth is None:
        assert chosen is before
        assert len(search.trials) == 1
    else:
        alone = dataclasses.replace(chosen.options, recurrent_share=0.0)
        search.attempt([alone], label="alone")
        assert share == 0.0 or search.trials[alone].wer == chosen.wer


def test_the_search_may_be_left_as_it_is() -> None:
    search, _ = searched(10.0)
    alone = dataclasses.replace(search, trials={})
    chosen = tune_rescoring(alone, alone.keep())
    assert chosen.options == tune_rescoring(search, search.trials[BEAM]).options
    weights = {(one.alpha, one.beta, one.prior_scale) for one in alone.trials}
    assert weights == {(BEAM.alpha, BEAM.beta, BEAM.prior_scale)}


def test_a_greedy_choice_stays_one() -> None:
    search, _ = searched(10.0)
    greedy = DecodingOptions()
    search.attempt([greedy], label="greedy")
    assert tune_rescoring(search, search.trials[greedy]).options == greedy


def test_it_is_shown_and_written(tmp_path: Path) -> None:
    search, before = searched(10.0)
    chosen = tune_rescoring(search, before)
    shown = "\n".join(lines(search, chosen, None))
    rows = shown.splitlines()
    head = rows.index("  texts read           4       8      16")
    widths = {one.options.beam_width for one in search.trials.values() if one.options.num_rescored}
    table = rows[head + 1 : head + 1 + len(widths)]
    assert [int(row.split()[1]) for row in table] == sorted(widths)
    assert sum("*" in row for row in table) == 1
    assert f"*{100 * chosen.wer:.2f}" in "".join(table)
    assert f"then of {chosen.options.num_rescored} texts" in described(search, chosen)
    write_surface(tmp_path / "wer.csv", search)
    assert "recurrent_share" in (tmp_path / "wer.csv").read_text().splitlines()[0]


# What is written


def lstm(folder: Path) -> Path:
    pieces = WordPieces([*SPECIAL, "▁", *"abcdk"], [0.0, 0.0, *[-1.0] * 6])
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> Floats:
        return rng.normal(size=shape).astype(np.float32)

    weights = LstmWeights(
        embedding=drawn(8, 3),
        kernel=drawn(3, 16),
        recurrent_kernel=drawn(4, 16),
        bias=drawn(16),
        projection=drawn(4, 3),
        projection_bias=drawn(3),
        output_bias=drawn(8),
    )
    write_lstm(folder / "other.lstm", LstmModel(pieces, weights))
    return folder / "other.lstm"


def bundle(folder: Path) -> Bundle:
    folder.mkdir()
    recipe: dict[str, Any] = {"features": {}, "text": {"language": "en"}, "decoding": {}}
    write_settings(folder, recipe=recipe, vocabulary=LETTERS, card="")
    return open_bundle(folder)


def tuned(made: Bundle, options: DecodingOptions, rescorer: Path | None) -> Bundle:
    folder = write_tuned(
        made,
        options,
        calibration=None,
        language_model_file=None,
        rescorer_file=rescorer,
        card="",
    )
    return open_bundle(folder)


def linear(features: Floats, lengths: npt.NDArray[np.int32]) -> Any:
    weights = np.random.default_rng(5).normal(size=(features.shape[-1], len(LETTERS)))
    return (features @ weights).astype(np.float32), lengths


ASKED = dataclasses.replace(BEAM, num_rescored=8, rescored_alpha=2.0, recurrent_share=1.0)


def test_a_model_takes_it_along_and_asks_it(tmp_path: Path) -> None:
    made = tuned(bundle(tmp_path / "mine"), ASKED, lstm(tmp_path))
    assert made.rescorer_file == made.folder / RESCORER_FILE
    asked, plain = Recognizer.of(made, linear), bundle(tmp_path / "plain")
    samples = np.random.default_rng(1).uniform(-0.3, 0.3, 8000).astype(np.float32)
    other = Recognizer.of(dataclasses.replace(plain, decoding=BEAM), linear)
    assert asked.transcribe(samples).text != other.transcribe(samples).text
    again = tuned(made, ASKED, made.rescorer_file)  # its own: nothing to copy
    assert again.open_rescorer() is not None


def test_one_that_is_not_asked_is_not_opened(tmp_path: Path) -> None:
    made = tuned(bundle(tmp_path / "mine"), BEAM, lstm(tmp_path))
    assert made.rescorer_file is None
    (made.folder / RESCORER_FILE).write_bytes(b"not opened")
    assert open_bundle(made.folder).open_rescorer() is None
    asked = dataclasses.replace(open_bundle(made.folder), decoding=ASKED)
    with pytest.raises(LanguageModelError, match="expected a recurrent language model"):
        asked.open_rescorer()
