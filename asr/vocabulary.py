"""Text ↔ token numbers. Blank is token 0, here and nowhere else decided."""

import base64
import binascii
import collections
import dataclasses
import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from asr import files
from asr.errors import VocabularyError
from asr.subwords import pieces, processor, train_subwords

BLANK = "<blank>"
# Sentencepiece's own sign for a space within a piece (U+2581).
_SPACE = "▁"
_KEYS = ("kind", "tokens", "model")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens a network can write, in the order of its outputs.

    Made by `from_characters`, `learn_characters`, `learn_subwords` or `load`. A broken list of
    tokens is refused, never repaired: a network trained with one list cannot be read with another.

    Attributes:
        tokens: Blank first; then single code points (`characters`), or sentencepiece's pieces
            (`subwords`), each once.
        kind: What the tokens are.
        model: The sentencepiece model that splits text into these pieces, for `subwords` alone.
    """

    tokens: tuple[str, ...]
    kind: Literal["characters", "subwords"] = "characters"
    model: bytes | None = dataclasses.field(default=None, repr=False)
    _ids: dict[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_tokens(self.tokens)
        if self.kind == "characters":
            _check_characters(self.tokens[1:])
        if (self.kind == "subwords") != (self.model is not None):
            raise VocabularyError(
                "expected a sentencepiece model with subwords and none with characters, "
                f"received {self.kind} {'without' if self.model is None else 'with'} a model"
            )
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
            return cls(**_read_table(text))
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
                f"unknown characters {describe_characters(unknown)} in {text!r}"
            )
        if self.model is None:
            return [self._ids[char] for char in text]
        return self._encode_subwords(text)

    def unknown_characters(self, text: str) -> collections.Counter[str]:
        """Returns how often each character occurs in the text that no token spells."""
        if self.kind == "characters":
            return collections.Counter(char for char in text if char not in self._ids)
        # The sign for a space stands for a space alone: encoded itself, it would come back as one.
        return collections.Counter(
            char for char in text if char == _SPACE or (char != " " and char not in self._ids)
        )

    def encodable(self, text: str) -> bool:
        """Whether every character of the text can be spelt."""
        return not self.unknown_characters(text)

    def decode(self, tokens: Iterable[int]) -> str:
        """Returns the text of token numbers; the inverse of `encode`. Needs no sentencepiece.

        Raises:
            VocabularyError: A number is the blank's, or outside the vocabulary. Blanks and repeats
                are the decoder's to remove.
        """
        text = "".join(map(self._token, tokens))
        if self.kind == "characters":
            return text
        # Sentencepiece puts one space before the first word.
        return text.replace(_SPACE, " ").removeprefix(" ")

    def piece(self, token: int) -> str:
        """Returns what one token adds to a text: a character, or a subword with its space.

        Raises:
            VocabularyError: The number is the blank's, or outside the vocabulary.
        """
        text = self._token(token)
        return text if self.kind == "characters" else text.replace(_SPACE, " ")

    def to_json(self) -> str:
        """Returns the vocabulary as a JSON document, one token a line."""
        lines = ",\n".join(f"    {_quote(token)}" for token in self.tokens)
        model = ""
        if self.model is not None:
            model = f',\n  "model": "{base64.b64encode(self.model).decode("ascii")}"'
        return f'{{\n  "kind": "{self.kind}",\n  "tokens": [\n{lines}\n  ]{model}\n}}\n'

    def save(self, path: Path | str) -> None:
        """Writes the vocabulary as JSON, atomically, over what was there."""
        files.write_text(path, self.to_json())

    def _token(self, number: int) -> str:
        if not 0 < number < len(self.tokens):
            raise VocabularyError(
                f"expected token numbers from 1 to {len(self) - 1} (0 is blank), received {number}"
            )
        return self.tokens[number]

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
    """Returns characters with their code points and counts, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{char!r} (U+{ord(char):04X}) × {count}" for char, count in ordered)


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


def _quote(token: str) -> str:
    """Quotes a token; marks and invisible characters escaped, since editors merge or lose them."""
    plain = token.isprintable() and not any(
        unicodedata.category(char).startswith("M") for char in token
    )
    return json.dumps(token, ensure_ascii=not plain)


def _read_table(text: str) -> dict[str, Any]:
    """Returns the constructor's arguments from a JSON document."""
    try:
        table = json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"expected a JSON document: {error}") from None
    if not isinstance(table, dict):
        raise VocabularyError("expected a JSON object")
    unknown, missing = set(table) - set(_KEYS), {"kind", "tokens"} - set(table)
    if unknown or missing:
        names = [f"unknown key {key}" for key in sorted(unknown)]
        names += [f"missing key {key}" for key in sorted(missing)]
        raise VocabularyError(f"{', '.join(names)}; the keys are {', '.join(_KEYS)}")
    if table["kind"] not in ("characters", "subwords"):
        raise VocabularyError(f"expected kind characters or subwords, received {table['kind']!r}")
    tokens = table["tokens"]
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise VocabularyError("expected tokens to be a list of strings")
    model = _read_model(table["model"]) if "model" in table else None
    return {"kind": table["kind"], "tokens": tuple(tokens), "model": model}


def _read_model(value: object) -> bytes:
    if not isinstance(value, str):
        raise VocabularyError("expected model to be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise VocabularyError(f"expected model to be base64 text: {error}") from None


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [key for key, count in collections.Counter(k for k, _ in pairs).items() if count > 1]
    if repeated:
        raise VocabularyError(f"expected every key once, repeated: {', '.join(repeated)}")
    return dict(pairs)
