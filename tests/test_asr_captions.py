"""Captions: every word once and in order, shown one after another, fit to be read."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.captions import Caption, captions
from asr.errors import OptionsError
from asr.transcript import Transcript, Word

LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])
TEXTS = st.text("abcé-", min_size=1, max_size=12) | st.text(LETTERS, min_size=1, max_size=60)


def transcript_of(words: list[Word], duration_s: float) -> Transcript:
    return Transcript(
        text=" ".join(word.text for word in words),
        words=tuple(words),
        duration_s=duration_s,
        language="en",
        log_probability=-1.0,
    )


@st.composite
def transcripts(draw: st.DrawFn, *, shortest_s: float = 0.02) -> Transcript:
    """Words that follow each other with pauses of all lengths, none among them included."""
    pauses = st.sampled_from([0.0, 0.04, 0.1, 0.3, 0.6, 2.0]) | st.floats(0, 3)
    spoken = st.lists(st.tuples(TEXTS, pauses, st.floats(shortest_s, 1.0)), max_size=60)
    now_s, words = draw(pauses), []
    for text, pause_s, length_s in draw(spoken):
        words.append(Word(text=text, start_s=now_s + pause_s, end_s=now_s + pause_s + length_s))
        now_s = words[-1].end_s
    return transcript_of(words, now_s + draw(pauses) + 0.01)


def said(found: list[Caption]) -> list[str]:
    return [word for caption in found for line in caption.lines for word in line.split()]


@given(transcripts())
def test_every_word_is_shown_once_and_in_order(transcript: Transcript) -> None:
    found = captions(transcript)
    assert said(found) == [word.text for word in transcript.words]
    assert all(line for caption in found for line in caption.lines)


@given(transcripts())
def test_captions_follow_each_other_within_the_recording(transcript: Transcript) -> None:
    found = captions(transcript)
    times = [time for caption in found for time in (caption.start_s, caption.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= transcript.duration_s for time in times)
    assert all(caption.start_s < caption.end_s for caption in found)


@given(transcripts())
def test_a_caption_is_there_while_its_words_are_said(transcript: Transcript) -> None:
    words = iter(transcript.words)
    for caption in captions(transcript):
        own = list(itertools.islice(words, len(said([caption]))))
        assert caption.start_s == pytest.approx(own[0].start_s, abs=1e-9)
        assert caption.end_s >= own[-1].end_s - 1e-9


@given(transcripts(), st.integers(1, 60), st.integers(1, 4))
def test_lines_are_short_and_few_unless_one_word_is_longer(
    transcript: Transcript, max_line: int, max_lines: int
) -> None:
    for caption in captions(transcript, max_line=max_line, max_lines=max_lines):
        assert len(caption.lines) <= max_lines
        assert all(len(line) <= max_line or " " not in line for line in caption.lines)
        # As few as possible: no line would have held the first word of the next as well, were all
        # filled from the first on.
        assert len(caption.lines) == len(filled(said([caption]), max_line))


def filled(words: list[str], max_line: int) -> list[str]:
    """Lines filled one after the other."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= max_line:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@given(transcripts(), st.sampled_from([10.0, 17.0, 25.0]))
def test_a_caption_stays_until_it_is_read_or_the_next_one_comes(
    transcript: Transcript, max_chars_per_s: float
) -> None:
    found = captions(transcript, max_chars_per_s=max_chars_per_s)
    starts = [caption.start_s for caption in found]
    for caption, (_, latest_s) in zip(
        found, itertools.pairwise([*starts, transcript.duration_s]), strict=True
    ):
        shown_s = caption.end_s - caption.start_s
        chars = len(" ".join(caption.lines))
        read = shown_s >= max(0.8, chars / max_chars_per_s) - 1e-9
        assert read or caption.end_s == pytest.approx(latest_s, abs=1e-9)
        # And one that goes does so for longer than a blink.
        assert caption.end_s == latest_s or latest_s - caption.end_s >= 0.1 - 1e-9


@given(transcripts())
def test_no_caption_runs_over_a_long_pause_or_lasts_too_long(transcript: Transcript) -> None:
    words = iter(transcript.words)
    for caption in captions(transcript):
        own = list(itertools.islice(words, len(said([caption]))))
        pauses = [after.start_s - before.end_s for before, after in itertools.pairwise(own)]
        assert all(pause_s < 1.5 + 1e-9 for pause_s in pauses)
        assert len(own) == 1 or own[-1].end_s - own[0].start_s <= 7.0 + 1e-9


@given(transcripts())
def test_two_lines_are_as_even_as_they_can_be(transcript: Transcript) -> None:
    for caption in captions(transcript):
        words = said([caption])
        ways = [
            (len(" ".join(words[:cut])), len(" ".join(words[cut:]))) for cut in range(1, len(words))
        ]
        fitting = [way for way in ways if max(way) <= 42]
        if len(caption.lines) == 2 and fitting:
            shown = max(map(len, caption.lines))
            assert shown == min(map(max, fitting))


def test_cuts_fall_in_the_pauses() -> None:
    """Eight words with two clear pauses among them, all of which two lines would hold."""
    starts_s = [0.0, 0.4, 0.8, 2.2, 2.6, 3.0, 4.4, 4.8]
    words = [Word(text="spoken", start_s=at, end_s=at + 0.38) for at in starts_s]
    found = captions(transcript_of(words, 6.0))
    assert [len(said([caption])) for caption in found] == [3, 3, 2]


def test_speech_without_a_pause_is_cut_into_parts_of_like_length() -> None:
    words = [Word(text="word", start_s=n * 0.3, end_s=n * 0.3 + 0.3) for n in range(40)]
    counts = [len(said([caption])) for caption in captions(transcript_of(words, 12.0))]
    assert len(counts) == math.ceil(40 / 16)  # eight words of four letters fill a line
    assert max(counts) - min(counts) <= 1


@given(
    st.lists(st.tuples(st.text(max_size=9), st.floats(-1, 4), st.floats(-1, 4)), max_size=30),
    st.floats(0.001, 3),
)
def test_odd_times_and_texts_do_no_harm(
    spoken: list[tuple[str, float, float]], duration_s: float
) -> None:
    """Times that run back or outside, texts with blanks and line ends in them, or none."""
    words = [Word(text=text, start_s=start_s, end_s=end_s) for text, start_s, end_s in spoken]
    found = captions(transcript_of(words, duration_s))
    assert said(found) == " ".join(word.text for word in words).split()
    times = [time for caption in found for time in (caption.start_s, caption.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= duration_s for time in times)
    assert all(caption.start_s < caption.end_s for caption in found)


def test_silence_has_no_captions() -> None:
    assert captions(transcript_of([], 3.0)) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_line": 0}, "lines of one character or more, received 0"),
        ({"max_lines": 0}, "one line or more, received 0"),
        ({"max_chars_per_s": 0.0}, "above 0 characters a second, received 0.0"),
        ({"max_chars_per_s": math.nan}, "received nan"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        captions(transcript_of([], 1.0), **setting)  # type: ignore[arg-type]
