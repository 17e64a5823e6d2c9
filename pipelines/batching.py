"""Utterances → batches: which go together, and what the network is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.background import as_heard, lead_samples, surrounded
from asr.batch import batches_by_length, pad
from asr.errors import TrainingError
from asr.features import frame_features, num_frames, num_steps, stack_frames
from asr.validation import feasible
from pipelines.augment import (
    add_noise,
    colour,
    load_noises,
    mask_bands,
    mask_features,
    narrow_band,
    trim_edges,
    warp_bands,
)
from pipelines.corpus import Corpus, Example
from pipelines.feature_store import FeatureStore
from pipelines.recipe import Recipe
from pipelines.speech import load_speech
from pipelines.teacher import Teacher

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """An example as one epoch uses it.

    Attributes:
        index: Its position in the corpus's training side.
        speed: The speed it is played at.
    """

    index: int
    speed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded arrays with their lengths.

    Attributes:
        ids: Utterance ids, row by row.
        features: float32 [B, T, F].
        feature_lengths: int32 [B].
        labels: int32 [B, L].
        label_lengths: int32 [B].
        duration_s: Seconds of speech, padding not counted.
        guides: What a teacher holds likely: natural log-probabilities, float32 [B, T, V], or None.
    """

    ids: tuple[str, ...]
    features: npt.NDArray[np.float32]
    feature_lengths: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    label_lengths: npt.NDArray[np.int32]
    duration_s: float
    guides: npt.NDArray[np.float32] | None = None

    def for_fit(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the inputs and targets of `models.ctc.CTCTrainer`."""
        inputs = {"features": self.features, "feature_lengths": self.feature_lengths}
        targets: dict[str, Any] = {"labels": self.labels, "label_lengths": self.label_lengths}
        if self.guides is not None:
            targets["guides"] = self.guides
        return inputs, targets


class BatchMaker:
    """Decides every epoch's batches and makes them.

    All chance comes from the recipe's seed, the epoch and the utterance, so that batch k of epoch
    e is the same whenever and in whatever order it is made: a run can go on in mid-epoch.

    Args:
        corpus: What is trained on.
        store: Its features.
        recipe: How.
        teacher: Says what it holds likely of every utterance, varied as it is; or None.
    """

    def __init__(
        self, corpus: Corpus, store: FeatureStore, recipe: Recipe, teacher: Teacher | None = None
    ) -> None:
        self._corpus = corpus
        self._store = store
        self._recipe = recipe
        self._teacher = teacher
        noise = recipe.augment.noise
        self._noises = load_noises(Path(noise)) if noise else []
        self._frame_s = corpus.frame_s

    def plan(self, epoch: int) -> list[list[Draw]]:
        """Returns the batches of an epoch, in the order they are trained on."""
        rng = np.random.default_rng([self._recipe.training.seed, epoch])
        draws = [self._draw(index, rng) for index in range(len(self._corpus.train))]
        blur = self._recipe.batches.shuffle
        keys = [self._steps(draw) * rng.uniform(1 - blur, 1 + blur) for draw in draws]
        order = sorted(range(len(draws)), key=lambda position: keys[position])
        batches = self._pack([draws[position] for position in order])
        return [batches[position] for position in rng.permutation(len(batches))]

    def padding_share(self, plan: Sequence[Sequence[Draw]]) -> float:
        """Returns how much of the frames the network is given in an epoch is padding, 0..1."""
        lengths = [[self._steps(draw) for draw in batch] for batch in plan]
        padded = sum(len(row) * max(row) for row in lengths)
        return 1.0 - sum(map(sum, lengths)) / padded

    def duration_s(self, draws: Sequence[Draw]) -> float:
        """Returns the seconds of speech in a batch."""
        return sum(self._num_frames(draw) for draw in draws) * self._frame_s

    def ids(self, draws: Sequence[Draw]) -> tuple[str, ...]:
        """Returns the utterance ids of a batch."""
        return tuple(self._corpus.train[draw.index].id for draw in draws)

    def make(self, draws: Sequence[Draw], *, epoch: int) -> Batch:
        """Loads, augments, stacks and pads one batch.

        Raises:
            AudioError: A recording cannot be read any more.
            TrainingError: A teacher's steps are not the recipe's.
        """
        seed = self._recipe.training.seed
        rngs = [np.random.default_rng([seed, epoch, draw.index]) for draw in draws]
        speech = [*map(self._changed_speech, draws, rngs)]
        rows = [*map(self._features, draws, speech, rngs)]
        labels = [np.array(self._corpus.train[draw.index].labels, np.int32) for draw in draws]
        made = make_batch(self.ids(draws), rows, labels, duration_s=self.duration_s(draws))
        if self._teacher is None:
            return made
        guides, lengths = pad(self._teacher.guides([*map(self._heard, draws, speech)]))
        if not np.array_equal(lengths, made.feature_lengths):
            raise TrainingError(
                f"[training] teacher {self._teacher.name}: expected as many steps as this recipe's "
                f"features have of {', '.join(made.ids[:3])}; its window may be another"
            )
        return replace(made, guides=guides.astype(np.float32, copy=False))

    def _heard(self, draw: Draw, speech: Floats | None) -> Floats:
        """Returns what is heard of an example: its speech with what was drawn, or as it is."""
        if speech is not None:
            return speech
        return load_speech(self._corpus.train[draw.index].utterance, speed=draw.speed)

    def _features(self, draw: Draw, speech: Floats | None, rng: np.random.Generator) -> Floats:
        utterance = self._corpus.train[draw.index].utterance
        if speech is None:
            features = self._store.load(utterance, speed=draw.speed)
        else:
            features = frame_features(speech, self._recipe.features)
        augment = self._recipe.augment
        if augment.max_warp:
            warp = float(np.exp(rng.uniform(-1, 1) * np.log1p(augment.max_warp)))
            features = warp_bands(features, warp=warp, made_by=self._recipe.features)
        if augment.num_band_masks:
            features = mask_bands(features, augment, made_by=self._recipe.features, rng=rng)
        masked = mask_features(features, augment, frame_s=self._frame_s, rng=rng)
        return stack_frames(masked, size=self._recipe.features.stack)

    def _changed_speech(self, draw: Draw, rng: np.random.Generator) -> Floats | None:
        """Returns the speech with what is drawn for it; None if that is nothing."""
        augment = self._recipe.augment
        is_noisy = bool(self._noises) and rng.random() < augment.noise_share
        # Without a share nothing is drawn: runs of earlier releases go on as they began.
        share = augment.narrow_band_share
        is_narrow = share > 0 and rng.random() < share
        is_coloured = augment.channel_db > 0
        share = augment.trimmed_share
        is_trimmed = share > 0 and rng.random() < share
        if not (is_noisy or is_coloured or is_narrow or is_trimmed or augment.lead_s):
            return None
        speech = load_speech(self._corpus.train[draw.index].utterance, speed=draw.speed)
        if is_trimmed:
            speech = self._trimmed(speech, draw, rng)
        if augment.lead_s:
            before, behind = (rng.uniform(0, augment.lead_s, 2) * SAMPLE_RATE).astype(int).tolist()
            speech = surrounded(speech, before, behind, rng)
        if is_coloured:
            speech = colour(speech, spread_db=rng.uniform(0, augment.channel_db), rng=rng)
        if is_noisy:
            noise = self._noises[int(rng.integers(len(self._noises)))]
            snr_db = float(rng.uniform(augment.min_snr_db, augment.max_snr_db))
            speech = add_noise(speech, noise, snr_db=snr_db, rng=rng)
        return narrow_band(speech) if is_narrow else speech

    def _trimmed(self, speech: Floats, draw: Draw, rng: np.random.Generator) -> Floats:
        """Returns the speech without its edges, or as it is if its text would not fit any more."""
        low, high = self._recipe.augment.min_trim_db, self._recipe.augment.max_trim_db
        before_db, after_db = rng.uniform(low, high, 2)
        shorter = trim_edges(speech, before_db=before_db, after_db=after_db)
        options = self._recipe.features
        steps = num_steps(num_frames(len(shorter), options), options)
        return shorter if feasible(steps, self._corpus.train[draw.index].labels) else speech

    def _draw(self, index: int, rng: np.random.Generator) -> Draw:
        key = self._corpus.train[index].id
        speeds = self._recipe.augment.speeds
        possible = [speed for speed in speeds if (key, speed) in self._corpus.num_frames]
        return Draw(index=index, speed=possible[int(rng.integers(len(possible)))])

    def _pack(self, draws: Sequence[Draw]) -> list[list[Draw]]:
        """Cuts draws, sorted roughly by length, into batches of the recipe's size."""
        budget = self._recipe.batches.duration_s / self._frame_s / self._recipe.features.stack
        batches: list[list[Draw]] = []
        longest = 0
        for draw in draws:
            longest = max(longest, self._steps(draw))
            if batches and (len(batches[-1]) + 1) * longest <= budget:
                batches[-1].append(draw)
            else:
                batches.append([draw])
                longest = self._steps(draw)
        return batches

    def _num_frames(self, draw: Draw) -> int:
        return self._corpus.num_frames[self._corpus.train[draw.index].id, draw.speed]

    def _steps(self, draw: Draw) -> int:
        return num_steps(self._num_frames(draw), self._recipe.features)


def dev_batches(corpus: Corpus, store: FeatureStore, recipe: Recipe) -> Iterator[Batch]:
    """Yields the dev side in batches by length, unaugmented."""
    frame_s = corpus.frame_s
    lengths = [corpus.num_frames[example.id, 1.0] for example in corpus.dev]
    max_padded = int(recipe.batches.duration_s / frame_s)
    for positions in batches_by_length(lengths, max_padded=max_padded):
        examples = [corpus.dev[position] for position in positions]
        rows = [_dev_features(example, store, recipe) for example in examples]
        yield make_batch(
            tuple(example.id for example in examples),
            rows,
            [np.array(example.labels, np.int32) for example in examples],
            duration_s=sum(lengths[position] for position in positions) * frame_s,
        )


def make_batch(
    ids: tuple[str, ...],
    features: Sequence[npt.NDArray[np.float32]],
    labels: Sequence[npt.NDArray[np.int32]],
    *,
    duration_s: float,
) -> Batch:
    """Pads features [T, F] and labels [L] of each utterance to one batch."""
    padded, feature_lengths = pad(features)
    padded_labels, label_lengths = pad(labels)
    return Batch(
        ids=ids,
        features=padded.astype(np.float32, copy=False),
        feature_lengths=feature_lengths,
        labels=padded_labels.astype(np.int32, copy=False),
        label_lengths=label_lengths,
        duration_s=duration_s,
    )


def _dev_features(example: Example, store: FeatureStore, recipe: Recipe) -> npt.NDArray[np.float32]:
    """Returns the features of an utterance as a recognizer will hear it."""
    options = recipe.features
    if not options.lead_s:
        return stack_frames(store.load(example.utterance), size=options.stack)
    samples = as_heard(load_speech(example.utterance), lead_samples(options.lead_s))
    return stack_frames(frame_features(samples, options), size=options.stack)
