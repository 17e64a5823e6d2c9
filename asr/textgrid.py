"""Transcripts as Praat reads them: a TextGrid of words, and of characters.

Praat's long text form (its manual, "TextGrid file formats"): a tier is intervals that follow each
other from the recording's start to its end, those between words with an empty text.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asr.transcript import Transcript


class Interval(NamedTuple):
    """A stretch of a tier, from which second to which, and its text."""

    start_s: float
    end_s: float
    text: str


def to_textgrid(transcript: Transcript, *, characters: bool = False) -> str:
    """Returns a transcript as a TextGrid, ended by a newline.

    Args:
        transcript: What was said, and when.
        characters: There is a second tier, of characters.
    """
    duration_s = transcript.duration_s
    tiers = {"words": [Interval(w.start_s, w.end_s, w.text) for w in transcript.words]}
    if characters:
        tiers["characters"] = [
            Interval(one.start_s, one.end_s, one.text)
            for word in transcript.words
            for one in word.characters
        ]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {duration_s!r}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", *_tier(name, filled(intervals, duration_s), duration_s)]
    return "\n".join(lines) + "\n"


def filled(intervals: Iterable[Interval], duration_s: float) -> list[Interval]:
    """Returns intervals that leave nothing out between 0 and the recording's end.

    Praat knows no interval without length: the text of one is put to that of the one before it.

    Args:
        intervals: In order, none reaching into the next, within the recording.
        duration_s: The recording's length.
    """
    found: list[Interval] = []
    waiting, end_s = "", 0.0
    for start_s, stop_s, text in intervals:
        if stop_s <= max(start_s, end_s):
            if found and found[-1].text:
                found[-1] = found[-1]._replace(text=f"{found[-1].text} {text}")
            else:
                waiting += f"{text} "
            continue
        if start_s > end_s:
            found.append(Interval(end_s, start_s, ""))
        found.append(Interval(max(start_s, end_s), stop_s, waiting + text))
        waiting, end_s = "", stop_s
    if end_s < duration_s:
        found.append(Interval(end_s, duration_s, waiting.rstrip()))
    return found


def _tier(name: str, intervals: list[Interval], duration_s: float) -> Iterator[str]:
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(name)}"
    yield "        xmin = 0"
    yield f"        xmax = {duration_s!r}"
    yield f"        intervals: size = {len(intervals)}"
    for number, (start_s, end_s, text) in enumerate(intervals, start=1):
        yield f"        intervals [{number}]:"
        yield f"            xmin = {start_s!r}"
        yield f"            xmax = {end_s!r}"
        yield f"            text = {_quoted(text)}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
