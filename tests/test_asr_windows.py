"""Long recordings in windows: every step once, and cuts where it is quiet."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE
from asr.features import FeatureOptions, extract, num_frames, num_steps
from asr.windows import CONTEXT_S, MAX_S, MIN_S, windows

Floats = npt.NDArray[np.float32]


def noise(num_samples: int) -> Floats:
    return np.random.default_rng(0).normal(0, 0.1, num_samples).astype(np.float32)


def blocks_of(samples: Floats, size: int) -> list[Floats]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 150 * SAMPLE_RATE),
    st.sampled_from([160, 480, 640, 7_001]),
    st.sampled_from([1_000_000, 160_000, 99_991]),
)
def test_own_parts_follow_each_other_from_start_to_end(
    num_samples: int, step: int, size: int
) -> None:
    samples = noise(num_samples)
    found = list(windows(blocks_of(samples, size), step=step))
    bounds = [window.own for window in found]
    assert [begin for begin, _ in bounds] == [0, *(end for _, end in bounds)][: len(bounds)]
    assert (bounds[-1][1] if bounds else 0) == num_samples
    for window in found:
        begin, end = window.own
        assert end - begin <= (MAX_S + 0.5) * SAMPLE_RATE
        assert window.start % step == begin % step == 0
        stretch = slice(window.start, window.start + len(window.samples))
        np.testing.assert_array_equal(window.samples, samples[stretch])
        context = CONTEXT_S * SAMPLE_RATE - step
        assert begin - window.start >= min(context, begin)
        assert stretch.stop - end >= min(context, num_samples - end)
    # Only a short recording, or half of what is left at the end, makes a short window.
    assert all(end - begin >= (MIN_S - 3) * SAMPLE_RATE for begin, end in bounds[:-1])


def test_a_window_is_cut_in_the_longest_pause() -> None:
    samples = noise(60 * SAMPLE_RATE)
    for start_s, end_s in [(13.0, 13.2), (17.0, 17.4), (36.0, 36.5), (39.0, 39.1)]:
        samples[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)] = 0
    cuts = [window.own[1] / SAMPLE_RATE for window in windows([samples], step=480)]
    assert cuts[:2] == [pytest.approx(17.2, abs=0.1), pytest.approx(36.25, abs=0.15)]


@pytest.mark.parametrize("seconds", [0.01, 5, 24, 25, 35, 61.7, 100])
@pytest.mark.parametrize("stack", [1, 3])
def test_the_own_steps_of_all_windows_are_the_steps_of_the_whole(
    seconds: float, stack: int
) -> None:
    """Features that depend on their own frames alone come out the same, row by row."""
    options = FeatureOptions(stack=stack, normalise="none")
    samples = noise(round(seconds * SAMPLE_RATE))
    step = options.hop_length * stack
    rows = []
    for window in windows(blocks_of(samples, 100_000), step=step):
        features = extract(window.samples, options)
        rows.append(features[window.own_steps(len(features), step=step)])
    joined = np.concatenate(rows)
    assert len(joined) == num_steps(num_frames(len(samples), options), options)
    np.testing.assert_allclose(joined, extract(samples, options), atol=1e-3)


def test_little_more_than_a_window_is_held() -> None:
    """Windows come while the recording is still being read."""
    read = 0

    def endless() -> Iterator[Floats]:
        nonlocal read
        while True:
            read += SAMPLE_RATE
            yield noise(SAMPLE_RATE)

    stream = windows(endless(), step=480)
    for _ in range(20):
        window = next(stream)
        assert read - window.own[1] <= (MAX_S + MIN_S + 2 * CONTEXT_S + 2) * SAMPLE_RATE
