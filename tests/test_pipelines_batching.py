"""Batches: every utterance once, little padding, the same whenever they are made."""

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import load_audio
from asr.background import as_heard, surrounded
from asr.decoding import DecodingOptions, log_softmax
from asr.errors import AudioError, TrainingError
from asr.features import FeatureOptions, extract, frame_features, stack_frames
from asr.manifest import Utterance
from asr.recognizer import Recognizer
from asr.text import TextOptions
from asr.vocabulary import Vocabulary
from pipelines.augment import mask_bands, mask_features, narrow_band, warp_bands
from pipelines.batching import Batch, BatchMaker, Draw, dev_batches
from pipelines.corpus import Corpus, Example
from pipelines.feature_store import FeatureStore
from pipelines.prefetching import PREFETCHED, Prefetcher
from pipelines.recipe import Recipe, read_recipe
from pipelines.teacher import Teacher

TEXTS = ("ab", "b", "aba", "", "a")
SECONDS = (0.5, 0.2, 0.31, 0.4, 0.35)


def recipe_of(**tables: Any) -> Recipe:
    return read_recipe({"data": {"train": ["t"], "dev": ["d"]}, **tables}, where="test")


def corpus_of(num_frames: dict[tuple[str, float], int]) -> Corpus:
    """A corpus of lengths alone."""
    ids = dict.fromkeys(key for key, _ in num_frames)
    utterances = [Utterance(id=key, audio=Path(key), duration_s=None, text="a") for key in ids]
    return Corpus(
        train=tuple(Example(utterance=item, labels=(1,)) for item in utterances),
        dev=(),
        vocabulary=Vocabulary.from_characters("ab"),
        num_frames=num_frames,
        frame_s=0.01,
        exclusions=(),
    )


def planner(num_frames: dict[tuple[str, float], int], **tables: Any) -> BatchMaker:
    recipe = recipe_of(**tables)
    return BatchMaker(corpus_of(num_frames), FeatureStore(Path("nowhere"), recipe.features), recipe)


def librispeech_lengths(count: int) -> dict[tuple[str, float], int]:
    """Lengths like LibriSpeech's: most near 14 s, a tail of short ones, none over 17 s."""
    rng = np.random.default_rng(0)
    seconds = np.where(
        rng.random(count) < 0.6,
        rng.normal(14.5, 1.2, count),
        rng.lognormal(np.log(7), 0.6, count),
    ).clip(1.3, 17)
    return {
        (str(index), speed): round(100 * duration / speed)
        for index, duration in enumerate(seconds)
        for speed in (0.9, 1.0, 1.1)
    }


@given(
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=80),
    budget_s=st.floats(0.01, 100),
    stack=st.integers(1, 4),
    shuffle=st.floats(0, 0.5),
    epoch=st.integers(0, 50),
)
def test_an_epoch_has_every_utterance_once_and_no_batch_over_its_size(
    lengths: list[int], budget_s: float, stack: int, shuffle: float, epoch: int
) -> None:
    maker = planner(
        {(str(index), 1.0): length for index, length in enumerate(lengths)},
        batches={"duration_s": budget_s, "shuffle": shuffle},
        features={"stack": stack},
    )
    plan = maker.plan(epoch)
    assert Counter(draw.index for draws in plan for draw in draws) == Counter(range(len(lengths)))
    for draws in plan:
        longest = max(-(-lengths[draw.index] // stack) for draw in draws)
        assert len(draws) == 1 or len(draws) * longest * stack * 0.01 <= budget_s + 1e-9
    assert plan == maker.plan(epoch)


def test_padding_is_under_a_tenth() -> None:
    lengths = librispeech_lengths(2000)
    tables = {"augment": {"speeds": [0.9, 1.0, 1.1]}, "features": {"stack": 3}}
    maker = planner(lengths, batches={"duration_s": 100.0}, **tables)
    for epoch in range(3):
        plan = maker.plan(epoch)
        rows = [[-(-lengths[str(draw.index), draw.speed] // 3) for draw in draws] for draws in plan]
        padded = sum(len(row) * max(row) for row in rows)
        share = 1 - sum(map(sum, rows)) / padded
        assert maker.padding_share(plan) == pytest.approx(share)
        assert share < 0.1
        # Full batches: an epoch that pads nothing by batches of one would be no feat.
        assert np.mean([len(row) * max(row) * 0.03 for row in rows]) > 85


def test_epochs_and_seeds_differ() -> None:
    lengths = {(str(index), 1.0): 100 + index for index in range(40)}
    tables = {"batches": {"duration_s": 5.0}}
    maker = planner(lengths, **tables)
    again = planner(lengths, **tables)
    other = planner(lengths, training={"seed": 2}, **tables)
    assert maker.plan(3) == again.plan(3)
    plans = [maker.plan(0), maker.plan(1), other.plan(0)]
    for one, two in ((0, 1), (0, 2)):
        assert plans[one] != plans[two]
        # Other company, not only another order.
        first, second = ({frozenset(d.index for d in b) for b in plans[p]} for p in (one, two))
        assert first != second


def test_lengths_are_mixed_over_the_epoch() -> None:
    lengths = {(str(index), 1.0): 100 + 10 * index for index in range(200)}
    plan = planner(lengths, batches={"duration_s": 40.0}).plan(0)
    means = [float(np.mean([draw.index for draw in draws])) for draws in plan]
    assert abs(float(np.corrcoef(means, range(len(means)))[0, 1])) < 0.5


def test_every_speed_is_drawn_but_the_ones_an_utterance_is_too_short_for() -> None:
    lengths = {(str(i), s): round(100 / s) for i in range(50) for s in (0.9, 1.0, 1.1)}
    del lengths["7", 1.1], lengths["7", 1.0]
    maker = planner(lengths, augment={"speeds": [0.9, 1.1]})
    draws = [draw for epoch in range(20) for batch in maker.plan(epoch) for draw in batch]
    speeds = Counter(draw.speed for draw in draws if draw.index != 7)
    assert speeds.keys() == {0.9, 1.1}
    assert speeds[0.9] / (49 * 20) == pytest.approx(0.5, abs=0.06)
    assert {draw.speed for draw in draws if draw.index == 7} == {0.9}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index, seconds in enumerate(SECONDS):
        samples = rng.uniform(-0.3, 0.3, round(16000 * seconds))
        soundfile.write(tmp_path / f"{index}.wav", samples, 16000)
    return tmp_path


def real(folder: Path, **tables: Any) -> tuple[Corpus, FeatureStore, Recipe]:
    """Five recordings of noise on both sides."""
    vocabulary = Vocabulary.from_characters("ab")
    examples = tuple(
        Example(
            utterance=Utterance(id=f"u{i}", audio=folder / f"{i}.wav", duration_s=None, text=text),
            labels=tuple(vocabulary.encode(text)),
        )
        for i, text in enumerate(TEXTS)
    )
    recipe = recipe_of(**tables)
    num_frames = {
        (f"u{i}", speed): 1 + round(16000 * seconds / speed) // 160
        for i, seconds in enumerate(SECONDS)
        for speed in recipe.augment.speeds
    }
    corpus = replace(corpus_of({}), train=examples, dev=examples, num_frames=num_frames)
    return corpus, FeatureStore(folder / "cache", recipe.features), recipe


def test_a_batch_holds_its_rows_and_zeros(folder: Path) -> None:
    corpus, store, recipe = real(folder, features={"stack": 3})
    draws = [Draw(index=index, speed=1.0) for index in (1, 0, 3)]
    batch = BatchMaker(corpus, store, recipe).make(draws, epoch=4)
    assert batch.ids == ("u1", "u0", "u3")
    assert batch.features.dtype == np.float32
    assert batch.features.shape == (3, 17, 39)
    assert batch.feature_lengths.tolist() == [7, 17, 14]
    for row, draw in enumerate(draws):
        features = frame_features(load_audio(folder / f"{draw.index}.wav"), recipe.features)
        expected = stack_frames(features, size=3)
        length = batch.feature_lengths[row]
        np.testing.assert_array_equal(batch.features[row, :length], expected)
        assert not batch.features[row, length:].any()
    assert batch.labels.tolist() == [[2, 0], [1, 2], [0, 0]]
    assert batch.label_lengths.tolist() == [1, 2, 0]
    assert batch.labels.dtype == batch.label_lengths.dtype == np.int32
    assert batch.duration_s == pytest.approx(0.21 + 0.51 + 0.41)
    inputs, targets = batch.for_fit()
    assert inputs["features"] is batch.features
    assert inputs["feature_lengths"] is batch.feature_lengths
    assert targets["labels"] is batch.labels
    assert targets["label_lengths"] is batch.label_lengths


def knowing(features: FeatureOptions, tokens: str) -> Recognizer:
    """A recognizer whose logits are some of its features."""
    vocabulary = Vocabulary.from_characters(tokens)

    def network(rows: Any, lengths: Any) -> Any:
        return rows[:, :, : len(vocabulary)], lengths

    return Recognizer(
        features=features,
        text=TextOptions(),
        vocabulary=vocabulary,
        decoding=DecodingOptions(),
        network=network,
    )


def test_a_teacher_hears_what_the_pupil_does(folder: Path) -> None:
    noisy = {"speeds": [1.1], "channel_db": 5.0, "lead_s": 0.2, "num_time_masks": 1}
    corpus, store, recipe = real(folder, features={"stack": 3}, augment=noisy)
    recognizer = knowing(recipe.features, "ba")
    teacher = Teacher(recognizer, corpus.vocabulary, name="its")
    draws = [Draw(index=index, speed=1.1) for index in (1, 0)]
    batch = BatchMaker(corpus, store, recipe, teacher).make(draws, epoch=2)
    guides = batch.guides
    assert guides is not None
    assert guides.dtype == np.float32
    assert guides.shape == (*batch.features.shape[:2], 3)
    plain = replace(recipe, augment=replace(recipe.augment, num_time_masks=0))
    unmasked = BatchMaker(corpus, store, plain).make(draws, epoch=2)
    for row, length in enumerate(batch.feature_lengths):
        # The teacher's tokens are blank, b, a; the pupil's blank, a, b.
        expected = log_softmax(unmasked.features[row, :length, :3])[:, [0, 2, 1]]
        np.testing.assert_allclose(guides[row, :length], expected, atol=1e-4)
    assert not np.array_equal(batch.features, unmasked.features)
    assert batch.for_fit()[1]["guides"] is guides
    without = BatchMaker(corpus, store, recipe).make(draws, epoch=2)
    np.testing.assert_array_equal(without.features, batch.features)
    assert "guides" not in without.for_fit()[1]


def test_a_teacher_of_other_tokens_or_steps_is_refused(folder: Path) -> None:
    corpus, store, recipe = real(folder, features={"stack": 3})
    with pytest.raises(TrainingError, match=r"teacher its: .*only one of both has b c"):
        Teacher(knowing(recipe.features, "ca"), corpus.vocabulary, name="its")
    slow = Teacher(knowing(replace(recipe.features, stack=4), "ab"), corpus.vocabulary, name="its")
    maker = BatchMaker(corpus, store, recipe, slow)
    with pytest.raises(TrainingError, match="expected as many steps"):
        maker.make([Draw(index=0, speed=1.0)], epoch=0)


MASKS = {
    "num_time_masks": 2,
    "max_time_mask_s": 0.1,
    "num_coefficient_masks": 1,
    "num_band_masks": 1,
}


def test_a_batch_is_the_same_whenever_it_is_made(folder: Path) -> None:
    noises = folder / "noises"
    noises.mkdir()
    soundfile.write(noises / "n.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 3000), 16000)
    augment = {**MASKS, "speeds": [0.9, 1.1], "noise": str(noises), "noise_share": 0.5}
    corpus, store, recipe = real(folder, augment=augment)
    maker = BatchMaker(corpus, store, recipe)
    draws = [Draw(index=index, speed=0.9) for index in range(5)]
    together = maker.make(draws, epoch=1)
    later = BatchMaker(corpus, store, recipe)
    for index in (4, 0, 2, 1, 3):
        alone = later.make([draws[index]], epoch=1)
        length = int(together.feature_lengths[index])
        np.testing.assert_array_equal(alone.features[0], together.features[index, :length])
    other = maker.make(draws, epoch=2)
    assert not np.array_equal(other.features, together.features)


def test_every_utterance_has_a_vocal_tract_of_its_own(folder: Path) -> None:
    corpus, store, recipe = real(folder, augment={"max_warp": 0.2})
    maker = BatchMaker(corpus, store, recipe)
    warps = []
    for epoch in range(40):
        batch = maker.make([Draw(index=0, speed=1.0)], epoch=epoch)
        rng = np.random.default_rng([recipe.training.seed, epoch, 0])
        warps.append(float(np.exp(rng.uniform(-1, 1) * np.log(1.2))))
        plain = store.load(corpus.train[0].utterance)
        expected = warp_bands(plain, warp=warps[-1], made_by=recipe.features)
        np.testing.assert_array_equal(batch.features[0], expected)
    assert 1 / 1.2 <= min(warps) < 0.9
    assert 1.1 < max(warps) <= 1.2


def test_masks_are_on_training_features_only(folder: Path) -> None:
    corpus, store, recipe = real(folder, augment=MASKS)
    maker = BatchMaker(corpus, store, recipe)
    plain = store.load(corpus.train[0].utterance)
    batch = maker.make([Draw(index=0, speed=1.0)], epoch=0)
    rng = np.random.default_rng([recipe.training.seed, 0, 0])
    banded = mask_bands(plain, recipe.augment, made_by=recipe.features, rng=rng)
    expected = mask_features(banded, recipe.augment, frame_s=0.01, rng=rng)
    np.testing.assert_array_equal(batch.features[0], expected)
    assert not np.array_equal(expected, plain)
    for dev in dev_batches(corpus, store, recipe):
        for row, key in enumerate(dev.ids):
            index = int(key[1:])
            length = int(dev.feature_lengths[row])
            kept = store.load(corpus.dev[index].utterance)
            np.testing.assert_array_equal(dev.features[row, :length], kept)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_noise_goes_under_the_share_asked_for(folder: Path, share: float) -> None:
    (folder / "noises").mkdir()
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 3000)
    soundfile.write(folder / "noises" / "n.wav", noise, 16000)
    augment = {"noise": str(folder / "noises"), "noise_share": share}
    corpus, store, recipe = real(folder, augment=augment)
    batch = BatchMaker(corpus, store, recipe).make([Draw(index=0, speed=1.0)], epoch=0)
    plain = store.load(corpus.train[0].utterance)
    assert batch.features[0].shape == plain.shape
    assert np.array_equal(batch.features[0], plain) == (share == 0.0)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_asked_for_has_a_narrow_band(folder: Path, share: float) -> None:
    corpus, store, recipe = real(folder, augment={"narrow_band_share": share})
    maker = BatchMaker(corpus, store, recipe)
    narrow = 0
    for epoch in range(20):
        batch = maker.make([Draw(index=0, speed=1.0)], epoch=epoch)
        utterance = corpus.train[0].utterance
        plain = store.load(utterance)
        changed = frame_features(narrow_band(load_audio(utterance.audio)), recipe.features)
        assert not np.array_equal(plain, changed)
        narrow += int(np.array_equal(batch.features[0], changed))
        assert any(np.array_equal(batch.features[0], one) for one in (plain, changed))
    assert narrow == 20 * share if share in (0, 1) else 4 < narrow < 16


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_asked_for_loses_its_edges(folder: Path, share: float) -> None:
    """u4 is made to begin softly, with half of it: the text stays where only that is left."""
    path = folder / "4.wav"
    samples = load_audio(path)
    samples[: len(samples) // 2] *= 0.01
    soundfile.write(path, samples, 16000)
    trimmed = {"trimmed_share": share, "min_trim_db": 20.0, "max_trim_db": 21.0}
    corpus, store, recipe = real(folder, augment=trimmed)
    maker = BatchMaker(corpus, store, recipe)
    whole = len(store.load(corpus.train[4].utterance))
    lengths = [
        int(maker.make([Draw(index=4, speed=1.0)], epoch=epoch).feature_lengths[0])
        for epoch in range(20)
    ]
    assert {whole} <= {*lengths, whole} <= {whole, whole // 2 + 1, whole // 2 + 2}
    shorter = sum(length < whole for length in lengths)
    assert shorter == 20 * share if share in (0, 1) else 4 < shorter < 16


def test_an_utterance_has_up_to_so_much_background_around_it(folder: Path) -> None:
    corpus, store, recipe = real(folder, augment={"lead_s": 0.2})
    maker = BatchMaker(corpus, store, recipe)
    samples = load_audio(corpus.train[0].utterance.audio)
    longer = []
    for epoch in range(20):
        rng = np.random.default_rng([recipe.training.seed, epoch, 0])
        before, behind = (rng.uniform(0, 0.2, 2) * 16_000).astype(int).tolist()
        expected = frame_features(surrounded(samples, before, behind, rng), recipe.features)
        batch = maker.make([Draw(index=0, speed=1.0)], epoch=epoch)
        np.testing.assert_array_equal(batch.features[0], expected)
        longer.append(before + behind)
    assert min(longer) < 2_000
    assert max(longer) > 4_400


def test_dev_speech_is_heard_as_by_a_recognizer(folder: Path) -> None:
    corpus, store, recipe = real(folder, features={"lead_s": 0.1, "stack": 3})
    for batch in dev_batches(corpus, store, recipe):
        for row, key in enumerate(batch.ids):
            samples = load_audio(corpus.dev[int(key[1:])].utterance.audio)
            expected = extract(as_heard(samples, 1_600), recipe.features)
            found = batch.features[row, : batch.feature_lengths[row]]
            np.testing.assert_array_equal(found, expected)


def test_no_edge_is_lost_that_its_text_needs(folder: Path) -> None:
    corpus, store, recipe = real(folder, augment={"trimmed_share": 1.0, "max_trim_db": 7.0})
    long = replace(corpus.train[0], labels=(1, 2) * 25)  # 50 frames of 51
    corpus = replace(corpus, train=(long,))
    samples = load_audio(long.utterance.audio)
    samples[2000:] *= 0.001
    soundfile.write(long.utterance.audio, samples, 16000)
    batch = BatchMaker(corpus, store, recipe).make([Draw(index=0, speed=1.0)], epoch=0)
    assert batch.feature_lengths[0] == corpus.num_frames["u0", 1.0]


def test_every_utterance_has_a_colour_of_its_own(folder: Path) -> None:
    corpus, store, recipe = real(folder, augment={"channel_db": 6.0})
    maker = BatchMaker(corpus, store, recipe)
    draws = [Draw(index=index, speed=1.0) for index in range(2)]
    batch, again, later = (maker.make(draws, epoch=epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(batch.features, again.features)
    assert not np.array_equal(batch.features, later.features)
    for row, draw in enumerate(draws):
        plain = store.load(corpus.train[draw.index].utterance)
        assert not np.allclose(batch.features[row, : len(plain)], plain, atol=0.01)


def test_dev_batches_hold_every_utterance_once(folder: Path) -> None:
    corpus, store, recipe = real(folder, batches={"duration_s": 0.8})
    batches = list(dev_batches(corpus, store, recipe))
    assert len(batches) > 1
    assert sorted(key for batch in batches for key in batch.ids) == ["u0", "u1", "u2", "u3", "u4"]
    for batch in batches:
        assert len(batch.ids) == 1 or batch.features.shape[0] * batch.features.shape[1] <= 80
        for key, labels, length in zip(batch.ids, batch.labels, batch.label_lengths, strict=True):
            assert tuple(labels[:length]) == corpus.dev[int(key[1:])].labels


class FakeMaker(BatchMaker):
    """Makes batches that only carry the number of their first draw."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.made: list[int] = []
        self.fails_at = fails_at

    def make(self, draws: Any, *, epoch: int) -> Batch:
        number = draws[0].index
        if number == self.fails_at:
            raise AudioError(f"recording {number} has gone")
        self.made.append(number)
        empty = np.zeros((1, 1), np.int32)
        return Batch(
            ids=(f"{epoch}/{number}",),
            features=empty.astype(np.float32),
            feature_lengths=empty[0],
            labels=empty,
            label_lengths=empty[0],
            duration_s=1.0,
        )


def prefetch(maker: BatchMaker, count: int) -> Prefetcher:
    plan = [[Draw(index=number, speed=1.0)] for number in range(count)]
    return Prefetcher(maker, plan, epoch=5)


def prefetch_threads() -> list[threading.Thread]:
    return [item for item in threading.enumerate() if "_work" in item.name]


@pytest.mark.parametrize("count", [0, 1, PREFETCHED, 50])
def test_prefetched_batches_come_in_order(count: int) -> None:
    ids = [batch.ids for batch in prefetch(FakeMaker(), count)]
    assert ids == [(f"5/{number}",) for number in range(count)]
    assert not prefetch_threads()


def test_few_batches_are_made_ahead() -> None:
    maker = FakeMaker()
    prefetcher = prefetch(maker, 50)
    time.sleep(0.3)
    assert maker.made == list(range(PREFETCHED + 1))  # one waits for room
    prefetcher.stop()


def test_an_error_while_making_a_batch_reaches_the_consumer() -> None:
    prefetcher = prefetch(FakeMaker(fails_at=3), 50)
    received: list[tuple[str, ...]] = []
    with pytest.raises(AudioError, match="recording 3 has gone") as caught:
        received.extend(batch.ids for batch in prefetcher)
    assert received == [("5/0",), ("5/1",), ("5/2",)]
    assert prefetcher.error is caught.value
    assert not prefetch_threads()


def test_stopped_early_its_thread_ends() -> None:
    prefetcher = prefetch(FakeMaker(), 50)
    iterator = iter(prefetcher)
    assert next(iterator).ids == ("5/0",)
    start = time.monotonic()
    prefetcher.stop()
    assert time.monotonic() - start < 5
    assert not prefetch_threads()
    rest: list[Batch] = []
    consumer = threading.Thread(target=lambda: rest.extend(iterator), daemon=True)
    consumer.start()
    consumer.join(10)
    assert not consumer.is_alive(), "waits for batches that will not come"
    assert rest == []
    prefetcher.stop()  # again does no harm


def test_stopped_from_elsewhere_a_waiting_consumer_goes_on() -> None:
    started, release = threading.Event(), threading.Event()

    class SlowMaker(FakeMaker):
        def make(self, draws: Any, *, epoch: int) -> Batch:
            started.set()
            release.wait(10)
            return super().make(draws, epoch=epoch)

    prefetcher = prefetch(SlowMaker(), 50)
    received: list[Batch] = []
    consumer = threading.Thread(target=lambda: received.extend(prefetcher), daemon=True)
    consumer.start()
    started.wait(10)
    stopper = threading.Thread(target=prefetcher.stop, daemon=True)
    stopper.start()
    time.sleep(0.05)
    release.set()
    for thread in (stopper, consumer):
        thread.join(10)
        assert not thread.is_alive()
    assert len(received) <= 1
