"""What a recognizer gets wrong: the words it mixes up, misses and makes up, and odd references."""

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from asr.manifest import Utterance
from asr.scoring import UtteranceScore
from asr.vocabulary import Vocabulary

_Key = TypeVar("_Key", str, tuple[str, str])

NUM_LISTED = 50
"""Entries of each list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A word taken for another.

    Attributes:
        reference: What was said.
        hypothesis: What was recognised.
        count: How often.
    """

    reference: str
    hypothesis: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WordErrors:
    """What became of a word.

    Attributes:
        word: The word.
        num_reference: How often it was said.
        substitutions: How often it was taken for another.
        deletions: How often it was missed.
        insertions: How often it was recognised and nothing said.
    """

    word: str
    num_reference: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """How often it was said and not recognised."""
        return self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Share of times it was said and not recognised."""
        return self.errors / max(self.num_reference, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Utterances that are alike.

    Attributes:
        value: What they share: a text, or a recording's path.
        ids: The utterances, at least two.
    """

    value: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """The errors of a corpus by word; each list has at most `NUM_LISTED` entries, most first.

    Attributes:
        confusions: Words taken for others.
        deletions: Words missed.
        insertions: Words made up.
        words: Words most often said and not recognised.
        num_confusions: Different confusions in all.
    """

    confusions: tuple[Confusion, ...]
    deletions: tuple[WordErrors, ...]
    insertions: tuple[WordErrors, ...]
    words: tuple[WordErrors, ...]
    num_confusions: int


def mistakes(rows: Iterable[UtteranceScore], *, limit: int = NUM_LISTED) -> Mistakes:
    """Counts what was said and what was recognised instead, word by word.

    Words side by side in a stretch of substitutions are paired in order; where a stretch is long,
    that pairing is a guess of the alignment.

    Args:
        rows: The utterances.
        limit: Entries of each list.
    """
    said: collections.Counter[str] = collections.Counter()
    swapped: collections.Counter[tuple[str, str]] = collections.Counter()
    deleted: collections.Counter[str] = collections.Counter()
    inserted: collections.Counter[str] = collections.Counter()
    for row in rows:
        for chunk in row.alignment:
            said.update(chunk.reference)
            if chunk.kind == "substitute":
                swapped.update(zip(chunk.reference, chunk.hypothesis, strict=True))
            elif chunk.kind == "delete":
                deleted.update(chunk.reference)
            elif chunk.kind == "insert":
                inserted.update(chunk.hypothesis)
    substituted: collections.Counter[str] = collections.Counter()
    for (reference, _), count in swapped.items():
        substituted[reference] += count

    def of(word: str) -> WordErrors:
        return WordErrors(
            word=word,
            num_reference=said[word],
            substitutions=substituted[word],
            deletions=deleted[word],
            insertions=inserted[word],
        )

    return Mistakes(
        confusions=tuple(
            Confusion(reference=pair[0], hypothesis=pair[1], count=swapped[pair])
            for pair in _most(swapped, limit)
        ),
        deletions=tuple(of(word) for word in _most(deleted, limit)),
        insertions=tuple(of(word) for word in _most(inserted, limit)),
        words=tuple(of(word) for word in _most(substituted + deleted, limit)),
        num_confusions=len(swapped),
    )


def duplicate_texts(rows: Iterable[UtteranceScore], *, min_words: int = 3) -> list[Duplicates]:
    """Returns the references that stand more than once, most often first.

    A sentence that was also in training, or counts twice in the test, makes a figure better than it
    is. Short ones repeat by nature.

    Args:
        rows: The utterances.
        min_words: Shorter references are left out.
    """
    return _duplicates(
        (row.reference, row.id) for row in rows if row.words.num_reference >= min_words
    )


def duplicate_audio(
    utterances: Iterable[Utterance], digests: Mapping[str, bytes] | None = None
) -> list[Duplicates]:
    """Returns the recordings that stand more than once, each named as its first utterance has it.

    Args:
        utterances: Where the recordings are.
        digests: Of what is to be heard, by id: the same for the same sound. Where there is none, a
            file and where the stretch starts in it stand for it.
    """
    same: dict[object, list[Utterance]] = collections.defaultdict(list)
    for item in utterances:
        sound = (item.audio, item.offset_s, item.channel)
        same[(digests or {}).get(item.id, sound)].append(item)
    found = [
        Duplicates(value=_stretch(items[0]), ids=tuple(item.id for item in items))
        for items in same.values()
        if len(items) > 1
    ]
    return sorted(found, key=lambda one: (-len(one.ids), one.value))


def _stretch(item: Utterance) -> str:
    return f"{item.audio}" + (f" from {item.offset_s:g} s" if item.offset_s else "")


def unknown_characters(
    rows: Iterable[UtteranceScore], vocabulary: Vocabulary
) -> dict[str, tuple[str, ...]]:
    """Returns the characters of references that a vocabulary has no token for, with their ids.

    A model can never write them: each is an error before any audio is heard. Of sounds, they are
    words without a pronunciation.
    """
    found: dict[str, list[str]] = collections.defaultdict(list)
    for row in rows:
        for character in vocabulary.unknown_characters(row.reference):
            found[character].append(row.id)
    return {key: tuple(ids) for key, ids in sorted(found.items(), key=lambda one: -len(one[1]))}


def _most(counts: "collections.Counter[_Key]", limit: int) -> list[_Key]:
    """Returns the most frequent, and of equals the first in the alphabet."""
    return sorted(counts, key=lambda key: (-counts[key], key))[:limit]


def _duplicates(pairs: Iterable[tuple[str, str]]) -> list[Duplicates]:
    ids: dict[str, list[str]] = collections.defaultdict(list)
    for value, key in pairs:
        ids[value].append(key)
    found = [
        Duplicates(value=value, ids=tuple(same)) for value, same in ids.items() if len(same) > 1
    ]
    return sorted(found, key=lambda one: (-len(one.ids), one.value))
