"""What a model is trained on: nothing that cannot be learnt, and nothing left out in silence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.errors import ManifestError, TrainingError
from asr.vocabulary import Vocabulary
from pipelines.corpus import Corpus, Exclusion, load_corpus
from pipelines.feature_store import FeatureStore
from pipelines.recipe import Recipe, read_recipe

Row = dict[str, Any]
Load = Callable[..., Corpus]


def row(name: str, text: str, seconds: float = 0.5, **others: object) -> Row:
    return {"id": name, "audio_filepath": f"{name}.wav", "duration": seconds, "text": text} | others


def recipe_of(folder: Path, **tables: Any) -> Recipe:
    data = {"train": [str(folder / "train.jsonl")], "dev": [str(folder / "dev.jsonl")]}
    tables["data"] = data | tables.get("data", {})
    return read_recipe(tables, where="test")


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes two manifests with recordings and loads them."""

    def load(
        train: list[Row], dev: list[Row], given: Vocabulary | None = None, **tables: Any
    ) -> Corpus:
        rng = np.random.default_rng(0)
        for side, rows in (("train", train), ("dev", dev)):
            lines = [json.dumps({k: v for k, v in item.items() if v != ""}) for item in rows]
            (tmp_path / f"{side}.jsonl").write_text("".join(f"{line}\n" for line in lines))
            for item in rows:
                path = tmp_path / str(item["audio_filepath"])
                if not path.exists():
                    seconds = float(item.get("real") or item["duration"])
                    soundfile.write(path, rng.uniform(-0.3, 0.3, round(16000 * seconds)), 16000)
        recipe = recipe_of(tmp_path, **tables)
        store = FeatureStore(tmp_path / "cache", recipe.features)
        return load_corpus(recipe, store, vocabulary=given, quiet=True)

    return load


def ids(corpus: Corpus) -> tuple[list[str], list[str]]:
    return [item.id for item in corpus.train], [item.id for item in corpus.dev]


def test_both_sides_are_read_normalised_and_spelt(load: Load) -> None:
    corpus = load([row("a", "Ab, ba!"), row("b", "b", 1.0)], [row("c", "BA")])
    assert corpus.vocabulary.tokens == ("<blank>", " ", "a", "b")
    assert [item.text for item in corpus.train] == ["ab ba", "b"]
    assert [item.labels for item in corpus.train] == [(2, 3, 1, 3, 2), (3,)]
    assert [(item.text, item.labels) for item in corpus.dev] == [("ba", (3, 2))]
    assert corpus.num_frames == {("a", 1.0): 51, ("b", 1.0): 101, ("c", 1.0): 51}
    assert corpus.duration_s(corpus.train) == pytest.approx(1.52)
    assert corpus.exclusions == ()


def test_the_vocabulary_is_learnt_from_the_training_side_alone(load: Load) -> None:
    corpus = load([row("a", "ab")], [row("b", "abcd")])
    assert corpus.vocabulary.tokens == ("<blank>", "a", "b")


def test_a_given_alphabet_keeps_its_order(load: Load) -> None:
    corpus = load([row("a", "ab")], [row("b", "b")], **alphabet("zba"))
    assert corpus.vocabulary.tokens == ("<blank>", "z", "b", "a")
    assert corpus.train[0].labels == (3, 2)


def test_a_vocabulary_that_is_handed_over_is_not_learnt_anew(load: Load) -> None:
    given = Vocabulary.from_characters("dab")
    corpus = load([row("a", "ab")], [row("b", "b")], given=given, **alphabet("zba"))
    assert corpus.vocabulary == given
    assert corpus.train[0].labels == (2, 3)


def alphabet(characters: str) -> dict[str, Any]:
    return {"vocabulary": {"characters": characters}}


def test_an_id_that_stands_for_two_is_one_error(load: Load) -> None:
    train = [row(name, "a") for name in ("a", "b", "c")]
    with pytest.raises(ManifestError) as caught:
        load(train, [row("d", "a"), row("c", "a"), row("a", "a")])
    message = str(caught.value)
    assert "2 ids" in message
    assert "a, c" in message


def test_training_texts_that_cannot_be_spelt_are_left_out_and_told(load: Load) -> None:
    train = [row("a", "ab"), row("b", "aß"), row("c", "éb")]
    corpus = load(train, [row("d", "a")], **alphabet("ab "))
    assert ids(corpus) == (["a"], ["d"])
    reason = "characters outside the vocabulary, left out: "
    assert corpus.exclusions == (
        Exclusion(id="b", side="train", reason=reason + "ß"),
        Exclusion(id="c", side="train", reason=reason + "é"),
    )
    assert "train: 2 utterances with characters outside the vocabulary" in corpus.describe()


def test_dev_texts_that_cannot_be_spelt_are_kept_and_told(load: Load) -> None:
    corpus = load([row("a", "ab")], [row("d", "aßb"), row("e", "b")])
    assert ids(corpus) == (["a"], ["d", "e"])
    assert corpus.dev[0].text == "aßb"  # the reference its errors are counted against
    assert corpus.dev[0].labels == (1, 2)
    (exclusion,) = corpus.exclusions
    assert (exclusion.id, exclusion.side) == ("d", "dev")
    assert exclusion.reason == "characters outside the vocabulary, kept, their errors count: ß"


def sounds(folder: Path, text: str) -> dict[str, Any]:
    (folder / "sounds.tsv").write_text(text)
    return {"vocabulary": {"kind": "sounds", "pronunciations": str(folder / "sounds.tsv")}}


def test_words_are_spelt_by_their_sounds(load: Load, tmp_path: Path) -> None:
    tables = sounds(tmp_path, "ab\tx y\nba\ty z\nc\tz\nunsaid\tw\n")
    corpus = load([row("a", "Ab, ba"), row("b", "ab")], [row("d", "c")], **tables)
    assert corpus.vocabulary.tokens == ("<blank>", " ", "x", "y", "z")
    assert [item.labels for item in (*corpus.train, *corpus.dev)] == [(2, 3, 1, 3, 4), (2, 3), (4,)]
    assert corpus.exclusions == ()


def test_of_words_that_sound_alike_the_decodings_is_written(load: Load, tmp_path: Path) -> None:
    tables = sounds(tmp_path, "ab\tx y\nba\tx y\n")
    for decoding, written in (({}, "ab"), ({"method": "beam", "words": ["ba"]}, "ba")):
        corpus = load([row("a", "ab")], [row("b", "ba")], decoding=decoding, **tables)
        assert corpus.vocabulary.decode(corpus.vocabulary.encode("ab")) == written


def test_training_words_without_a_pronunciation_are_told(load: Load, tmp_path: Path) -> None:
    tables = sounds(tmp_path, "ab\tx y\n")
    corpus = load([row("a", "ab"), row("b", "ab ba")], [row("d", "ba ab")], **tables)
    assert ids(corpus) == (["a"], ["d"])
    assert (corpus.dev[0].text, corpus.dev[0].labels) == ("ba ab", (2, 3))
    assert [one.reason for one in corpus.exclusions] == [
        "words outside the vocabulary, left out: ba",
        "words outside the vocabulary, kept, their errors count: ba",
    ]


def test_an_empty_text_is_left_out_of_training_and_kept_in_dev(load: Load) -> None:
    corpus = load([row("a", "a"), row("b", ""), row("c", "…")], [row("d", ""), row("e", "a")])
    assert ids(corpus) == (["a"], ["d", "e"])
    assert [(item.id, item.reason) for item in corpus.exclusions] == [
        ("b", "empty text, left out"),
        ("c", "empty text, left out"),
    ]


def test_a_text_too_long_for_its_audio_is_left_out(load: Load) -> None:
    # 0.1 s has 11 frames; equal neighbours take a step more each.
    train = [row("fits", "a" * 6, 0.1), row("repeats", "a" * 7, 0.1), row("long", "ab" * 6, 0.1)]
    corpus = load(train, [row("d", "ab" * 9, 0.1)])
    assert ids(corpus) == (["fits"], ["d"])
    assert [item.id for item in corpus.exclusions] == ["repeats", "long"]
    assert all("too long for its audio" in item.reason for item in corpus.exclusions)
    assert ("long", 1.0) not in corpus.num_frames


def test_stacked_frames_count(load: Load) -> None:
    # 31 frames stacked by 3 are 11 steps.
    train = [row("fits", "ab" * 5, 0.3), row("long", "ab" * 6, 0.3)]
    corpus = load(train, [row("d", "a")], features={"stack": 3})
    assert ids(corpus) == (["fits"], ["d"])


def test_only_the_speeds_that_are_too_fast_are_dropped(load: Load) -> None:
    # 0.2 s: 21 frames, 26 at 0.8, 14 at 1.5.
    train = [row(f"{count}", "ab" * (count // 2), 0.2) for count in (14, 16, 24, 28)]
    corpus = load(train, [row("d", "a")], augment={"speeds": [0.8, 1.5]})
    speeds = {
        key: [speed for name, speed in corpus.num_frames if name == key]
        for key in ("14", "16", "24", "28")
    }
    assert speeds == {"14": [0.8, 1.0, 1.5], "16": [0.8, 1.0], "24": [0.8], "28": []}
    assert ids(corpus) == (["14", "16", "24"], ["d"])
    assert [item.id for item in corpus.exclusions] == ["28"]


def test_durations_outside_the_recipes_are_left_out(load: Load) -> None:
    train = [
        row("short", "a", 0.2),
        row("right", "a", 0.5),
        row("long", "a", 1.0),
        {"id": "measured", "audio_filepath": "measured.wav", "text": "a", "real": 1.0},
        {"id": "unmeasured", "audio_filepath": "unmeasured.wav", "text": "a", "real": 0.5},
    ]
    data = {"min_duration_s": 0.3, "max_duration_s": 0.9}
    corpus = load(train, [row("d", "a", 1.0)], data=data)
    assert ids(corpus) == (["right", "unmeasured"], ["d"])
    assert {item.id for item in corpus.exclusions} == {"short", "long", "measured"}
    assert all("outside 0.3..0.9 s" in item.reason for item in corpus.exclusions)


def test_broken_recordings_are_told_and_the_rest_is_used(load: Load, tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_bytes(b"no recording")
    (tmp_path / "e.wav").write_bytes(b"no recording")
    corpus = load([row("a", "a"), row("b", "a")], [row("d", "a"), row("e", "a")])
    assert ids(corpus) == (["a"], ["d"])
    assert [(item.id, item.side) for item in corpus.exclusions] == [("b", "train"), ("e", "dev")]
    assert all("unreadable audio, left out: " in item.reason for item in corpus.exclusions)


@pytest.mark.parametrize(
    ("train", "dev", "message"),
    [
        ([row("a", "")], [row("d", "a")], "train: .*a: empty text"),
        ([row("a", "ab" * 90)], [row("d", "a")], "train: .*a: a text too long"),
        ([row("a", "a")], [], "dev: .*manifest is empty"),
    ],
)
def test_nothing_left_on_a_side_is_an_error(
    load: Load, train: list[Row], dev: list[Row], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        load(train, dev)


def test_what_was_left_out_is_written_down(load: Load, tmp_path: Path) -> None:
    corpus = load([row("a", "a"), row("b", "")], [row("d", "a")])
    corpus.write_exclusions(tmp_path / "excluded.jsonl")
    lines = (tmp_path / "excluded.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": "b", "side": "train", "reason": "empty text, left out"}
    ]


def test_the_digest_knows_the_corpus_again_and_no_other(load: Load, tmp_path: Path) -> None:
    train, dev = [row("a", "ab"), row("b", "b")], [row("d", "a")]
    digest = load(train, dev).digest()
    assert load(train, dev).digest() == digest
    others = [
        load([train[0], row("b", "a")], dev),
        load([train[0]], dev),
        load(train, [row("d", "b")]),
        load([row("a", "cb"), row("b", "b")], [row("d", "c")]),  # same labels, another alphabet
        load(train, dev, augment={"speeds": [0.9]}),
    ]
    assert len({digest, *(other.digest() for other in others)}) == 6
    (tmp_path / "b.wav").unlink()
    assert load([train[0], row("b", "b", 0.6)], dev).digest() != digest


def test_the_description_says_how_much_there_is(load: Load) -> None:
    train = [row("a", "a", 1.0, speaker="x"), row("b", "a", 1.0, speaker="y")]
    text = load(train, [row("d", "a", speaker="z")]).describe()
    assert "train: 2 utterances, 0.00 h by 2 speakers" in text
    assert "dev: 1 utterances, 0.00 h by 1 speaker\n" in text
    assert "vocabulary: 2 tokens" in text
