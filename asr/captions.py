"""A transcript as captions: a line or two of text at a time, shown while they are said.

Where to cut is a shortest path over the words (as Knuth and Plass break paragraphs into lines,
"Breaking paragraphs into lines", 1981): cutting in a pause is cheap and running over one dear, and
captions are few, of like length, and long enough on the screen to be read. What captions look like
(42 characters a line, two lines, 17 characters a second, at most 7 seconds) is what broadcasters
ask of their translators.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from asr.options import require
from asr.transcript import Transcript

_MIN_S, _MAX_S = 0.8, 7.0
"""How long a caption is shown; shorter where the next one presses, longer for a single word."""
_LONG_PAUSE_S = 1.5
"""No caption runs over a pause as long as this."""
_PAUSE_S = 0.5
"""A pause as long as this is as good to cut in as any."""
_BLINK_S = 0.1
"""A caption is not taken off the screen for less than this."""
_LEAST_S = 0.01
"""Between the starts of two captions, even where all words are at one time."""

# What things cost, where a caption more costs 1.
_CUT_WITHOUT_PAUSE = 1.0
_PAUSE_WITHIN = 2.0  # times the pause's square, in seconds
_SECOND_TOO_SHORT = 4.0
_SECOND_TOO_FAST = 1.0
_FULL = 0.5  # times the square of how full it is, so that captions are of like length


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What is on the screen for a while.

    Attributes:
        start_s: Seconds from the start of the recording.
        end_s: The same.
        lines: One or more, none empty.
    """

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class _Layout:
    """What captions are to look like."""

    max_line: int
    max_lines: int
    max_chars_per_s: float


def captions(
    transcript: Transcript,
    *,
    max_line: int = 42,
    max_lines: int = 2,
    max_chars_per_s: float = 17.0,
) -> list[Caption]:
    """Cuts a transcript into captions.

    They hold every word once and in order, follow each other without overlap, and lie within the
    recording. A caption begins when its first word does, and stays until its last word has ended
    or longer, if it could not be read by then and the next does not follow.

    Args:
        transcript: Words with their times.
        max_line: Characters in a line; a single word that is longer stays whole.
        max_lines: Lines in a caption.
        max_chars_per_s: How fast people read, in characters a second.

    Raises:
        OptionsError: A setting is out of range.
    """
    require(max_line >= 1, "lines of one character or more", max_line)
    require(max_lines >= 1, "one line or more", max_lines)
    require(0 < max_chars_per_s < math.inf, "a rate above 0 characters a second", max_chars_per_s)
    layout = _Layout(max_line, max_lines, max_chars_per_s)
    words = _in_order(transcript)
    cuts = _cuts(words, transcript.duration_s, layout)
    groups = [words[start:stop] for start, stop in itertools.pairwise(cuts)]
    times = _times(groups, transcript.duration_s, layout)
    return [
        Caption(start_s=start_s, end_s=end_s, lines=_lines([word.text for word in group], layout))
        for group, (start_s, end_s) in zip(groups, times, strict=True)
    ]


def _in_order(transcript: Transcript) -> list[_Word]:
    """Returns the words that have a text, their times within the audio and never running back."""
    words: list[_Word] = []
    earliest_s = 0.0
    for word in transcript.words:
        if text := " ".join(word.text.split()):
            start_s = min(max(word.start_s, earliest_s), transcript.duration_s)
            end_s = min(max(word.end_s, start_s), transcript.duration_s)
            words.append(_Word(text, start_s, end_s))
            earliest_s = start_s
    return words


def _cuts(words: Sequence[_Word], duration_s: float, layout: _Layout) -> list[int]:
    """Returns where captions begin, and where the last one ends, as numbers of words."""
    best = [0.0] + [math.inf] * len(words)
    came_from = [0] * (len(words) + 1)
    for stop in range(1, len(words) + 1):
        cut = _cut_cost(words, stop)
        after_s = words[stop].start_s if stop < len(words) else duration_s
        for start, cost in _ending_at(words, stop, after_s, layout):
            if best[start] + cost + cut < best[stop]:
                best[stop], came_from[stop] = best[start] + cost + cut, start
    cuts = [len(words)]
    while cuts[-1]:
        cuts.append(came_from[cuts[-1]])
    return cuts[::-1]


def _cut_cost(words: Sequence[_Word], stop: int) -> float:
    if stop == len(words):
        return 0.0
    return _CUT_WITHOUT_PAUSE * max(0.0, 1 - _pause_s(words, stop) / _PAUSE_S)


def _pause_s(words: Sequence[_Word], number: int) -> float:
    """Returns the pause before a word."""
    return max(0.0, words[number].start_s - words[number - 1].end_s)


def _ending_at(
    words: Sequence[_Word], stop: int, after_s: float, layout: _Layout
) -> list[tuple[int, float]]:
    """Returns the captions that end with the word before `stop`: their first words and costs.

    They are off the screen when the next word starts, `after_s`.
    """
    found: list[tuple[int, float]] = []
    # Lines filled from the end are as few as lines filled from the start.
    num_lines, line, chars = 1, -1, -1
    pauses = 0.0
    end_s = words[stop - 1].end_s
    for start in range(stop - 1, -1, -1):
        word = words[start]
        size = len(word.text)
        if line >= 0 and line + 1 + size > layout.max_line:
            num_lines, line = num_lines + 1, -1
        line, chars = line + 1 + size, chars + 1 + size
        if start < stop - 1:
            pause_s = _pause_s(words, start + 1)
            too_long = end_s - word.start_s > _MAX_S or pause_s >= _LONG_PAUSE_S
            if num_lines > layout.max_lines or too_long:
                break
            pauses += pause_s * pause_s
        room_s = after_s - word.start_s
        full = chars / (layout.max_line * layout.max_lines)
        cost = 1.0 + _PAUSE_WITHIN * pauses + _FULL * full * full
        cost += _SECOND_TOO_SHORT * max(0.0, _MIN_S - room_s)
        cost += _SECOND_TOO_FAST * max(0.0, chars / layout.max_chars_per_s - room_s)
        found.append((start, cost))
    return found


def _times(
    groups: Sequence[Sequence[_Word]], duration_s: float, layout: _Layout
) -> list[tuple[float, float]]:
    """Returns when each caption is shown and taken off again."""
    starts = _apart([group[0].start_s for group in groups], duration_s)
    times = []
    for group, (start_s, next_s) in zip(
        groups, itertools.pairwise([*starts, duration_s]), strict=True
    ):
        chars = sum(len(word.text) + 1 for word in group) - 1
        read_s = start_s + max(_MIN_S, chars / layout.max_chars_per_s)
        end_s = max(group[-1].end_s, read_s)
        times.append((start_s, next_s if end_s > next_s - _BLINK_S else end_s))
    return times


def _apart(starts: Sequence[float], duration_s: float) -> list[float]:
    """Moves times that ascend a little, where need be, so that none are the same."""
    least_s = min(_LEAST_S, duration_s / max(1, len(starts)))
    apart = list(starts)
    for number in range(1, len(apart)):
        apart[number] = max(apart[number], apart[number - 1] + least_s)
    latest_s = duration_s
    for number in range(len(apart) - 1, -1, -1):
        latest_s = apart[number] = min(apart[number], latest_s - least_s)
    return [max(0.0, start_s) for start_s in apart]


def _lines(texts: Sequence[str], layout: _Layout) -> tuple[str, ...]:
    """Breaks a caption into as few lines as hold it, of like length."""
    whole = " ".join(texts)
    if len(whole) <= layout.max_line or len(texts) == 1:
        return (whole,)
    # best[stop]: number of lines, sum of their squared lengths, and the start of the last.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for stop in range(1, len(texts) + 1):
        choices = []
        size = -1
        for start in range(stop - 1, -1, -1):
            size += 1 + len(texts[start])
            if size > layout.max_line and start < stop - 1:
                break
            num_lines, squares, _ = best[start]
            choices.append((num_lines + 1, squares + size * size, start))
        best.append(min(choices))
    lines = []
    stop = len(texts)
    while stop:
        start = best[stop][2]
        lines.append(" ".join(texts[start:stop]))
        stop = start
    return tuple(reversed(lines))
