"""TextGrids: read back as Praat would, they hold every word and leave nothing out."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.textgrid import Interval, filled, to_textgrid
from asr.transcript import Character, Transcript, Word


def transcript(*words: Word, duration_s: float = 2.0) -> Transcript:
    return Transcript(
        text=" ".join(word.text for word in words),
        words=words,
        duration_s=duration_s,
        language="en",
        log_probability=0.0,
    )


def word(text: str, start_s: float, end_s: float) -> Word:
    middle = (start_s + end_s) / 2
    characters = (
        Character(text=text[0], start_s=start_s, end_s=middle),
        Character(text=text[1:], start_s=middle, end_s=end_s),
    )
    return Word(text=text, start_s=start_s, end_s=end_s, characters=characters)


def read(grid: str) -> dict[str, list[Interval]]:
    """Reads the tiers back by Praat's rule: only numbers, flags and quoted texts count."""
    tokens = re.findall(r'"((?:[^"]|"")*)"|(?<=[ =])(-?\d[\d.e-]*)|(<exists>)', grid)
    values = iter([number or text.replace('""', '"') for text, number, _ in tokens])
    assert [next(values), next(values)] == ["ooTextFile", "TextGrid"]
    _, duration, _ = float(next(values)), float(next(values)), next(values)
    tiers = {}
    for _ in range(int(next(values))):
        assert next(values) == "IntervalTier"
        name = next(values)
        assert [float(next(values)), float(next(values))] == [0.0, duration]
        tiers[name] = [
            Interval(float(next(values)), float(next(values)), next(values))
            for _ in range(int(next(values)))
        ]
    assert not list(values)
    return tiers


def test_words_and_characters_are_tiers_without_gaps() -> None:
    said = transcript(word("he", 0.25, 0.75), word('l"o', 0.75, 1.5))
    tiers = read(to_textgrid(said, characters=True))
    assert tiers["words"] == [(0, 0.25, ""), (0.25, 0.75, "he"), (0.75, 1.5, 'l"o'), (1.5, 2, "")]
    assert [one.text for one in tiers["characters"]] == ["", "h", "e", "l", '"o', ""]
    assert list(read(to_textgrid(said))) == ["words"]


def test_a_recording_of_nothing_is_one_empty_interval() -> None:
    assert read(to_textgrid(transcript())) == {"words": [(0.0, 2.0, "")]}


@given(st.lists(st.floats(0, 10), max_size=12).map(sorted), st.floats(10, 11))
def test_every_text_is_there_and_every_interval_has_length(
    times: list[float], duration_s: float
) -> None:
    pairs = zip(times[::2], times[1::2], strict=False)
    words = [Interval(start, end, f"w{n}") for n, (start, end) in enumerate(pairs)]
    found = filled(words, duration_s)
    assert " ".join(one.text for one in found if one.text).split() == [one.text for one in words]
    assert [found[0].start_s, found[-1].end_s] == [0.0, duration_s]
    assert all(one.start_s < one.end_s for one in found)
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("at_s", [0.0, 1.0, 2.0])
def test_a_word_without_length_is_kept_with_a_neighbour(at_s: float) -> None:
    words = [Interval(0.5, 1.0, "a"), Interval(at_s, at_s, "b")]
    found = filled(sorted(words), 2.0)
    assert "b" in " ".join(one.text for one in found).split()
