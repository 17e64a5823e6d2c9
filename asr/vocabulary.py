"""Text ↔ token numbers. Blank is token 0, here and nowhere else decided."""

import collections
import dataclasses
import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr import files
from asr.errors import VocabularyError
from asr.pronunciations import Pronunciations
from asr.subwords import pieces, processor, train_subwords
from asr.vocabulary_file import Kind, read_table, written

BLANK = "<blank>"
# Sentencepiece's own sign for a space within a piece (U+2581).
_SPACE = "▁"
_PARTS = {"characters": [], "subwords": ["a model"], "sounds": ["pronunciations"]}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens a network can write, in the order of its outputs.

    Made by `from_characters`, `learn_characters`, `learn_subwords`, `learn_sounds` or `load`. A
    broken list of tokens is refused, never repaired: a network trained with one list cannot be read
    with another.

    Attributes:
        tokens: Blank first; then single code points (`characters`), sentencepiece's pieces
            (`subwords`), or the sounds that words are made of and the space between them
            (`sounds`), each once.
        kind: What the tokens are.
        model: The sentencepiece model that splits text into these pieces, for `subwords` alone.
        pronunciations: The sounds of each word that can be written, for `sounds` alone.
    """

    tokens: tuple[str, ...]
    kind: Kind = "characters"
    model: bytes | None = dataclasses.field(default=None, repr=False)
    pronunciations: Pronunciations | None = dataclasses.field(default=None, repr=False)
    _ids: dict[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_tokens(self.tokens)
        if self.kind == "characters":
            _check_characters(self.tokens[1:])
        parts = {"a model": self.model, "pronunciations": self.pronunciations}
        given = [name for name, part in parts.items() if part is not None]
        if given != _PARTS[self.kind]:
            received = f"with {' and '.join(given)}" if given else f"without {_PARTS[self.kind][0]}"
            raise VocabularyError(
                "expected a sentencepiece model with subwords, pronunciations with sounds and "
                f"neither with characters, received {self.kind} {received}"
            )
        if self.pronunciations is not None:
            silent = sorted(set(self.pronunciations.sounds()) - set(self.tokens[1:]))
            if silent:
                raise VocabularyError(f"expected sounds among the tokens alone: {_listed(silent)}")
        object.__setattr__(self, "_ids", dict(zip(self.tokens, range(len(self)), strict=True)))

    @classmethod
    def from_characters(cls, characters: Iterable[str]) -> "Vocabulary":
        """Returns the vocabulary of these characters, in the order given, behind the blank.

        Args:
            characters: Single code points; a string gives its own. The space is a character too.

        Raises:
            VocabularyError: There are none, one is repeated, or one is not a single code point.
        """
        return cls(tokens=(BLANK, *characters))

    @classmethod
    def learn_characters(cls, texts: Iterable[str]) -> "Vocabulary":
        """Returns the vocabulary of every code point that occurs in the texts, in code order.

        The texts must be normalised as the ones to be encoded later will be. A combining mark that
        has no composed form with its letter is a token of its own.

        Raises:
            VocabularyError: The texts hold no character at all.
        """
        seen: set[str] = set()
        for text in texts:
            seen.update(text)
        return cls.from_characters(sorted(seen))

    @classmethod
    def learn_subwords(cls, texts: Iterable[str], *, size: int) -> "Vocabulary":
        """Returns a vocabulary of pieces of words, by sentencepiece's unigram model (Kudo 2018).

        Args:
            texts: Normalised texts, one utterance or sentence each.
            size: Number of tokens, blank included.

        Raises:
            VocabularyError: The texts do not allow that many pieces, or need more.
            MissingExtraError: The extra `subwords` is not installed.
        """
        model = train_subwords(texts, size)
        return cls(tokens=(BLANK, *pieces(model)[1:]), kind="subwords", model=model)

    @classmethod
    def learn_sounds(cls, texts: Iterable[str], pronunciations: Pronunciations) -> "Vocabulary":
        """Returns the vocabulary of the sounds of the texts' words, in code order.

        Args:
            texts: Normalised texts.
            pronunciations: How words sound. Those of the texts are kept; the space between words is
                a token where a text has several.

        Raises:
            VocabularyError: The dictionary has none of the words.
        """
        rows = [text.split() for text in texts]
        space = " " if any(len(row) > 1 for row in rows) else ""
        spoken = pronunciations.within(itertools.chain.from_iterable(rows))
        if not len(spoken):
            raise VocabularyError("expected pronunciations of at least one word, received none")
        tokens = (BLANK, *space, *spoken.sounds())
        return cls(tokens=tokens, kind="sounds", pronunciations=spoken)

    @classmethod
    def from_json(cls, text: str, *, where: str = "vocabulary") -> "Vocabulary":
        """Reads what `to_json` wrote.

        Args:
            text: The JSON document.
            where: What to call it in an error, e.g. its file name.

        Raises:
            VocabularyError: It is not exactly that: a key is unknown, repeated or missing, a token
                is repeated, or the blank is not first.
        """
        try:
            return cls(**read_table(text))
        except VocabularyError as error:
            raise VocabularyError(f"{where}: {error}") from None

    @classmethod
    def load(cls, path: Path | str) -> "Vocabulary":
        """Reads a vocabulary file.

        Raises:
            VocabularyError: The file cannot be read, or is not a vocabulary.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise VocabularyError(f"{path}: expected a vocabulary file: {error}") from None
        return cls.from_json(text, where=str(path))

    @property
    def blank_id(self) -> int:
        """The number of CTC's blank: always 0."""
        return 0

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Returns the token numbers of a normalised text; blank is never among them.

        Raises:
            VocabularyError: The text holds characters that no token spells; they are named.
            MissingExtraError: The tokens are subwords and the extra `subwords` is not installed.
        """
        unknown = self.unknown_characters(text)
        if unknown:
            raise VocabularyError(
                f"expected a text of the vocabulary's {len(self) - 1} {self.kind}, received "
                f"unknown {self.unit} {describe_characters(unknown)} in {text!r}"
            )
        if self.pronunciations is not None:
            return self._pronounced(self.pronunciations.of_word(word)[0] for word in text.split())
        if self.model is None:
            return [self._ids[char] for char in text]
        return self._encode_subwords(text)

    def spellings(self, word: str) -> list[list[int]]:
        """Returns the token numbers of each way to write one word; of sounds there may be several.

        Raises:
            VocabularyError: As `encode`.
        """
        known = self.pronunciations.of_word(word) if self.pronunciations is not None else ()
        return [self._pronounced([sounds]) for sounds in known] or [self.encode(word)]

    @property
    def separator(self) -> list[int] | None:
        """The tokens between two words: none of subwords; None where there is one word at most."""
        if self.kind == "subwords":
            return []
        return [self._ids[" "]] if " " in self._ids else None

    @property
    def unit(self) -> str:
        """What is unknown where a text cannot be spelt: characters, or words."""
        return "characters" if self.pronunciations is None else "words"

    def preferring(self, words: Iterable[str]) -> "Vocabulary":
        """Returns the vocabulary that writes these words for others that sound the same."""
        if self.pronunciations is None:
            return self
        return dataclasses.replace(self, pronunciations=self.pronunciations.beginning_with(words))

    def unknown_characters(self, text: str) -> collections.Counter[str]:
        """Returns how often each character occurs in the text that no token spells.

        Of sounds, each word that has no pronunciation.
        """
        if self.pronunciations is not None:
            words = text.split()
            unknown = collections.Counter(one for one in words if one not in self.pronunciations)
            if len(words) > 1 and self.separator is None:
                unknown[" "] = len(words) - 1
            return unknown
        if self.kind == "characters":
            return collections.Counter(char for char in text if char not in self._ids)
        # The sign for a space stands for a space alone: encoded itself, it would come back as one.
        return collections.Counter(
            char for char in text if char == _SPACE or (char != " " and char not in self._ids)
        )

    def encodable(self, text: str) -> bool:
        """Whether every character of the text can be spelt."""
        return not self.unknown_characters(text)

    def without_unknown(self, text: str) -> str:
        """Returns what is left of a text without what `unknown_characters` finds in it."""
        unknown = self.unknown_characters(text)
        if self.pronunciations is None:
            return "".join(char for char in text if char not in unknown)
        known = [word for word in text.split() if word not in unknown]
        return " ".join(known[:1] if " " in unknown else known)

    def decode(self, tokens: Iterable[int]) -> str:
        """Returns the text of token numbers; the inverse of `encode`. Needs no sentencepiece.

        Of words that sound alike it is the first in the dictionary; what sounds like none of them
        is written as its sounds.

        Raises:
            VocabularyError: A number is the blank's, or outside the vocabulary. Blanks and repeats
                are the decoder's to remove.
        """
        if self.pronunciations is not None:
            return self._words(map(self._token, tokens))
        text = "".join(map(self._token, tokens))
        if self.kind == "characters":
            return text
        # Sentencepiece puts one space before the first word.
        return text.replace(_SPACE, " ").removeprefix(" ")

    def piece(self, token: int) -> str:
        """Returns what one token stands for: a character, a subword with its space, or a sound.

        Raises:
            VocabularyError: The number is the blank's, or outside the vocabulary.
        """
        text = self._token(token)
        return text.replace(_SPACE, " ") if self.kind == "subwords" else text

    def symbols(self, token: int) -> Sequence[str]:
        """Returns the characters of one token, or its sound; raises as `piece`."""
        piece = self.piece(token)
        return piece if self.pronunciations is None else (piece,)

    def word_of(self, symbols: Sequence[str]) -> str:
        """Returns the word that is written by symbols, among them no space."""
        known = self.pronunciations.word_of(symbols) if self.pronunciations is not None else None
        return known or "".join(symbols)

    def to_json(self) -> str:
        """Returns the vocabulary as a JSON document, one token a line."""
        return written(self.kind, self.tokens, self.model, self.pronunciations)

    def save(self, path: Path | str) -> None:
        """Writes the vocabulary as JSON, atomically, over what was there."""
        files.write_text(path, self.to_json())

    def _token(self, number: int) -> str:
        if not 0 < number < len(self.tokens):
            raise VocabularyError(
                f"expected token numbers from 1 to {len(self) - 1} (0 is blank), received {number}"
            )
        return self.tokens[number]

    def _pronounced(self, words: Iterable[Sequence[str]]) -> list[int]:
        spelt = [[self._ids[sound] for sound in sounds] for sounds in words]
        between = self.separator or []
        return [token for word in spelt for token in (*between, *word)][len(between) :]

    def _words(self, pieces: Iterable[str]) -> str:
        runs = itertools.groupby(pieces, key=str.isspace)
        return " ".join(self.word_of([*run]) for is_space, run in runs if not is_space)

    def _encode_subwords(self, text: str) -> list[int]:
        model = self.model or b""
        if pieces(model)[1:] != self.tokens[1:]:
            raise VocabularyError("expected the pieces of the sentencepiece model as tokens")
        # Piece 0 of the model is its `unknown`, where ours is blank, so the numbers are the same.
        tokens: list[int] = processor(model).encode(text)
        if 0 in tokens:
            raise VocabularyError(f"the sentencepiece model cannot spell {text!r}")
        return tokens


def describe_characters(counts: collections.Counter[str]) -> str:
    """Returns characters with their code points, or words, and counts; the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{describe_character(unknown)} × {count}" for unknown, count in ordered)


def describe_character(unknown: str) -> str:
    """Returns a character with its code point, or a word."""
    return f"{unknown!r} (U+{ord(unknown):04X})" if len(unknown) == 1 else repr(unknown)


def _check_tokens(tokens: Sequence[str]) -> None:
    if not tokens or tokens[0] != BLANK:
        received = repr(tokens[0]) if tokens else "no token"
        raise VocabularyError(f"expected {BLANK!r} as the first token, received {received}")
    if len(tokens) == 1:
        raise VocabularyError("expected tokens behind the blank, received none")
    repeated = [token for token, count in collections.Counter(tokens).items() if count > 1]
    if repeated:
        raise VocabularyError(f"expected every token once, repeated: {_listed(repeated)}")
    broken = [token for token in tokens if _is_broken(token)]
    if broken:
        raise VocabularyError(f"expected text as tokens, received {_listed(broken)}")


def _check_characters(characters: Sequence[str]) -> None:
    longer = [char for char in characters if len(char) != 1]
    if longer:
        raise VocabularyError(f"expected single code points as characters: {_listed(longer)}")


def _is_broken(token: str) -> bool:
    """An empty token, or half of a surrogate pair, which no file can hold."""
    return not token or any(unicodedata.category(char) == "Cs" for char in token)


def _listed(tokens: Iterable[str]) -> str:
    return ", ".join(map(repr, tokens))
