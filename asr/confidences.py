"""How sure a recognizer was of each word, as programs write it beside their transcripts.

Only shares from 0 to 1 are taken, and only where every word of a text has one: a part of them would
make the text look as sure as that part.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Confidences = Mapping[str, Sequence[float]]
"""By utterance id, the confidence of every word of its transcript, from 0 to 1."""


def confidences_of(text: str, values: object) -> tuple[float, ...] | None:
    """Returns a list's values as the confidences of a text's words; None if they are not that.

    Args:
        text: Words between blanks.
        values: Anything, such as what JSON held.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        return None
    shares = [share(value) for value in values]
    known = tuple(one for one in shares if one is not None)
    return known if known and len(known) == len(shares) == len(text.split()) else None


def share(value: object) -> float | None:
    """Returns a number from 0 to 1, or None if it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 1 else None


def of_whisper(record: Mapping[str, Any], text: str) -> tuple[float, ...] | None:
    """Returns the word confidences in whisper's JSON, written with its word timestamps.

    Whisper's words carry the blank that stands before them, other programs' do not; a piece without
    one belongs to the word before it, which is as sure as its least sure piece.

    Args:
        record: The file's content.
        text: Its text.
    """
    segments = record.get("segments")
    words = [
        word
        for segment in (segments if isinstance(segments, list) else [])
        for word in (segment.get("words") if isinstance(segment, dict) else None) or []
    ]
    if not all(isinstance(word, dict) and isinstance(word.get("word"), str) for word in words):
        return None
    # `probability` in whisper and most that write like it, `score` in whisperX.
    pieces = [(word["word"], word.get("probability", word.get("score"))) for word in words]
    for blank in ("", " "):
        spelt = list(_joined((blank + piece, value) for piece, value in pieces))
        if [word for word, _ in spelt] == text.split():
            return confidences_of(text, [value for _, value in spelt])
    return None


def _joined(pieces: Iterable[tuple[str, object]]) -> Iterator[tuple[str, float | None]]:
    """Yields words made of pieces, each with the lowest of their values; None if one has none."""
    word, lowest = "", None
    for piece, value in pieces:
        parts = piece.split()
        if word and parts and not piece[0].isspace():
            lowest = _lower(lowest, share(value))
            word += parts.pop(0)
        for part in parts:
            if word:
                yield word, lowest
            word, lowest = part, share(value)
        if word and piece[-1:].isspace():
            yield word, lowest
            word = ""
    if word:
        yield word, lowest


def _lower(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else min(one, other)
