"""What a vocabulary's file holds, written, and read and checked."""

import base64
import binascii
import collections
import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from asr.errors import VocabularyError
from asr.pronunciations import Pronunciations

Kind = Literal["characters", "subwords", "sounds"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_KEYS = ("kind", "tokens", "model", "pronunciations")


def written(
    kind: Kind,
    tokens: Sequence[str],
    model: bytes | None,
    pronunciations: Pronunciations | None,
) -> str:
    """Returns a vocabulary as a JSON document, one token and one word a line."""
    members = [f'"kind": "{kind}"', f'"tokens": [\n{_lines(map(_quote, tokens))}\n  ]']
    if model is not None:
        members.append(f'"model": "{base64.b64encode(model).decode("ascii")}"')
    if pronunciations is not None:
        words = (f"{_quote(word)}: {_spoken(pronunciations, word)}" for word in pronunciations)
        members.append(f'"pronunciations": {{\n{_lines(words)}\n  }}')
    return f"{{\n  {f',{chr(10)}  '.join(members)}\n}}\n"


def _lines(members: Iterable[str]) -> str:
    return ",\n".join(f"    {member}" for member in members)


def _spoken(pronunciations: Pronunciations, word: str) -> str:
    several = (_quote(" ".join(sounds)) for sounds in pronunciations.of_word(word))
    return f"[{', '.join(several)}]"


def _quote(text: str) -> str:
    """Quotes a text; marks and invisible characters escaped, since editors merge or lose them."""
    plain = text.isprintable() and not any(
        unicodedata.category(char).startswith("M") for char in text
    )
    return json.dumps(text, ensure_ascii=not plain)


def read_table(text: str) -> dict[str, Any]:
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
    if table["kind"] not in KINDS:
        raise VocabularyError(f"expected kind {' or '.join(KINDS)}, received {table['kind']!r}")
    tokens = table["tokens"]
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise VocabularyError("expected tokens to be a list of strings")
    found = {"kind": table["kind"], "tokens": tuple(tokens)}
    if "model" in table:
        found["model"] = _read_model(table["model"])
    if "pronunciations" in table:
        found["pronunciations"] = _read_pronunciations(table["pronunciations"])
    return found


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


def _read_pronunciations(value: object) -> Pronunciations:
    if not isinstance(value, dict):
        raise VocabularyError("expected pronunciations to be a JSON object")
    for word, several in value.items():
        if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
            raise VocabularyError(f"expected a list of pronunciations of {word!r}")
    return Pronunciations.of({word: map(str.split, several) for word, several in value.items()})
