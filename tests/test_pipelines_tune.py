"""`asr tune`: what is found, how honestly it is told, and what is written."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from asr.audio import SAMPLE_RATE, write_wav
from asr.bundle import (
    CARD_FILE,
    LANGUAGE_MODEL_FILE,
    RECIPE_FILE,
    Bundle,
    open_bundle,
    write_settings,
)
from asr.confidence import Calibration
from asr.decoder import Decoder
from asr.decoding import DecodingOptions, Hypothesis
from asr.errors import LanguageModelError
from asr.features import FeatureOptions
from asr.lm import NgramModel, open_binary, read_arpa, write_binary
from asr.manifest import Utterance
from asr.recognizer import Recognizer
from asr.scoring import score
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from pipelines import cli, tuning
from pipelines.card_table import stated
from pipelines.speech import load_speech
from pipelines.tuned_confidence import tune_confidence
from pipelines.tuned_model import write_surface, write_tuned
from pipelines.tuning import Search, TuningSpeech, hear, text_of
from pipelines.tuning_table import described, lines
from pipelines.usage import UsageError

Floats = npt.NDArray[np.float32]
LETTERS = Vocabulary.from_characters(" abcdk")
TEXT = TextOptions(language="en")
ARPA = """\\data\\
ngram 1=6

\\1-grams:
-3\t<unk>
-99\t<s>
-0.7\t</s>
-0.6\tcab
-0.6\tdad
-0.9\tback

\\end\\
"""


def arpa(folder: Path) -> Path:
    path = folder / "words.arpa"
    path.write_text(ARPA)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NgramModel:
    return read_arpa(arpa(tmp_path_factory.mktemp("lm")))


def written(text: str, rng: np.random.Generator, *, noise: float) -> Floats:
    """Log-probabilities of a text, each letter for a step with a blank behind it."""
    tokens = LETTERS.encode(text)
    logits = noise * rng.standard_normal((2 * len(tokens), len(LETTERS)))
    logits[::2][np.arange(len(tokens)), tokens] += 4.0
    logits[1::2, LETTERS.blank_id] += 6.0
    found = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found.astype(np.float32)


def parts_of(text: str) -> list[str]:
    """Texts that begin with a c are heard in two passages, the others in one."""
    words = text.split()
    return [" ".join(words[:2]), " ".join(words[2:])] if text.startswith("c") else [text]


def speech(*, noise: float = 2.0, speakers: Sequence[str] = ("x", "y", "z")) -> TuningSpeech:
    rng = np.random.default_rng(7)
    texts = [" ".join(rng.choice(["cab", "dad", "back"], 6)) for _ in range(12)]
    ids = [f"u{n}" for n in range(len(texts))]
    return TuningSpeech(
        references=dict(zip(ids, texts, strict=True)),
        passages={
            key: [written(part, rng, noise=noise) for part in parts_of(text)]
            for key, text in zip(ids, texts, strict=True)
        },
        groups={key: speakers[n % len(speakers)] for n, key in enumerate(ids)},
        by_speaker=True,
    )


def search(found: TuningSpeech, language_model: NgramModel | None = None, **options: Any) -> Search:
    return Search(
        speech=found,
        vocabulary=LETTERS,
        text=TEXT,
        options=DecodingOptions(**options),
        language_model=language_model,
        quiet=True,
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "COARSE_ALPHAS", (0.2, 0.8))
    monkeypatch.setattr(tuning, "COARSE_BETAS", (0.0, 2.0))
    monkeypatch.setattr(tuning, "WIDTHS", (1, 2, 4))
    monkeypatch.setattr(tuning, "COARSE_WIDTH", 4)
    monkeypatch.setattr(tuning, "MAX_WIDTH", 16)


def test_what_is_found_is_as_good_as_anything_tried(model: NgramModel) -> None:
    found = search(speech(), model)
    chosen = found.run()
    (greedy,) = (one for one in found.trials.values() if one.options.method == "greedy")
    assert chosen.wer <= min(one.wer for one in found.trials.values()) + 0.001
    assert chosen.wer < greedy.wer
    assert chosen.options.method == "beam"
    assert len(found.trials) > 1 + 4 + 2


def test_every_trial_is_what_its_setting_gives_alone(model: NgramModel) -> None:
    found = search(speech(), model)
    found.run()
    for trial in [*found.trials.values()][::5]:
        is_beam = trial.options.method == "beam"
        decoder = Decoder(trial.options, LETTERS, model if is_beam else None)
        texts = {
            key: " ".join(" ".join(LETTERS.decode(decoder(row).tokens) for row in rows).split())
            for key, rows in found.speech.passages.items()
        }
        scored = score(found.speech.references, texts, text=TEXT)
        assert trial.wer == scored.wer
        assert trial.errors == {row.id: row.words.errors for row in scored.rows}
        assert trial.num_errors == scored.words.errors


@pytest.mark.parametrize("words", [(), ("cab", "dad", "back")])
def test_what_a_network_expects_of_itself_is_taken_out(
    words: tuple[str, ...], model: NgramModel
) -> None:
    """A network that would rather say d, whatever it hears, is asked less for it."""
    heard = speech(noise=1.0)
    for passages in heard.passages.values():
        for row in passages:
            row[:, LETTERS.encode("d")[0]] += 3.0
            row -= np.logaddexp.reduce(row, axis=1, keepdims=True)
    found = search(heard, None if words else model, words=words, method="beam")
    chosen = found.run()
    assert chosen.options.prior_scale > 0
    assert chosen.options.words == words
    assert chosen.options.token_log_priors == found.priors
    np.testing.assert_allclose(np.exp(found.priors).sum(), 1, atol=1e-3)
    without = [one for one in found.trials.values() if one.options.prior_scale == 0]
    assert chosen.wer < min(one.wer for one in without)
    assert f"prior scale {chosen.options.prior_scale:g}" in described(found, chosen)


def test_a_wider_beam_or_any_is_not_chosen_for_nothing(model: NgramModel) -> None:
    """Speech without noise is read by the best token of every step as well as by any search."""
    assert search(speech(noise=0.1), model).run().options.method == "greedy"
    clear = search(speech(noise=0.1), words=("cab", "dad", "back"), method="beam")
    assert clear.run().options.beam_width == 1
    assert all(options.method == "beam" for options in clear.trials)


def test_without_a_language_model_its_weights_are_left_alone() -> None:
    found = search(speech())
    found.run()
    assert {one.options.alpha for one in found.trials.values()} == {DecodingOptions().alpha}
    widths = {o.beam_width for o in found.trials if o.method == "beam"}
    assert {1, 2, 4} <= widths <= {1, 2, 4, 8, 16}


def test_the_held_out_rate_lets_no_group_choose_for_itself(model: NgramModel) -> None:
    found = search(speech(), model)
    found.run()
    groups = found.speech.groups
    errors = 0
    for group in set(groups.values()):
        others = [key for key in groups if groups[key] != group]
        fewest = min(sum(one.errors[key] for key in others) for one in found.trials.values())
        own = [
            sum(one.errors[key] for key in groups if groups[key] == group)
            for one in found.trials.values()
            if sum(one.errors[key] for key in others) == fewest
        ]
        errors += min(own)
    rate = found.held_out_wer()
    assert rate is not None
    assert rate >= errors / found.num_words
    assert rate >= found.best.wer
    assert search(speech(speakers=["x"])).held_out_wer() is None


def test_confidence_is_corrected_and_its_error_told_of_words_it_was_not_fitted_to() -> None:
    found, options = speech(noise=3.0), DecodingOptions()
    heard = search(found).decode(options)
    tuned = confidence(heard, found)
    assert tuned.error_after is not None
    assert tuned.error_after < tuned.error_before
    said = (LETTERS.decode(one.tokens) for passages in heard.values() for one in passages)
    assert tuned.num_words == sum(len(text.split()) for text in said)
    alone = speech(noise=3.0, speakers=["x"])
    assert confidence(heard, alone).error_after is None
    assert confidence(heard, alone).calibration == tuned.calibration


def confidence(heard: dict[str, tuple[Hypothesis, ...]], found: TuningSpeech) -> Any:
    return tune_confidence(heard, found, vocabulary=LETTERS, features=FeatureOptions(), text=TEXT)


def test_no_words_have_no_confidence() -> None:
    found = speech()
    nothing = Hypothesis(tokens=(), frames=(), log_probability=0.0)
    heard = {key: (nothing,) * len(passages) for key, passages in found.passages.items()}
    assert confidence(heard, found) is None


def test_the_table_shows_the_surface_and_what_was_chosen(model: NgramModel) -> None:
    found = search(speech(), model)
    chosen = found.run()
    shown = [*lines(found, chosen, confidence(found.decode(chosen.options), found.speech))]
    assert "prior scale" in shown[1]
    assert "\\ beta" in shown[4]
    assert sum(line.count("*") for line in shown) == 2  # the best, and what the mark says
    assert any(f"alpha {chosen.options.alpha:g}" in line for line in shown)
    assert any("each speaker corrected by what the others say" in line for line in shown)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_the_surface_is_written_in_full(tmp_path: Path, suffix: str, model: NgramModel) -> None:
    found = search(speech(), model)
    found.run()
    path = tmp_path / f"wer{suffix}"
    write_surface(path, found)
    text = path.read_text()
    rows = json.loads(text) if suffix == ".json" else [*csv.DictReader(text.splitlines())]
    assert [float(row["wer"]) for row in rows] == [one.wer for one in found.trials.values()]
    assert {row["method"] for row in rows} == {"greedy", "beam"}


# What is written


RECIPE = {"features": {}, "text": {"language": "en"}, "decoding": {}, "data": {"train": ["t"]}}
TUNED = DecodingOptions(method="beam", beam_width=8, alpha=0.75, beta=-0.5)


def bundle(folder: Path) -> Bundle:
    folder.mkdir(parents=True)
    write_settings(folder, recipe=RECIPE, vocabulary=LETTERS, card="# Card\n")
    (folder / "model.keras").write_bytes(b"network")
    return open_bundle(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def tuned(made: Bundle, language_model_file: Path | None, copy: Path | None = None) -> Path:
    return write_tuned(
        made,
        TUNED,
        calibration=Calibration(slope=0.5, bias=0.25),
        language_model_file=language_model_file,
        card="# Card\n\nTuned.\n",
        copy=copy,
    )


def test_a_copy_has_the_settings_and_the_model_has_not(tmp_path: Path) -> None:
    made = bundle(tmp_path / "mine")
    before = contents(made.folder)
    copy = open_bundle(tuned(made, arpa(tmp_path), tmp_path / "deep/copy"))
    assert contents(made.folder) == before
    assert (copy.decoding, copy.confidence) == (TUNED, Calibration(slope=0.5, bias=0.25))
    assert copy.recipe["data"] == RECIPE["data"]
    assert (copy.folder / "model.keras").read_bytes() == b"network"
    found = copy.open_language_model()
    assert found is not None
    assert found.word_id("cab") is not None
    recognizer = Recognizer.of(copy, linear)
    assert recognizer.language_model is not None
    assert recognizer.confidence == copy.confidence
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["copy"]
    with pytest.raises(UsageError, match="is there already"):
        tuned(made, None, tmp_path / "deep/copy")


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    made = bundle(tmp_path / "mine")
    broken = tmp_path / "broken.arpa"
    broken.write_text("words")
    with pytest.raises(LanguageModelError):
        tuned(made, broken, tmp_path / "new/copy")
    assert [*(tmp_path / "new").iterdir()] == []


def test_a_model_is_changed_where_it_is(tmp_path: Path, model: NgramModel) -> None:
    made = bundle(tmp_path / "mine")
    before = contents(made.folder)
    write_binary(tmp_path / "lm.ngram", model, bits=8)
    assert tuned(made, tmp_path / "lm.ngram") == made.folder
    after = contents(made.folder)
    assert after.pop(LANGUAGE_MODEL_FILE) == (tmp_path / "lm.ngram").read_bytes()
    assert {name for name in after if after[name] != before[name]} == {RECIPE_FILE, CARD_FILE}
    assert open_bundle(made.folder).card == "# Card\n\nTuned.\n"
    again = open_bundle(made.folder)
    assert again.language_model_file is not None
    assert tuned(again, again.language_model_file) == made.folder  # its own: nothing to copy
    assert open_binary(again.language_model_file).word_id("dad") is not None


def test_greedy_takes_no_language_model_along(tmp_path: Path) -> None:
    made = bundle(tmp_path / "mine")
    write_tuned(
        made, DecodingOptions(), calibration=None, language_model_file=arpa(tmp_path), card=""
    )
    assert not (made.folder / LANGUAGE_MODEL_FILE).exists()
    assert open_bundle(made.folder).confidence == Calibration()


# The program


def linear(features: Floats, lengths: npt.NDArray[np.int32]) -> Any:
    weights = np.random.default_rng(5).normal(size=(features.shape[-1], len(LETTERS)))
    return (features @ weights).astype(np.float32), lengths


@pytest.fixture
def asr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command in tmp_path, with a model called `mine` and its speech, `dev.jsonl`."""
    made = bundle(tmp_path / "mine")
    monkeypatch.setattr(
        "pipelines.network.load_recognizer", lambda *_, **__: Recognizer.of(made, linear)
    )
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    records = []
    for n in range(4):
        samples = rng.uniform(-0.3, 0.3, 4_000 + 500 * n).astype(np.float32)
        write_wav(Path(f"{n}.wav"), samples)
        records.append(
            {"audio_filepath": f"{n}.wav", "text": "a cab", "id": str(n), "speaker": str(n % 2)}
        )
    Path("dev.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))

    def run(*words: str) -> int:
        return cli.main(["tune", "mine", "dev.jsonl", "--quiet", *words])

    return run


def test_it_shows_and_writes_nothing_unasked(
    asr: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = contents(tmp_path)
    lm = str(arpa(tmp_path))
    assert asr("--lm", lm) == 0
    shown = capsys.readouterr().out
    assert "WER in % of 4 utterances, 8 words" in shown
    assert "nothing is written" in shown
    assert contents(tmp_path) == before | {"words.arpa": ARPA.encode()}


def test_it_writes_what_it_chose(asr: Callable[..., int], tmp_path: Path) -> None:
    assert asr("--lm", str(arpa(tmp_path)), "-o", "copy", "--surface", "wer.json") == 0
    best = min(one["errors"] for one in json.loads(Path("wer.json").read_text()))
    options = open_bundle("copy").decoding
    same = [
        one
        for one in json.loads(Path("wer.json").read_text())
        if all(
            one[name] == getattr(options, name)
            for name in ("method", "beam_width", "alpha", "beta", "prior_scale")
        )
    ]
    assert [one["errors"] for one in same] == [best]
    # Eight words are said; installed models are listed with the figure before the bracket.
    card = open_bundle("copy").card
    assert stated(card, "dev WER").partition("(")[0].strip() == f"{100 * best / 8:.2f} %"
    assert f"beam width {options.beam_width}" in stated(card, "decoding") or (
        options.method == stated(card, "decoding")
    )
    assert asr("--write") == 0
    assert "confidence" in open_bundle("mine").recipe


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--write", "-o", "copy"), "received both"),
        (("-o", "mine"), "is there already"),
        (("--surface", "wer.txt"), ".csv or .json"),
        (("--surface", "there.csv"), "--overwrite"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_work(
    asr: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    named: str,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was opened")

    monkeypatch.setattr("pipelines.network.load_recognizer", refuse)
    Path("there.csv").write_text("")
    assert asr(*words) == 2
    assert named in capsys.readouterr().err


def test_speech_of_one_speaker_is_divided_otherwise(tmp_path: Path) -> None:
    made = bundle(tmp_path / "mine")
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, SAMPLE_RATE // 2).astype(np.float32)
    write_wav(tmp_path / "a.wav", samples)
    utterances = [
        Utterance(id=str(n), audio=tmp_path / "a.wav", duration_s=None, text="a") for n in range(7)
    ]
    recognizer = Recognizer.of(made, linear)
    found = hear(recognizer, utterances, quiet=True)
    assert not found.by_speaker
    assert len(set(found.groups.values())) == 5
    (expected,) = recognizer.log_probs([recognizer.extract(samples)])
    for (row,) in found.passages.values():
        np.testing.assert_allclose(row, expected, atol=1e-2)


def pausing(features: Floats, lengths: Any) -> Any:
    """A network to which every fourth half second is a pause."""
    logits, lengths = linear(features, lengths)
    pauses = np.arange(logits.shape[1]) // 50 % 4 == 3
    logits[:, pauses, LETTERS.blank_id] += 99.0
    return logits, lengths


def test_an_utterance_is_decoded_in_the_passages_of_its_recording(tmp_path: Path) -> None:
    made = bundle(tmp_path / "mine")
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 30 * SAMPLE_RATE).astype(np.float32)
    write_wav(tmp_path / "a.wav", samples)
    utterance = Utterance(id="a", audio=tmp_path / "a.wav", duration_s=None, text="a")
    recognizer = Recognizer.of(made, pausing)
    found = hear(recognizer, [utterance], quiet=True)
    assert len(found.passages["a"]) > 1
    decoded = Search(
        speech=found, vocabulary=made.vocabulary, text=made.text, options=made.decoding, quiet=True
    ).decode(made.decoding)
    heard = recognizer.transcribe(load_speech(utterance))
    assert text_of(decoded["a"], made.vocabulary) == heard.text
