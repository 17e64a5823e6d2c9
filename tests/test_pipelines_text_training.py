"""Training of a recurrent language model: what it learns, that it goes on, what it refuses."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr.errors import LanguageModelError, OptionsError, TrainingError
from asr.lm.lstm import lstm_perplexity
from asr.lm.word_pieces import END_ID
from pipelines.text_options import TextTrainingOptions
from pipelines.text_training import TextTrainer, encoded, learn_pieces

SMALL = TextTrainingOptions(
    num_pieces=20,
    units=16,
    width=8,
    dropout=0.1,
    epochs=2,
    learning_rate=0.02,
    row_pieces=8,
    batch_rows=8,
    checkpoint_interval_s=0.0,
)


def sentences(seed: int = 0, *, count: int = 300) -> list[str]:
    """Every subject has a verb of its own, which an n-gram of two words would not know."""
    rng = random.Random(seed)
    pairs = (("cat", "sat"), ("dog", "ran"), ("owl", "flew"))
    found = []
    for _ in range(count):
        name, verb = rng.choice(pairs)
        found.append(f"the {name} {rng.choice(['soon', 'then'])} {verb}")
    return found


def trainer(checkpoint: Path, options: TextTrainingOptions = SMALL, seed: int = 0) -> TextTrainer:
    texts = sentences(seed)
    pieces = learn_pieces(texts, options.num_pieces)
    return TextTrainer(encoded(texts, pieces), pieces, options, checkpoint)


def test_a_text_is_one_row_of_pieces() -> None:
    pieces = learn_pieces(sentences(), 20)
    text = encoded(["the cat sat", "", "dog"], pieces)
    expected = [*pieces.encode("the cat sat"), END_ID, *pieces.encode("dog"), END_ID]
    assert text.dtype == np.uint16
    assert text.tolist() == expected


def test_it_remembers_further_than_a_word(tmp_path: Path) -> None:
    texts = sentences(count=2000)
    pieces = learn_pieces(texts, 20)
    options = replace(SMALL, epochs=5, checkpoint_interval_s=60.0)
    training = TextTrainer(encoded(texts, pieces), pieces, options, tmp_path / "a.npz")
    before = lstm_perplexity(training.model(), sentences(1))
    losses = [training.train_epoch(quiet=True) for _ in range(options.epochs)]
    assert losses == sorted(losses, reverse=True)
    model = training.model()
    assert lstm_perplexity(model, sentences(1)) < before / 4
    right, wrong = model.score(["the owl then flew", "the owl then ran"])
    assert right > wrong + 1.0


def test_it_goes_on_from_what_a_model_knows(tmp_path: Path) -> None:
    first = trainer(tmp_path / "a.npz")
    while not first.finished:
        first.train_epoch(quiet=True)
    known = first.model()
    texts = ["the owl ran then"] * 300
    options = replace(SMALL, learning_rate=1e-3, epochs=1)
    text = encoded(texts, known.pieces)
    further = TextTrainer(text, known.pieces, options, tmp_path / "b.npz", begun=known.weights)
    for name, weight in further.network.weight_arrays().items():
        assert np.array_equal(weight, getattr(known.weights, name))
    drawn = TextTrainer(text, known.pieces, options, tmp_path / "c.npz")
    for training in (further, drawn):
        training.train_epoch(quiet=True)
    assert lstm_perplexity(further.model(), texts) < lstm_perplexity(known, texts)
    old = sentences(1)  # which neither read in this training
    assert lstm_perplexity(further.model(), old) < lstm_perplexity(drawn.model(), old) / 2


class StoppedError(Exception):
    """In the place of a kill."""


def test_a_stopped_training_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trainer(tmp_path / "whole.npz")
    while not whole.finished:
        whole.train_epoch(quiet=True)
    expected = whole.model().weights

    first, saves = trainer(tmp_path / "a.npz"), []

    def save() -> None:
        TextTrainer.save(first)
        saves.append(first.state.step)
        if len(saves) == 5:
            raise StoppedError

    monkeypatch.setattr(first, "save", save)
    with pytest.raises(StoppedError):
        first.train_epoch(quiet=True)
    second = trainer(tmp_path / "a.npz")
    second.resume()
    assert second.state.step == saves[-1]
    while not second.finished:
        second.train_epoch(quiet=True)
    assert second.state.step == whole.state.step
    for name in ("embedding", "kernel", "recurrent_kernel", "bias", "projection", "output_bias"):
        ours, theirs = getattr(second.model().weights, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_another_text_or_other_settings_do_not_go_on(tmp_path: Path) -> None:
    trainer(tmp_path / "a.npz").save()
    for other in (
        trainer(tmp_path / "a.npz", seed=5),
        trainer(tmp_path / "a.npz", TextTrainingOptions(num_pieces=20, row_pieces=8, batch_rows=8)),
    ):
        with pytest.raises(TrainingError, match="remove the file to begin anew"):
            other.resume()


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    training = trainer(tmp_path / "a.npz")
    training.network.output_bias.assign(np.full(20, np.nan, np.float32))
    with pytest.raises(TrainingError, match="lower the learning rate"):
        training.train_epoch(quiet=True)


def test_too_short_a_text_is_refused(tmp_path: Path) -> None:
    pieces = learn_pieces(sentences(), 20)
    with pytest.raises(LanguageModelError, match="at least 72 pieces of words, received 5"):
        TextTrainer(np.full(5, 2, np.uint16), pieces, SMALL, tmp_path / "a.npz")


@pytest.mark.parametrize(
    "changes", [{"num_pieces": 2}, {"epochs": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}]
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(OptionsError):
        TextTrainingOptions(**changes)
