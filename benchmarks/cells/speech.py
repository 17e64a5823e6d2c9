"""The speech that all cells are given: spoken digits, alone and joined, and some read sentences."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.batch import pad
from asr.features import FeatureOptions, extract, step_s
from asr.files import replacing
from asr.interchange import read_utterances
from asr.manifest import Utterance
from asr.validation import feasible
from asr.vocabulary import Vocabulary
from pipelines.prepare.fsdd import read as read_digits
from pipelines.prepare.join import JoinOptions, join, plan
from pipelines.speech import load_speech

Floats = npt.NDArray[np.float32]

FEATURES = FeatureOptions(deltas=1, stack=3)
VOCABULARY = Vocabulary.from_characters("abcdefghijklmnopqrstuvwxyz' ")
HELD_OUT = 10
"""Recordings of each digit, the first ones of every speaker, that nobody learns from."""
JOINED = (3, 6, 12, 24)
"""Digits in a row of the new speaker's; training has one and three."""
TRAINED_JOINED = 3
MAX_DIGIT_S = 1.0
READ_S = (2.0, 6.0)
"""Length of the read sentences."""
TRAIN_READ_S, DEV_READ_S = 300.0, 180.0
"""How much of them there is."""
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance: what is heard, [T, F], and what is said."""

    id: str
    features: Floats
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Utterances that are padded to one length, so that no program meets many shapes.

    Attributes:
        name: What they are.
        items: In a fixed order.
    """

    name: str
    items: tuple[Item, ...]

    @property
    def duration_s(self) -> float:
        """How long they are together."""
        return sum(len(item.features) for item in self.items) * step_s(FEATURES)

    def shapes(self) -> tuple[int, int]:
        """Returns the steps and labels of the longest."""
        return (
            max(len(item.features) for item in self.items),
            max(len(item.text) for item in self.items),
        )

    def batch(self, places: Sequence[int]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the padded arrays that `models.ctc.CTCTrainer` takes, of those items."""
        num_steps, num_labels = self.shapes()
        chosen = [self.items[place] for place in places]
        labels = [np.array(VOCABULARY.encode(item.text), np.int32) for item in chosen]
        features, lengths = pad([item.features for item in chosen], multiple=num_steps)
        spelt, label_lengths = pad(labels, multiple=num_labels)
        return (
            {"features": features, "feature_lengths": lengths},
            {"labels": spelt, "label_lengths": label_lengths},
        )

    def batches(self) -> list[list[int]]:
        """Returns all places in batches of one size, the last filled up with the first place."""
        places = list(range(len(self.items)))
        places += [0] * (-len(places) % BATCH_SIZE)
        return [places[start : start + BATCH_SIZE] for start in range(0, len(places), BATCH_SIZE)]


@dataclass(frozen=True, slots=True)
class Speech:
    """All of it.

    Attributes:
        train: What is learnt from.
        test: What is asked, by name.
    """

    train: tuple[Group, ...]
    test: tuple[Group, ...]

    def save(self, path: Path) -> None:
        """Writes it for the processes that train."""
        groups = (*self.train, *self.test)
        items = [item for group in groups for item in group.items]
        about = {
            "num_train": len(self.train),
            "groups": [[group.name, len(group.items)] for group in groups],
            "items": [[item.id, len(item.features), item.text] for item in items],
        }
        features = np.concatenate([item.features for item in items])
        with replacing(path) as aside:
            np.savez(aside, features=features, about=np.array(json.dumps(about)))

    @classmethod
    def load(cls, path: Path) -> "Speech":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            features, about = arrays["features"], json.loads(str(arrays["about"]))
        ends = np.cumsum([length for _, length, _ in about["items"]])
        items = [
            Item(key, features[end - length : end], text)
            for (key, length, text), end in zip(about["items"], ends, strict=True)
        ]
        groups, start = [], 0
        for name, count in about["groups"]:
            groups.append(Group(name, tuple(items[start : start + count])))
            start += count
        return cls(tuple(groups[: about["num_train"]]), tuple(groups[about["num_train"] :]))


def load(digits: Path, new_speaker: str, read: Path | None, read_dev: Path | None) -> Speech:
    """Reads all of it.

    Args:
        digits: A folder of the Free Spoken Digit Dataset.
        new_speaker: Whose digits nobody learns from.
        read: A manifest of read sentences to learn from, or None.
        read_dev: One of other readers, to be asked, or None.

    Raises:
        SystemExit: There are no such digits.
        ManifestError: A manifest cannot be read.
        AudioError: A recording cannot be.
    """
    clips = [item for item in read_digits(digits) if isinstance(item, Utterance)]
    speakers = sorted({str(clip.speaker) for clip in clips})
    if new_speaker not in speakers or len(speakers) < 2:
        raise SystemExit(
            f"{digits}: expected recordings DIGIT_SPEAKER_INDEX of {new_speaker} and of others, "
            f"received speakers: {', '.join(speakers) or 'none'}"
        )
    samples = {clip.id: load_speech(clip) for clip in clips}
    clips = [clip for clip in clips if len(samples[clip.id]) <= MAX_DIGIT_S * 16_000]
    new = [clip for clip in clips if clip.speaker == new_speaker]
    known = [clip for clip in clips if clip.speaker != new_speaker]
    heard = [clip for clip in known if _index(clip) >= HELD_OUT]
    unheard = [clip for clip in known if _index(clip) < HELD_OUT]
    train = [
        _group("digits", heard, samples.__getitem__, learnt=True),
        _joined("joined digits", heard, samples, TRAINED_JOINED, learnt=True),
    ]
    test = [
        _group("digits, speakers heard", unheard, samples.__getitem__),
        _group("digits, new speaker", new, samples.__getitem__),
        *(_joined(f"{count} digits, new speaker", new, samples, count) for count in JOINED),
    ]
    if read is not None:
        train.append(_read(read, TRAIN_READ_S, learnt=True))
    if read_dev is not None:
        test.append(_read(read_dev, DEV_READ_S))
    return Speech(tuple(train), tuple(test))


def _group(
    name: str,
    utterances: Iterable[Utterance],
    samples_of: Callable[[str], Floats],
    *,
    learnt: bool = False,
) -> Group:
    items = [
        Item(one.id, extract(samples_of(one.id), FEATURES), one.text or "") for one in utterances
    ]
    if learnt:  # what CTC cannot write cannot be learnt
        items = [
            item for item in items if feasible(len(item.features), VOCABULARY.encode(item.text))
        ]
    return Group(name, tuple(items))


def _joined(
    name: str,
    clips: Sequence[Utterance],
    samples: Mapping[str, Floats],
    count: int,
    *,
    learnt: bool = False,
) -> Group:
    options = JoinOptions(count=count)
    utterances, made = [], {}
    for number, planned in enumerate(plan(clips, options, side="train" if learnt else "test")):
        key, group = planned  # type: ignore[misc]
        text = " ".join(clip.text or "" for clip in group)
        utterances.append(Utterance(id=key, audio=Path(key), text=text, duration_s=None))
        rng = np.random.default_rng([count, number])
        made[key] = join([samples[clip.id] for clip in group], options, rng)
    return _group(name, utterances, made.__getitem__, learnt=learnt)


def _read(manifest: Path, seconds: float, *, learnt: bool = False) -> Group:
    chosen = {item.id: item for item in _part(read_utterances(manifest), seconds)}
    return _group("read", chosen.values(), lambda key: load_speech(chosen[key]), learnt=learnt)


def _part(utterances: Iterable[Utterance], seconds: float) -> list[Utterance]:
    """Returns sentences of the lengths wanted, drawn in a fixed order until there are enough."""
    shortest, longest = READ_S
    fitting = [
        item
        for item in utterances
        if shortest <= (item.duration_s or 0.0) <= longest and VOCABULARY.encodable(item.text or "")
    ]
    chosen, total = [], 0.0
    for place in np.random.default_rng(0).permutation(len(fitting)):
        if total >= seconds:
            break
        chosen.append(fitting[place])
        total += fitting[place].duration_s or 0.0
    return chosen


def _index(clip: Utterance) -> int:
    return int(clip.id.rpartition("_")[2])
