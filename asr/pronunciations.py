"""How words sound: a dictionary of pronunciations, for networks that write sounds."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from asr.errors import VocabularyError
from asr.text import TextOptions, normalise_text

Sounds = tuple[str, ...]

_COMMENT = ";;;"
_MAX_LISTED = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pronunciations:
    """Words with the sounds they are made of, in a dictionary's order.

    Attributes:
        entries: A word and its sounds each, once, those of one word together. A word may have
            several; its first is the one it is trained as. Where several words sound alike, the
            first of them is what is written.
    """

    entries: tuple[tuple[str, Sounds], ...]
    _by_word: dict[str, tuple[Sounds, ...]] = dataclasses.field(
        init=False, repr=False, compare=False
    )
    _by_sounds: dict[Sounds, str] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_word: dict[str, dict[Sounds, None]] = collections.defaultdict(dict)
        for word, sounds in self.entries:
            _check(word, sounds)
            by_word[word][sounds] = None
        entries = tuple((word, sounds) for word, several in by_word.items() for sounds in several)
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "_by_word", {key: tuple(one) for key, one in by_word.items()})
        by_sounds = {sounds: word for word, sounds in reversed(entries)}
        object.__setattr__(self, "_by_sounds", by_sounds)

    @classmethod
    def of(cls, table: Mapping[str, Iterable[Sequence[str]]]) -> Self:
        """Returns the dictionary of a table of words and their pronunciations.

        Raises:
            VocabularyError: A word is none or without sounds, or a sound is none.
        """
        entries = ((word, tuple(sounds)) for word, several in table.items() for sounds in several)
        return cls(entries=tuple(entries))

    def __contains__(self, word: object) -> bool:
        return word in self._by_word

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_word)

    def __len__(self) -> int:
        return len(self._by_word)

    def of_word(self, word: str) -> tuple[Sounds, ...]:
        """Returns a word's pronunciations; none for a word that is not in the dictionary."""
        return self._by_word.get(word, ())

    def word_of(self, sounds: Sequence[str]) -> str | None:
        """Returns the first word that sounds so, or None."""
        return self._by_sounds.get(tuple(sounds))

    def sounds(self) -> tuple[str, ...]:
        """Returns every sound that occurs, in code order."""
        return tuple(sorted({sound for _, sounds in self.entries for sound in sounds}))

    def beginning_with(self, words: Iterable[str]) -> Self:
        """Returns the same dictionary with these words first: of those that sound alike, they."""
        first = [(word, sounds) for word in words for sounds in self.of_word(word)]
        return type(self)(entries=(*first, *self.entries))

    def within(self, words: Iterable[str]) -> Self:
        """Returns the dictionary of only these words, as far as it has them."""
        kept = set(words)
        return type(self)(entries=tuple(entry for entry in self.entries if entry[0] in kept))

    def __or__(self, other: "Pronunciations") -> Self:
        """Returns this dictionary with the words that only the other one has behind its own."""
        added = (entry for entry in other.entries if entry[0] not in self)
        return type(self)(entries=(*self.entries, *added))

    def alike(self, words: Iterable[str]) -> list[tuple[str, str]]:
        """Returns those pairs of these words that no one can tell apart."""
        spoken = [(sounds, word) for word in dict.fromkeys(words) for sounds in self.of_word(word)]
        first = dict(reversed(spoken))
        return [(first[sounds], word) for sounds, word in spoken if first[sounds] != word]

    def to_text(self) -> str:
        """Returns the dictionary as `read_pronunciations` reads it."""
        return "".join(f"{word}\t{' '.join(sounds)}\n" for word, sounds in self.entries)


def read_pronunciations(path: Path | str, *, text: TextOptions) -> Pronunciations:
    """Reads a dictionary: a word and its sounds in each line, with blanks between them.

    So do Kaldi's `lexicon.txt` and CMUdict, whose `word(2)` is the same word again, and whose lines
    that begin with `;;;` are comments. Where tabs divide a line into more than two parts, as in the
    Montreal Forced Aligner's dictionaries, those between word and sounds are passed over; so are
    entries that no normalised text holds as one word.

    Args:
        path: The file, UTF-8.
        text: How words are normalised.

    Raises:
        VocabularyError: The file cannot be read, or lines of it are not so; the first are named.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"{path}: expected a dictionary of pronunciations: {error}") from None
    entries, broken = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(_COMMENT):
            continue
        word, sounds = _parts(line, text)
        if not sounds:
            broken.append(f"line {number} ({line.strip()!r})")
        elif word and " " not in word:
            entries.append((word, sounds))
    if broken or not entries:
        shown = ", ".join(broken[:_MAX_LISTED]) or "none"
        more = f" and {len(broken) - _MAX_LISTED:,} more" if len(broken) > _MAX_LISTED else ""
        raise VocabularyError(f"{path}: expected in a line a word and its sounds: {shown}{more}")
    return Pronunciations(entries=tuple(entries))


def _parts(line: str, text: TextOptions) -> tuple[str, Sounds]:
    columns = line.split("\t")
    if len(columns) > 1:
        word, rest = columns[0].strip(), columns[-1]
    else:
        word, _, rest = line.strip().partition(" ")
    stem, bracket, number = word.rstrip(")").partition("(")
    if bracket and number.isdecimal():
        word = stem
    return normalise_text(word, text), tuple(rest.split())


def _check(word: str, sounds: Sounds) -> None:
    if not word or word.split() != [word]:
        raise VocabularyError(f"pronunciations: expected words, received {word!r}")
    if not sounds or any(sound.split() != [sound] for sound in sounds):
        raise VocabularyError(
            f"pronunciations: expected sounds of {word!r} without blanks in them, received "
            f"{list(sounds)!r}"
        )
