"""Where words begin and end: bursts of sound at known times, and properties on any sound."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcript import Character, Word
from asr.word_edges import to_edges, word_edges

RATE = 16_000
Floats = npt.NDArray[np.float32]


def bursts(*spans: tuple[float, float], duration_s: float, noise: float = 1e-3) -> Floats:
    """Sound at these seconds, faint noise elsewhere."""
    rng = np.random.default_rng(0)
    samples = noise * rng.standard_normal(round(duration_s * RATE))
    for start, end in spans:
        stretch = slice(round(start * RATE), round(end * RATE))
        samples[stretch] += 0.3 * rng.standard_normal(len(samples[stretch]))
    return samples.astype(np.float32)


def test_a_word_reaches_as_far_as_its_sound() -> None:
    spoken = [(0.5, 0.9), (1.3, 1.6), (2.2, 2.8)]
    tokens = [(0.6, 0.75), (1.4, 1.45), (2.4, 2.6)]
    found = word_edges(tokens, bursts(*spoken, duration_s=3.2), sample_rate=RATE)
    assert found == [pytest.approx(span, abs=0.02) for span in spoken]


def test_a_stop_consonant_does_not_end_a_word() -> None:
    samples = bursts((0.5, 0.7), (0.76, 0.9), duration_s=1.5)  # 60 ms of silence within
    assert word_edges([(0.55, 0.6)], samples, sample_rate=RATE) == [
        pytest.approx((0.5, 0.9), abs=0.02)
    ]


def test_words_that_follow_closely_meet_half_way() -> None:
    samples = bursts((0.5, 1.5), duration_s=2.0)
    first, second = word_edges([(0.6, 0.9), (1.0, 1.3)], samples, sample_rate=RATE)
    assert first[1] == second[0] == pytest.approx(0.95)


def test_in_steady_noise_a_word_reaches_a_little_beyond_its_tokens() -> None:
    samples = bursts((0.0, 3.0), duration_s=3.0)
    ((start, end),) = word_edges([(1.0, 1.5)], samples, sample_rate=RATE)
    assert 0.9 < start < 1.0
    assert 1.5 < end < 1.6


@st.composite
def words_in_a_recording(draw: st.DrawFn) -> tuple[list[tuple[float, float]], Floats]:
    times = sorted(draw(st.lists(st.floats(0, 3), min_size=2, max_size=12, unique=True)))
    spans = list(zip(times[::2], times[1::2], strict=False))
    num_samples = draw(st.integers(1, 3 * RATE))
    kind = draw(st.sampled_from(["noise", "silence", "bursts"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    samples = rng.standard_normal(num_samples).astype(np.float32) * 0.1
    if kind == "silence":
        samples[:] = 0
    if kind == "bursts":
        samples *= rng.random(num_samples // 800 + 1).repeat(800)[:num_samples] > 0.5
    return spans, samples


@given(words_in_a_recording())
def test_edges_lie_in_order_inside_the_recording_and_hold_the_tokens(
    case: tuple[list[tuple[float, float]], Floats],
) -> None:
    tokens, samples = case
    duration_s = len(samples) / RATE
    edges = word_edges(tokens, samples, sample_rate=RATE)
    times = [time for edge in edges for time in edge]
    assert times == sorted(times)
    assert all(0 <= time <= duration_s for time in times)
    for (first, last), (start, end) in zip(tokens, edges, strict=True):
        assert start <= min(first, duration_s)
        assert end >= min(last, duration_s)


def test_characters_fill_their_word() -> None:
    letters = (
        Character(text="n", start_s=0.60, end_s=0.63),
        Character(text="o", start_s=0.69, end_s=0.72),
    )
    word = Word(text="no", start_s=0.60, end_s=0.72, characters=letters)
    (found,) = to_edges([word], bursts((0.5, 0.9), duration_s=1.2), sample_rate=RATE)
    assert [char.text for char in found.characters] == ["n", "o"]
    assert found.characters[0].start_s == found.start_s
    assert found.characters[0].end_s == found.characters[1].start_s == pytest.approx(0.66)
    assert found.characters[1].end_s == found.end_s


def test_no_words_and_no_sound() -> None:
    assert word_edges([], np.zeros(0, np.float32), sample_rate=RATE) == []
    assert to_edges([], np.zeros(5, np.float32), sample_rate=RATE) == ()
