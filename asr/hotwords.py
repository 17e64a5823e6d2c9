"""Hotwords as people write them down: one a line, with a weight where it matters."""

import math
from collections.abc import Mapping
from pathlib import Path

from asr.errors import OptionsError
from asr.text import TextOptions, normalise_text

DEFAULT_WEIGHT = 1.0
"""What a hotword adds to a text's natural log-probability where nothing else is said. More finds
more of them, and hears them where they were not said: 1 is as much as 1,000 words that nobody says
may have for 0.1 points of word errors. Those that a language model does not know gain most by being
listed at all."""


def read_hotwords(path: Path | str) -> dict[str, float]:
    """Reads a file of hotwords: a word or phrase a line, with its weight after a tab if it has one.

    Returns:
        The weights of the words as they are written; of one that stands twice, the higher.

    Raises:
        OptionsError: The file cannot be read, or a line is not of this form; it is named.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise OptionsError(f"{path}: expected a file of hotwords: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise OptionsError(f"{path}: expected UTF-8, received {error}") from None
    found: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        text, tab, weight = line.partition("\t")
        if text.strip():
            value = _weight(weight, f"{path}:{number}") if tab else DEFAULT_WEIGHT
            found[text.strip()] = max(value, found.get(text.strip(), 0.0))
        elif weight.strip():
            raise OptionsError(f"{path}:{number}: expected a word before the tab, received none")
    if not found:
        raise OptionsError(f"{path}: expected at least one hotword, received none")
    return found


def normalise_hotwords(weights: Mapping[str, float], text: TextOptions) -> dict[str, float]:
    """Returns hotwords as a recognizer writes them.

    Args:
        weights: What each of them adds where it is heard.
        text: The recognizer's normalisation.

    Raises:
        OptionsError: Nothing is left of a word.
    """
    found: dict[str, float] = {}
    for written, weight in weights.items():
        spelt = normalise_text(written, text)
        if not spelt:
            raise OptionsError(f"hotwords: expected words, received {written!r}")
        found[spelt] = max(weight, found.get(spelt, 0.0))
    return found


def _weight(field: str, where: str) -> float:
    try:
        weight = float(field)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise OptionsError(f"{where}: expected a weight above 0 after the tab, received {field!r}")
    return weight
