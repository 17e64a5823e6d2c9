"""The demo: its corpus, the order of its parts, and what it leaves behind."""

import argparse
import itertools
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import load_audio
from asr.errors import MissingExtraError, OptionsError
from asr.features import num_frames, num_steps
from asr.manifest import read_manifest
from asr.text import TextOptions, normalise_text
from asr.transcript import Transcript, Word
from asr.validation import feasible
from asr.vocabulary import Vocabulary
from pipelines import cli, demo, demo_corpus, synthesis
from pipelines.demo_corpus import SIZES, SPLITS, make_corpus, phrase, phrases, voices
from pipelines.recipe_file import load_recipe
from pipelines.synthesis import TIMBRES, Voice
from pipelines.synthetic_recordings import record

TINY = {"train": 3, "dev": 1, "test": 2}
ALPHABET = set("abcdefghijklmnopqrstuvwxyz' ")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> demo_corpus.Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), sizes=TINY, quiet=True)


def test_the_speakers_of_one_part_are_strangers_to_the_others() -> None:
    for one, other in itertools.combinations(SPLITS, 2):
        assert not {v.timbre for v in voices(one)} & {v.timbre for v in voices(other)}
        assert not {v.name for v in voices(one)} & {v.name for v in voices(other)}


def test_every_accent_of_a_stranger_was_heard_in_training() -> None:
    heard = {voice.accent for voice in voices("train")}
    assert {voice.accent for split in ("dev", "test") for voice in voices(split)} == heard


def test_voices_have_names_of_their_own_and_are_the_same_every_time() -> None:
    for split in SPLITS:
        names = [voice.name for voice in voices(split)]
        assert len(set(names)) == len(names)
        assert voices(split) == voices(split)


def test_the_training_voices_span_the_sizes_of_people() -> None:
    tracts = [voice.tract for voice in voices("train")]
    assert min(tracts) < 0.9
    assert max(tracts) > 1.2
    assert {timbre for split in SPLITS for timbre in demo_corpus.TIMBRES_OF[split]} <= set(TIMBRES)


@given(st.integers(0, 2**32))
def test_phrases_need_no_normalising(seed: int) -> None:
    text = phrase(np.random.default_rng(seed))
    assert normalise_text(text, TextOptions()) == text
    assert set(text) <= ALPHABET
    assert 3 <= len(text.split()) <= 14


def test_the_phrases_spell_with_every_letter() -> None:
    texts = phrases(SIZES, seed=0)
    for split in ("train", "test"):
        assert set("".join(texts[split])) == ALPHABET


@pytest.mark.parametrize("seed", [0, 1])
def test_no_phrase_is_both_trained_on_and_tested(seed: int) -> None:
    texts = phrases(SIZES, seed=seed)
    assert {split: len(texts[split]) for split in texts} == SIZES
    every = [text for split in SPLITS for text in texts[split]]
    assert len(set(every)) == len(every)


def test_the_words_tested_are_words_trained_on() -> None:
    texts = phrases(SIZES, seed=0)
    words = {split: set(" ".join(texts[split]).split()) for split in SPLITS}
    assert words["test"] <= words["train"]


def test_numbers_are_spelt_out() -> None:
    spelt = [demo_corpus._number(value) for value in range(1, 100)]
    assert spelt[0] == "one"
    assert spelt[11:20] == [*demo_corpus.TEENS[2:], "twenty"]
    assert spelt[97] == "ninety eight"
    assert len(set(spelt)) == 99


def test_manifests_name_recordings_of_the_length_they_say(corpus: demo_corpus.Corpus) -> None:
    ids: list[str] = []
    for split, size in TINY.items():
        utterances = read_manifest(corpus.manifests[split])
        assert len(utterances) == size
        ids += [utterance.id for utterance in utterances]
        for utterance in utterances:
            samples = load_audio(utterance.audio)
            assert utterance.duration_s == pytest.approx(len(samples) / 16_000, abs=1e-3)
            assert 0.03 < np.abs(samples).max() < 0.9
        total = sum(utterance.duration_s or 0.0 for utterance in utterances)
        assert corpus.duration_s[split] == pytest.approx(total)
    assert len(set(ids)) == len(ids) == 6


def test_the_manifests_speakers_are_those_of_their_part(corpus: demo_corpus.Corpus) -> None:
    for split in TINY:
        spoken = {utterance.speaker for utterance in read_manifest(corpus.manifests[split])}
        assert spoken <= {voice.name for voice in voices(split)}
        assert len(spoken) == TINY[split]


def test_a_corpus_can_be_moved(corpus: demo_corpus.Corpus, tmp_path: Path) -> None:
    source = corpus.manifests["test"].parent
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "test.jsonl").write_bytes((source / "test.jsonl").read_bytes())
    for utterance in read_manifest(source / "test.jsonl"):
        target = moved / utterance.audio.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(utterance.audio.read_bytes())
    assert all(u.audio.is_relative_to(moved) for u in read_manifest(moved / "test.jsonl"))


def test_a_seed_gives_the_same_bytes_and_another_gives_others(
    corpus: demo_corpus.Corpus, tmp_path: Path
) -> None:
    folders = [corpus.manifests["test"].parent, tmp_path / "same", tmp_path / "other"]
    make_corpus(folders[1], sizes=TINY, quiet=True)
    make_corpus(folders[2], sizes=TINY, quiet=True, seed=1)
    first, same, other = (_bytes_of(folder) for folder in folders)
    assert first == same
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_recordings_of_one_phrase_differ_and_keep_their_words_whole() -> None:
    rng = np.random.default_rng(3)
    takes = [record("take two jars", Voice(name="x"), rng=rng) for _ in range(6)]
    assert len({take.size for take in takes}) == 6
    peaks = [float(np.abs(take).max()) for take in takes]
    assert max(peaks) <= 10 ** (-2 / 20) + 1e-4
    assert min(peaks) >= 10 ** (-26 / 20) - 1e-4
    assert len({round(peak, 3) for peak in peaks}) > 3


def test_no_voice_speaks_too_fast_for_the_recipe() -> None:
    """CTC needs a step for every character, and one more between two alike."""
    features = load_recipe("demo").features
    vocabulary = Vocabulary.from_characters(sorted(ALPHABET))
    text = "put seventy three yellow pallets in queue seventeen"
    for voice in (v for split in SPLITS for v in voices(split)):
        fastest = synthesis.synthesise(text, _at_rate(voice, round(175 * 1.12)))
        num = num_steps(num_frames(fastest.size, features), features)
        assert feasible(num, vocabulary.encode(text)), voice.name


@pytest.mark.parametrize("sizes", [{"train": 0}, {"trian": 3}])
def test_a_part_that_is_empty_or_unknown_is_refused(sizes: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="train, dev, test"):
        make_corpus(tmp_path, sizes=sizes)


def test_the_corpus_shows_its_progress(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_corpus(tmp_path, sizes={"test": 2})
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"Speaking: 2 phrases in 0:0\d .*\n", err)


class Parrot:
    """Says for every recording the test manifest's text, with one word wrong in all."""

    text = TextOptions()

    def __init__(self, folder: Path) -> None:
        self._texts = {
            round((u.duration_s or 0.0) * 16_000): u.text or ""
            for u in read_manifest(folder / "corpus" / "test.jsonl")
        }
        self._wrong = next(iter(self._texts))

    def transcribe_batch(self, recordings: list[npt.NDArray[np.float32]]) -> list[Transcript]:
        return [self._heard(len(samples)) for samples in recordings]

    def _heard(self, num_samples: int) -> Transcript:
        text = self._say(num_samples)
        words = tuple(
            Word(text=word, start_s=0.1 * n, end_s=0.1 * n + 0.1, probability=0.9)
            for n, word in enumerate(text.split())
        )
        return Transcript(
            text=text,
            words=words,
            duration_s=num_samples / 16_000,
            language="en",
            log_probability=-1.0,
        )

    def _say(self, num_samples: int) -> str:
        first, *rest = self._texts[num_samples].split()
        return " ".join([f"{first}x" if num_samples == self._wrong else first, *rest])


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Stands in for training and the network; holds what training was asked for."""
    asked: dict[str, Any] = {}

    def train(recipe: Any, run_folder: Path, **options: Any) -> Any:
        asked.update(recipe=recipe, run_folder=run_folder, **options)
        return SimpleNamespace(model_folder=run_folder / "model")

    monkeypatch.setattr("pipelines.training.train", train)
    monkeypatch.setattr(
        "pipelines.network.load_recognizer", lambda _: Parrot(asked["run_folder"].parent)
    )
    monkeypatch.setattr(demo_corpus, "SIZES", TINY)
    monkeypatch.chdir(tmp_path)
    return asked


def test_the_parts_follow_each_other(
    untrained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "-o", "here"]) == 0
    recipe, here = untrained["recipe"], tmp_path / "here"
    assert recipe.data.train == (str(here / "corpus" / "train.jsonl"),)
    assert recipe.data.dev == (str(here / "corpus" / "dev.jsonl"),)
    out, err = capsys.readouterr()
    stages = [line for line in err.splitlines() if re.match(r"\d/4 ", line)]
    assert [stage[:3] for stage in stages] == ["1/4", "2/4", "3/4", "4/4"]
    num_words = sum(
        len((u.text or "").split()) for u in read_manifest(Path("here/transcripts.jsonl"))
    )
    assert f"[ 1 / {num_words}, 0 ins, 0 del, 1 sub ]" in out
    for name in ("here/run/model", "here/transcripts.jsonl", "here/report/index.html"):
        assert f"  {name}\n" in out
    page = (here / "report" / "index.html").read_text("utf-8")
    assert page.count("<audio controls") == TINY["test"]
    for section in ("slices", "mistakes", "confidence", "examples", "utterances"):
        assert f'<section id="{section}">' in page
    assert "By vocabulary" in page


def test_the_transcripts_are_the_manifest_with_what_was_heard(
    untrained: dict[str, Any], tmp_path: Path
) -> None:
    result = demo.demo(tmp_path / "here", quiet=True)
    written = read_manifest(result.transcripts)
    assert [u.id for u in written] == ["test-0000", "test-0001"]
    heard = [str(u.extra["pred_text"]) for u in written]
    assert sum(text != u.text for text, u in zip(heard, written, strict=True)) == 1
    assert untrained["quiet"] is True
    assert untrained["cache"].is_relative_to(tmp_path / "here")


def test_an_earlier_demo_is_replaced_only_when_asked(
    untrained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "-o", "here", "--quiet"]) == 0
    untrained.clear()
    assert cli.main(["demo", "-o", "here", "--quiet"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert untrained == {}
    assert cli.main(["demo", "-o", "here", "--quiet", "--overwrite"]) == 0


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OptionsError, match="taken"):
        demo.demo(tmp_path / "taken")


def test_quiet_says_nothing_but_the_result(
    untrained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "-o", "here", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("%WER")
    assert untrained["quiet"] is True


def test_without_espeak_nothing_is_begun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, untrained: dict[str, Any]
) -> None:
    def missing() -> None:
        raise MissingExtraError("install the extra `demo`")

    monkeypatch.setattr(synthesis, "require_espeak", missing)
    with pytest.raises(MissingExtraError, match="demo"):
        demo.demo(tmp_path / "here")
    assert not (tmp_path / "here").exists()
    assert untrained == {}


def test_a_negative_seed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--seed", "-1"]) == 2
    assert "--seed" in capsys.readouterr().err


def test_the_commands_it_ends_with_are_commands() -> None:
    lines = [part for line in demo.own_commands().splitlines() for part in line.split(" && ")]
    parsed = [_parse(shlex.split(line)) for line in lines]
    assert [command.command for command in parsed] == ["prepare", "train", "transcribe", "evaluate"]
    prepare, train, transcribe, evaluate = parsed
    assert train.manifest_root == prepare.output
    assert load_recipe(train.recipe).data.train[0].endswith("train.jsonl")
    assert Path(transcribe.model) == Path(evaluate.model) == train.output
    assert evaluate.manifest == prepare.output / "test.jsonl"


@pytest.mark.slow
def test_voices_never_heard_are_understood(tmp_path: Path) -> None:
    result = demo.demo(tmp_path / "demo", quiet=True)
    assert result.evaluation.score.wer < 0.10


def _parse(words: list[str]) -> argparse.Namespace:
    assert words[0] == "asr"
    return cli.parser_for(words[1:]).parse_args(words[1:])


def _at_rate(voice: Voice, rate: int) -> Voice:
    return Voice(
        name=voice.name, accent=voice.accent, timbre=voice.timbre, tract=voice.tract, rate=rate
    )


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
