"""Normalisation over an utterance, alone and with a prior."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import OptionsError
from asr.features import FeatureOptions, extract, frame_features
from asr.normalisation import Prior, normalise

PRIOR = Prior(40.0, np.array([-250.0, 10.0, 0.5]), np.array([60.0, 0.0, 2.0]))


def test_normalise_gives_mean_0_and_variance_1_and_keeps_constants_finite(
    rng: np.random.Generator,
) -> None:
    values = rng.normal(-300, 50, (200, 3))
    values[:, 1] = 12_345.678
    both = normalise(values, kind="mean-variance")
    np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(both.std(axis=0), [1, 0, 1], atol=1e-5)
    centred = normalise(values, kind="mean")
    np.testing.assert_allclose(centred.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(centred[:, 0].std(), values[:, 0].std(), rtol=1e-5)
    np.testing.assert_array_equal(normalise(values, kind="none"), values.astype(np.float32))
    np.testing.assert_array_equal(normalise(values[:1], kind="mean-variance"), 0)


@given(
    num_frames=st.integers(1, 700),
    frames=st.integers(1, 300),
    kind=st.sampled_from(["mean", "mean-variance"]),
)
def test_a_prior_is_as_if_its_frames_belonged_to_the_utterance(
    num_frames: int, frames: int, kind: str
) -> None:
    rng = np.random.default_rng(num_frames)
    average = rng.normal(-100, 30, (frames, 3))
    own = rng.normal(-80, 20, (num_frames, 3))
    prior = Prior(frames, average.mean(axis=0), average.std(axis=0))
    average[:, 0] += own[:, 0].mean() - average[:, 0].mean()
    found = normalise(own, kind=kind, prior=prior)  # type: ignore[arg-type]  # a drawn literal
    whole = normalise(np.concatenate([own, average]), kind=kind)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, whole[:num_frames], atol=2e-4)


def test_the_more_an_utterance_says_the_less_the_prior_counts(rng: np.random.Generator) -> None:
    values = rng.normal([-300, 0, 1], [50, 5, 1], (20_000, 3))
    gaps = [
        np.abs(
            normalise(values[:count], kind="mean-variance")
            - normalise(values[:count], kind="mean-variance", prior=PRIOR)
        ).max()
        for count in (20, 200, 2_000, 20_000)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.05


def test_a_single_frame_keeps_where_it_stands_in_average_speech() -> None:
    frame = (PRIOR.mean + np.array([60.0, 0.0, 2.0]))[None]
    found = normalise(frame, kind="mean-variance", prior=PRIOR)
    np.testing.assert_allclose(found, [[0.0, 0.0, 40 / 41]], rtol=0.03, atol=1e-6)


def test_level_does_not_matter_with_a_prior_either(rng: np.random.Generator) -> None:
    samples = rng.normal(0, 0.1, 4_000) * np.linspace(0.2, 1, 4_000)
    numbers: dict[str, Any] = {
        "prior_mean": (-200.0, 9.0, 0.5),
        "prior_deviation": (60.0, 20.0, 9.0),
    }
    options = FeatureOptions(n_mfcc=3, prior_frames=100.0, **numbers)
    loud, soft = (extract(samples * gain, options) for gain in (1, 0.05))
    np.testing.assert_allclose(loud, soft, atol=1e-3)


def test_features_are_normalised_with_the_prior_of_their_settings(
    rng: np.random.Generator,
) -> None:
    samples = rng.normal(0, 0.1, 4_000)
    plain = FeatureOptions(n_mfcc=3, normalise="none")
    numbers: dict[str, Any] = {
        "prior_mean": tuple(PRIOR.mean),
        "prior_deviation": tuple(PRIOR.deviation),
    }
    options = FeatureOptions(n_mfcc=3, prior_frames=PRIOR.frames, **numbers)
    expected = normalise(frame_features(samples, plain), kind="mean-variance", prior=PRIOR)
    np.testing.assert_allclose(extract(samples, options), expected, atol=1e-5)
    for unused in (FeatureOptions(n_mfcc=3, **numbers), FeatureOptions(n_mfcc=3, prior_frames=9)):
        np.testing.assert_array_equal(
            extract(samples, unused), extract(samples, FeatureOptions(n_mfcc=3))
        )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prior_frames": -1.0}, "prior_frames from 0 on"),
        ({"prior_frames": float("inf")}, "prior_frames from 0 on"),
        ({"prior_frames": 9.0, "normalise": "none"}, "prior_frames 0 where normalise is"),
        ({"prior_mean": (1.0,)}, "prior_mean empty, or 13 finite numbers"),
        ({"prior_mean": (float("nan"),) * 13}, "prior_mean empty, or 13 finite numbers"),
        ({"prior_mean": (0.0,) * 13}, "prior_mean and prior_deviation together"),
        (
            {"prior_mean": (0.0,) * 13, "prior_deviation": (-1.0,) * 13},
            "prior_deviation from 0 on",
        ),
    ],
)
def test_a_prior_that_means_nothing_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        FeatureOptions(**settings)  # type: ignore[arg-type]  # what a stranger's file may say
