"""What surrounds a recording: its own background, the same however it is read."""

import itertools

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from asr import background as module
from asr.background import as_heard, background, led, surrounded

Samples = npt.NDArray[np.float32]


def word(num_samples: int, floor: float = 0.01) -> Samples:
    """A loud middle between quiet edges."""
    rng = np.random.default_rng(num_samples)
    level = np.where(np.abs(np.arange(num_samples) - num_samples / 2) < num_samples / 4, 0.5, floor)
    return (rng.normal(size=num_samples) * level).astype(np.float32)


def test_it_is_as_loud_as_the_quietest_tenth() -> None:
    rng = np.random.default_rng(0)
    heard = background(word(16_000), 8_000, rng)
    assert heard.dtype == np.float32
    assert 0.007 < float(np.sqrt(np.mean(heard**2))) < 0.011
    assert not background(word(100), 50, rng).any()  # too short to have a tenth


def test_what_surrounds_a_recording_leaves_it_as_it_is() -> None:
    clip = word(5_000)
    found = surrounded(clip, 300, 700, np.random.default_rng(0))
    assert len(found) == 6_000
    np.testing.assert_array_equal(found[300:5_300], clip)
    assert np.abs(found[:300]).max() < 0.1
    assert np.abs(found[5_300:]).max() < 0.1


@given(
    length=st.integers(1, 4_000),
    cuts=st.lists(st.integers(0, 4_000), max_size=6),
    num_samples=st.integers(0, 300),
)
def test_blocks_change_nothing(length: int, cuts: list[int], num_samples: int) -> None:
    known, module._KNOWN_SAMPLES = module._KNOWN_SAMPLES, 700
    try:
        clip = word(length)
        edges = [0, *sorted(min(cut, length) for cut in cuts), length]
        blocks = [clip[start:stop] for start, stop in itertools.pairwise(edges)]
        found = np.concatenate([*led(blocks, num_samples)])
        np.testing.assert_array_equal(found, as_heard(clip, num_samples))
        np.testing.assert_array_equal(found[num_samples : num_samples + length], clip)
        assert len(found) == length + 2 * num_samples
    finally:
        module._KNOWN_SAMPLES = known


def test_no_more_than_twenty_seconds_and_a_block_are_held() -> None:
    taken = []

    def blocks() -> "itertools.chain[Samples]":
        return itertools.chain.from_iterable(
            [taken.append(index) or word(16_000)]  # type: ignore[func-returns-value]
            for index in range(60)
        )

    given_ = 0
    for block in led(blocks(), 1_600):
        given_ += len(block)
        assert 16_000 * len(taken) - given_ <= 320_000 + 16_000
    assert given_ == 60 * 16_000 + 3_200


def test_of_nothing_there_is_nothing() -> None:
    assert not [*led([], 100)]
    assert not len(as_heard(np.zeros(0, np.float32), 100))
