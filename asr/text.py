"""Text as it is spoken: one spelling for what writers type in many ways.

The steps, always in this order: typographic variants folded, Unicode NFKC, case, punctuation,
spaces. What counts as punctuation differs by language and is data: `languages/<code>.json`, with
`default.json` for every language that has no file. A rule file holds

    name, reason   the language, and why its rules are what they are
    fold           character → character, before anything else (’ → ')
    inside         kept between letters, marks or digits; elsewhere they become a space
    remove         vanish, joining their neighbours
    space          become a space
    lower, upper   letters whose case differs from Unicode's default (Turkish i)
    final          letters with their own shape at the end of a word (Greek sigma)

and takes from the default whatever it does not state; `fold` adds to the default's. Of the
characters named nowhere, punctuation and symbols become a space, invisible format characters
vanish, and letters, combining marks and digits stay. A mark goes where its base character goes.
"""

import dataclasses
import functools
import json
import re
import unicodedata
from pathlib import Path
from typing import Any, Literal

from asr.options import require

_LANGUAGES = Path(__file__).parent / "languages"
# The sign of a wrongly decoded text must stay visible: validation then reports it.
_REPLACEMENT = "\ufffd"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a text is normalised.

    Attributes:
        language: A language tag such as `en`, `pt-BR`; its first part chooses the rules.
        case: Letter case of the result; `keep` leaves it as written.
        punctuation: `remove` applies the language's rules; `keep` leaves punctuation as written.
    """

    language: str = "en"
    case: Literal["lower", "upper", "keep"] = "lower"
    punctuation: Literal["remove", "keep"] = "remove"

    def __post_init__(self) -> None:
        # The tag becomes a file name, so nothing but a tag may pass.
        tag = re.fullmatch(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*", self.language)
        require(tag is not None, "a language tag such as en or pt-BR", self.language)
        require(self.case in ("lower", "upper", "keep"), "case lower, upper or keep", self.case)
        known = self.punctuation in ("remove", "keep")
        require(known, "punctuation remove or keep", self.punctuation)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """The content of one language file, completed from the default."""

    code: str
    name: str
    reason: str
    fold: dict[str, str]
    inside: str
    remove: str
    space: str
    lower: dict[str, str] = dataclasses.field(default_factory=dict)
    upper: dict[str, str] = dataclasses.field(default_factory=dict)
    final: dict[str, str] = dataclasses.field(default_factory=dict)


def normalise_text(text: str, options: TextOptions) -> str:
    """Returns the text in the one spelling that models are trained on and scored in.

    Normalising twice changes nothing more. Digits are kept as they are: numbers are not spelt out.
    """
    rules = _rules(options.language)
    fold = str.maketrans(rules.fold)
    # Twice: NFKC would tear a spacing accent apart, and itself brings forth quotation marks.
    text = unicodedata.normalize("NFKC", text.translate(fold)).translate(fold)
    text = unicodedata.normalize("NFKC", _change_case(text, rules, options.case))
    text = text.translate(_fates(options.language, options.punctuation))
    text = _keep_inside(text, rules, options.punctuation)
    words = text.split()
    if options.punctuation == "remove":
        words = [kept for kept in map(_strip_orphan_marks, words) if kept]
    if rules.final and options.case == "lower":
        words = [_shape_end(word, rules.final) for word in words]
    # Again, because removing a character can bring a mark next to the letter it belongs to.
    return unicodedata.normalize("NFKC", " ".join(words))


def describe_normalisation(options: TextOptions) -> str:
    """Returns one line that says what `normalise_text` does, for score reports."""
    rules = _rules(options.language)
    case = {"lower": "lower case", "upper": "upper case", "keep": "case kept"}[options.case]
    kept = " ".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in rules.inside)
    punctuation = {
        "remove": "punctuation removed" + (f" except {kept} inside words" if kept else ""),
        "keep": "punctuation kept",
    }[options.punctuation]
    return f"NFKC, {case}, {punctuation}, spaces collapsed (rules: {rules.code}, {rules.name})"


@functools.cache
def _rules(language: str) -> _Rules:
    code = re.split("[-_]", language)[0].lower()
    default = _table("default")
    if code == "default" or not (_LANGUAGES / f"{code}.json").exists():
        return _Rules(code="default", **default)
    own = _table(code)
    return _Rules(code=code, **{**default, **own, "fold": default["fold"] | own.get("fold", {})})


def _table(code: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((_LANGUAGES / f"{code}.json").read_text("utf-8"))
    return table


def _change_case(text: str, rules: _Rules, case: str) -> str:
    if case == "lower":
        return "".join(rules.lower.get(char, char) for char in text).lower()
    if case == "upper":
        # Letter by letter, since str.upper would undo the language's own capitals.
        return "".join(rules.upper.get(char, char.upper()) for char in text)
    return text


class _Fates(dict[int, str]):
    """Code point → what takes its place, found on first sight and remembered."""

    def __init__(self, rules: _Rules, punctuation: str) -> None:
        self.rules, self.punctuation = rules, punctuation

    def __missing__(self, code_point: int) -> str:
        self[code_point] = self._decide(chr(code_point))
        return self[code_point]

    def _decide(self, char: str) -> str:
        category = unicodedata.category(char)
        if char in self.rules.inside or char == _REPLACEMENT:
            return char
        if category.startswith("Z") or category == "Cc":
            return " "
        if category == "Cf":
            return ""
        if self.punctuation == "keep":
            return char
        if char in self.rules.remove:
            return ""
        return " " if char in self.rules.space or category[0] in "PS" else char


@functools.cache
def _fates(language: str, punctuation: str) -> _Fates:
    return _Fates(_rules(language), punctuation)


def _keep_inside(text: str, rules: _Rules, punctuation: str) -> str:
    """Replaces by a space the word-internal characters that stand at the edge of a word."""
    inside = rules.inside
    if punctuation == "keep":  # then only the invisible ones need a reason to stay
        inside = "".join(char for char in inside if unicodedata.category(char) == "Cf")
    if not any(char in text for char in inside):
        return text

    def decide(match: re.Match[str]) -> str:
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        if (before.isalnum() or _is_mark(before)) and after.isalnum():
            return match[0]
        return "" if unicodedata.category(match[0]) == "Cf" else " "

    return re.sub(f"[{re.escape(inside)}]", decide, text)


def _is_mark(char: str) -> bool:
    return char != "" and unicodedata.category(char).startswith("M")


def _strip_orphan_marks(word: str) -> str:
    start = 0
    while start < len(word) and _is_mark(word[start]):
        start += 1
    return word[start:]


def _shape_end(word: str, final: dict[str, str]) -> str:
    """Gives the last letter its final shape, and earlier letters their ordinary one."""
    ordinary = {shape: letter for letter, shape in final.items()}
    body = "".join(ordinary.get(char, char) for char in word[:-1])
    return body + (final.get(word[-1], word[-1]) if body else word[-1])
