"""The speech a model is trained on: read, normalised, and rid of what cannot be learnt."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr.errors import ManifestError, TrainingError
from asr.features import num_steps
from asr.files import write_lines
from asr.interchange import read_utterances
from asr.manifest import Utterance
from asr.text import TextOptions, normalise_text
from asr.validation import feasible
from asr.vocabulary import Vocabulary
from pipelines.alphabet import learn_vocabulary
from pipelines.feature_store import FeatureStore
from pipelines.progress import Progress
from pipelines.recipe import Recipe

Lengths = Mapping[tuple[str, float], int]
"""num_frames by utterance id and speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An utterance ready to be learnt from.

    Attributes:
        utterance: With its text normalised.
        labels: The text's tokens.
    """

    utterance: Utterance
    labels: tuple[int, ...]

    @property
    def id(self) -> str:
        """The utterance's id."""
        return self.utterance.id

    @property
    def text(self) -> str:
        """The reference, normalised."""
        return self.utterance.text or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """An utterance that is not used as it stands, and why."""

    id: str
    side: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Training and dev speech with the vocabulary that spells them.

    Attributes:
        train: What is learnt from.
        dev: What the model is chosen by.
        vocabulary: Spells every text of `train` and `dev`.
        num_frames: Frames of every utterance at every speed it is long enough for.
        frame_s: Seconds from one frame to the next.
        exclusions: What was left out, each with its reason; and dev utterances with characters or
            words the vocabulary lacks, which are kept: without them the WER would be flattered.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    vocabulary: Vocabulary
    num_frames: Lengths
    frame_s: float
    exclusions: tuple[Exclusion, ...]

    def duration_s(self, examples: Iterable[Example]) -> float:
        """Returns how long they are together, as recorded, by their frames."""
        frames = sum(self.num_frames.get((example.id, 1.0), 0) for example in examples)
        return frames * self.frame_s

    def digest(self) -> str:
        """Returns a digest of all that a run depends on here, to know the same corpus again."""
        texts = [(example.id, example.labels) for example in (*self.train, *self.dev)]
        content = [self.vocabulary.tokens, texts, sorted(self.num_frames.items())]
        return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()

    def write_exclusions(self, path: Path) -> None:
        """Writes one JSON line for every utterance left out."""
        write_lines(
            path,
            (
                json.dumps({"id": item.id, "side": item.side, "reason": item.reason})
                for item in self.exclusions
            ),
        )

    def describe(self) -> str:
        """Says how much speech there is on each side, and what was left out and why."""
        lines = [
            f"train: {describe_examples(self.train, self.duration_s(self.train))}",
            f"dev: {describe_examples(self.dev, self.duration_s(self.dev))}",
        ]
        lines.append(f"vocabulary: {len(self.vocabulary)} tokens with the blank")
        reasons = Counter((item.side, item.reason.split(":")[0]) for item in self.exclusions)
        lines += [
            f"{side}: {count} utterances with {reason}" for (side, reason), count in reasons.items()
        ]
        return "\n".join(lines)


def load_corpus(
    recipe: Recipe,
    store: FeatureStore,
    *,
    vocabulary: Vocabulary | None = None,
    quiet: bool = False,
) -> Corpus:
    """Reads both sides, learns the vocabulary if none is given, and extracts all features.

    Raises:
        ManifestError: A manifest cannot be read, or an id stands for two utterances.
        TrainingError: Nothing usable is left on one of the sides.
        VocabularyError: The recipe's vocabulary cannot be had of these texts.
    """
    train = _read_side(recipe.data.train, recipe.text)
    dev = _read_side(recipe.data.dev, recipe.text)
    _check_sides(train, dev)
    exclusions: list[Exclusion] = []
    train = _within(train, recipe, exclusions)
    _refuse_empty({"train": train, "dev": dev}, exclusions)
    if vocabulary is None:
        texts, dev_texts = ([item.text or "" for item in side] for side in (train, dev))
        vocabulary = learn_vocabulary(recipe, texts, dev_texts)
    lengths: dict[tuple[str, float], int] = {}
    sides = {}
    for side, utterances, speeds in (
        ("train", train, {1.0, *recipe.augment.speeds}),
        ("dev", dev, {1.0}),
    ):
        label = f"{side} features"
        with Progress(len(utterances), unit="utterances", label=label, quiet=quiet) as progress:
            found, failures = store.fill(utterances, sorted(speeds), progress)
        lengths.update(found)
        exclusions += [
            Exclusion(id=key, side=side, reason=f"unreadable audio, left out: {why}")
            for key, why in failures.items()
        ]
        readable = [item for item in utterances if item.id not in failures]
        if side == "train":  # once more, for those whose manifest gave no duration
            readable = _within(readable, recipe, exclusions, lengths)
        sides[side] = _spell(readable, vocabulary, side, exclusions)
    sides["train"] = _keep_feasible(sides["train"], lengths, recipe, exclusions)
    _refuse_empty(sides, exclusions)
    return Corpus(
        train=tuple(sides["train"]),
        dev=tuple(sides["dev"]),
        vocabulary=vocabulary,
        num_frames=lengths,
        frame_s=_frame_s(recipe),
        exclusions=tuple(exclusions),
    )


def _read_side(paths: Sequence[str], text: TextOptions) -> list[Utterance]:
    utterances = [item for path in paths for item in read_utterances(Path(path))]
    return [replace(item, text=normalise_text(item.text or "", text)) for item in utterances]


def _check_sides(train: Sequence[Utterance], dev: Sequence[Utterance]) -> None:
    counts = Counter(item.id for item in (*train, *dev))
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        shown = ", ".join(twice[:5])
        raise ManifestError(
            f"expected every utterance id once in train and dev together, received {len(twice)} "
            f"ids more often: {shown}{' …' if len(twice) > 5 else ''}"
        )


def _within(
    utterances: list[Utterance],
    recipe: Recipe,
    exclusions: list[Exclusion],
    lengths: Lengths | None = None,
) -> list[Utterance]:
    """Keeps training utterances with a text and a duration, if it is known, the recipe allows."""
    shortest, longest = recipe.data.min_duration_s, recipe.data.max_duration_s
    kept = []
    for item in utterances:
        duration_s = item.duration_s
        if duration_s is None and lengths is not None:
            duration_s = lengths[item.id, 1.0] * _frame_s(recipe)
        if not item.text:
            exclusions.append(Exclusion(id=item.id, side="train", reason="empty text, left out"))
        elif duration_s is not None and not shortest <= duration_s <= longest:
            reason = f"duration outside {shortest}..{longest} s, left out: {duration_s:g} s"
            exclusions.append(Exclusion(id=item.id, side="train", reason=reason))
        else:
            kept.append(item)
    return kept


def _frame_s(recipe: Recipe) -> float:
    return recipe.features.hop_length / recipe.features.sample_rate


def _spell(
    utterances: Iterable[Utterance],
    vocabulary: Vocabulary,
    side: str,
    exclusions: list[Exclusion],
) -> list[Example]:
    """Turns texts into labels; a training text that cannot be spelt is left out."""
    examples = []
    for item in utterances:
        text = item.text or ""
        unknown = vocabulary.unknown_characters(text)
        if unknown:
            fate = "left out" if side == "train" else "kept, their errors count"
            reason = (
                f"{vocabulary.unit} outside the vocabulary, {fate}: {' '.join(sorted(unknown))}"
            )
            exclusions.append(Exclusion(id=item.id, side=side, reason=reason))
            if side == "train":
                continue
            text = vocabulary.without_unknown(text)
        examples.append(Example(utterance=item, labels=tuple(vocabulary.encode(text))))
    return examples


def _keep_feasible(
    examples: Iterable[Example],
    lengths: dict[tuple[str, float], int],
    recipe: Recipe,
    exclusions: list[Exclusion],
) -> list[Example]:
    """Drops speeds an utterance is too short for, and utterances too short at every speed."""
    kept = []
    for example in examples:
        for speed in {1.0, *recipe.augment.speeds}:
            steps = num_steps(lengths[example.id, speed], recipe.features)
            if not feasible(steps, example.labels):
                del lengths[example.id, speed]
        if any((example.id, speed) in lengths for speed in recipe.augment.speeds):
            kept.append(example)
        else:
            reason = "a text too long for its audio (CTC), left out"
            exclusions.append(Exclusion(id=example.id, side="train", reason=reason))
    return kept


def describe_examples(examples: Sequence[Example], duration_s: float) -> str:
    """Says how many utterances there are, how long they are, and by how many speakers."""
    speakers = {example.utterance.speaker for example in examples} - {None}
    by = f" by {len(speakers)} speaker{'s' if len(speakers) > 1 else ''}" if speakers else ""
    return f"{len(examples)} utterances, {duration_s / 3600:.2f} h{by}"


def _refuse_empty(sides: Mapping[str, Sequence[object]], exclusions: Sequence[Exclusion]) -> None:
    for side, items in sides.items():
        if not items:
            reasons = [f"{item.id}: {item.reason}" for item in exclusions if item.side == side]
            told = "; ".join(reasons[:3]) or "the manifest is empty"
            raise TrainingError(
                f"{side}: expected at least one usable utterance, received none ({told})"
            )
