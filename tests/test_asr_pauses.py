"""What statistics are made of, and what long pauses do to features."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.features import FeatureOptions, extract, frame_features
from asr.normalisation import Prior, normalise
from asr.pauses import counted_frames

Floats = npt.NDArray[np.float32]
RATE, HOP = 16_000, 160
OPTIONS = FeatureOptions(n_mfcc=5)


def talk(*stretches_s: float, seed: int = 0) -> Floats:
    """Noise, loud and quiet by turns, for so many seconds each."""
    rng = np.random.default_rng(seed)
    levels = [0.2 if place % 2 == 0 else 0.001 for place in range(len(stretches_s))]
    parts = [
        rng.normal(0, level, round(s * RATE)) for level, s in zip(levels, stretches_s, strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)


def counted(samples: Floats) -> npt.NDArray[np.bool_]:
    return counted_frames(samples, 1 + len(samples) // HOP, HOP, RATE)


def test_of_a_long_pause_its_ends_count() -> None:
    found = counted(talk(2.0, 1.5, 2.0))
    left_out = np.flatnonzero(~found)
    np.testing.assert_array_equal(left_out, np.arange(left_out[0], left_out[-1] + 1))
    assert left_out[0] / 100 == pytest.approx(2.2, abs=0.05)
    assert left_out[-1] / 100 == pytest.approx(3.3, abs=0.05)


@pytest.mark.parametrize(
    "stretches_s", [(2.0, 0.4, 2.0), (1.2, 2.0, 1.2), (5.0,), (0.0, 0.3, 6.0), (0.01,)]
)
def test_all_counts_without_long_pauses_or_without_much_speech(
    stretches_s: tuple[float, ...],
) -> None:
    assert counted(talk(*stretches_s)).all()


def test_silence_alone_counts() -> None:
    assert counted(np.zeros(10 * RATE, np.float32)).all()


@given(st.floats(0.7, 30.0), st.sampled_from([8_000, 16_000]))
def test_how_long_a_pause_lasts_changes_nothing(pause_s: float, rate: int) -> None:
    """Of what is said: the pause itself is there as long as it lasts."""
    options = FeatureOptions(
        sample_rate=rate, n_fft=256, win_length=200, hop_length=rate // 100, fmax=3_800, n_mfcc=5
    )
    loud = np.random.default_rng(1).normal(0, 0.2, 4 * rate)
    quiet = np.tile(np.random.default_rng(2).normal(0, 0.001, rate // 100), 100)

    def features(pause_s: float) -> Floats:
        hops = round(pause_s * 100)
        pause = np.tile(quiet, 31)[: hops * rate // 100]
        samples = np.concatenate([loud, pause, loud[::-1]]).astype(np.float32)
        return extract(samples, options, without_pauses=True)[:390]

    np.testing.assert_allclose(features(pause_s), features(1.0), atol=1e-3)
    assert abs(extract(np.concatenate([loud, quiet]), options)[:390] - features(1.0)).max() > 0.1


@given(st.integers(5, 600), st.sampled_from(["mean", "mean-variance"]), st.booleans())
def test_statistics_are_those_of_the_frames_that_count(
    num_frames: int, kind: str, has_prior: bool
) -> None:
    rng = np.random.default_rng(num_frames)
    values = rng.normal(3, 2, (num_frames, 4))
    chosen = rng.random(num_frames) < 0.6
    chosen[:3] = True
    prior = Prior(50.0, np.ones(4), np.full(4, 2.0)) if has_prior else None
    found = normalise(values, kind=kind, prior=prior, counted=chosen)  # type: ignore[arg-type]  # a drawn literal
    alone = normalise(values[chosen], kind=kind, prior=prior)  # type: ignore[arg-type]  # the same
    np.testing.assert_allclose(found[chosen], alone, atol=1e-5)
    slope = (alone[1] - alone[0]) / (values[chosen][1] - values[chosen][0])
    expected = alone[0] + slope * (values - values[chosen][0])
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_without_normalisation_pauses_are_nothing_to_features() -> None:
    options = FeatureOptions(normalise="none")
    samples = talk(2.0, 1.5, 2.0)
    np.testing.assert_array_equal(
        frame_features(samples, options, without_pauses=True), frame_features(samples, options)
    )
    assert not np.array_equal(
        extract(samples, OPTIONS, without_pauses=True), extract(samples, OPTIONS)
    )
