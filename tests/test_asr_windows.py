"""Long recordings in windows: every step once, and cuts where it is quiet."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE
from asr.cuts import LIVE, RECORDING, CutOptions
from asr.errors import AudioError, OptionsError
from asr.features import FeatureOptions, extract, num_frames, num_steps
from asr.windows import windows

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
    st.sampled_from([RECORDING, LIVE]),
)
def test_own_parts_follow_each_other_from_start_to_end(
    num_samples: int, step: int, size: int, cuts: CutOptions
) -> None:
    samples = noise(num_samples)
    found = list(windows(blocks_of(samples, size), step=step, cuts=cuts))
    bounds = [window.own for window in found]
    assert [begin for begin, _ in bounds] == [0, *(end for _, end in bounds)][: len(bounds)]
    assert (bounds[-1][1] if bounds else 0) == num_samples
    for window in found:
        begin, end = window.own
        assert end - begin <= (cuts.longest_s + 0.5) * SAMPLE_RATE
        assert window.start % step == begin % step == 0
        stretch = slice(window.start, window.start + len(window.samples))
        np.testing.assert_array_equal(window.samples, samples[stretch])
        before, after = (s * SAMPLE_RATE - step for s in (cuts.before_s, cuts.after_s))
        assert begin - window.start >= min(before, begin)
        assert stretch.stop - end >= min(after, num_samples - end)
    # Only a short recording, or half of what is left at the end, makes a short window.
    shortest = min(cuts.shortest_s - 3 * step / SAMPLE_RATE, cuts.longest_s / 4)
    assert all(end - begin >= shortest * SAMPLE_RATE for begin, end in bounds[:-1])


def test_a_window_is_cut_in_the_longest_pause() -> None:
    samples = noise(60 * SAMPLE_RATE)
    for start_s, end_s in [(13.0, 13.2), (17.0, 17.4), (36.0, 36.5), (39.0, 39.1)]:
        samples[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)] = 0
    cuts = [window.own[1] / SAMPLE_RATE for window in windows([samples], step=480)]
    assert cuts[:2] == [pytest.approx(17.2, abs=0.1), pytest.approx(36.25, abs=0.15)]


def paused(num_s: float, *pauses: tuple[float, float]) -> Floats:
    samples = noise(round(num_s * SAMPLE_RATE))
    for start_s, end_s in pauses:
        samples[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)] *= 0.01
    return samples


def test_an_early_cut_is_made_in_the_first_pause() -> None:
    samples = paused(40, (1, 1.5), (3, 3.3), (5, 5.5), (7, 8), (20, 20.3))
    cuts = [window.own[1] / SAMPLE_RATE for window in windows([samples], step=480, cuts=LIVE)]
    # That at 1 s comes too soon, that at 3 s is too short.
    assert cuts[:2] == pytest.approx([5.25, 7.2], abs=0.1)
    assert any(20 <= cut <= 20.3 for cut in cuts), "where 10 s have no pause, the quietest place"
    assert all(2 <= end - start <= 10.03 for start, end in itertools.pairwise([0, *cuts[:-1]]))


@pytest.mark.parametrize("size", [777, 16_000, 1_000_000])
@pytest.mark.parametrize("cuts", [RECORDING, LIVE])
def test_cuts_do_not_depend_on_the_blocks(size: int, cuts: CutOptions) -> None:
    samples = paused(100, *((t, t + 0.5) for t in (3.0, 9.0, 20.0, 22.0, 47.0, 70.0, 99.8)))
    whole = [window.own for window in windows([samples], step=480, cuts=cuts)]
    parts = [window.own for window in windows(blocks_of(samples, size), step=480, cuts=cuts)]
    assert parts == whole


def test_an_early_window_comes_a_second_after_its_pause() -> None:
    samples = paused(20, (4, 5))
    read = 0

    def coming() -> Iterator[Floats]:
        nonlocal read
        for block in blocks_of(samples, 1_600):
            read += len(block)
            yield block

    window = next(windows(coming(), step=480, cuts=LIVE))
    assert 4 <= window.own[1] / SAMPLE_RATE <= 5
    assert read <= (4.5 + 1 + 0.2) * SAMPLE_RATE


@pytest.mark.parametrize(
    "block", [np.zeros((2, 100), np.float32), np.zeros(100, np.int16), np.float32(1)]
)
def test_a_block_that_is_no_row_of_samples_is_refused(block: npt.NDArray[np.generic]) -> None:
    with pytest.raises(AudioError, match="expected blocks of floating-point samples"):
        list(windows([block], step=480))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "settings",
    [
        {"shortest_s": 0.0},
        {"shortest_s": 40.0},
        {"after_s": -1.0},
        {"passage_s": 61.0},
        {"passage_s": 1.0, "longest_passage_s": 2.0},
        {"shortest_passage_s": 0.0},
    ],
)
def test_cuts_that_cannot_be_made_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(OptionsError):
        CutOptions(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.01, 5, 24, 25, 35, 61.7, 100])
@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("cuts", [RECORDING, LIVE, CutOptions(after_s=0.2, before_s=0.2)])
def test_the_own_steps_of_all_windows_are_the_steps_of_the_whole(
    seconds: float, stack: int, cuts: CutOptions
) -> None:
    """Features that depend on their own frames alone come out the same, row by row."""
    options = FeatureOptions(stack=stack, normalise="none")
    samples = noise(round(seconds * SAMPLE_RATE))
    step = options.hop_length * stack
    rows = []
    for window in windows(blocks_of(samples, 100_000), step=step, cuts=cuts):
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
        assert read - window.own[1] <= (36 + 12 + 2 + 2) * SAMPLE_RATE
