"""What a recognizer learns of a speaker's sound, without texts."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from asr import voices
from asr.features import FeatureOptions, frame_features
from asr.voices import accustomed

PLAIN = FeatureOptions(n_mfcc=5, deltas=1, normalise="none")
AVERAGE = replace(
    PLAIN,
    normalise="mean-variance",
    prior_frames=50.0,
    prior_mean=tuple(range(10)),
    prior_deviation=tuple(range(1, 11)),
)


def hum(seed: int, seconds: float = 0.5, loudness: float = 0.1) -> npt.NDArray[np.float32]:
    """Noise, which has no pauses, of a colour of its own."""
    rng = np.random.default_rng(seed)
    white = rng.normal(0, loudness, round(16_000 * seconds) + 3)
    return np.convolve(white, [1, 0.9, 0.5, 0.1], "valid").astype(np.float32)


def test_it_is_the_mean_and_deviation_of_the_speakers_frames_and_of_average_ones() -> None:
    recordings = [hum(seed, 0.3 + 0.2 * seed) for seed in range(4)]
    found = accustomed(AVERAGE, recordings)
    frames = np.concatenate([frame_features(one, PLAIN) for one in recordings]).astype(np.float64)
    rng = np.random.default_rng(0)
    # Fifty frames of exactly the average's mean and deviation stand for it.
    like = rng.normal(size=(50, 10))
    like = (like - like.mean(axis=0)) / like.std(axis=0) * np.arange(1, 11) + np.arange(10)
    together = np.concatenate([frames, like])
    np.testing.assert_allclose(found.prior_mean, together.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.prior_deviation, together.std(axis=0), rtol=1e-6)
    assert replace(found, prior_mean=(), prior_deviation=()) == replace(
        AVERAGE, prior_mean=(), prior_deviation=()
    )


def test_of_long_pauses_only_the_edges_count() -> None:
    speech = hum(1, 4.0)
    pauses = [np.full(16_000 * seconds, 1e-6, np.float32) for seconds in (2, 6)]
    shorter, longer = (accustomed(AVERAGE, [np.concatenate([speech, one])]) for one in pauses)
    np.testing.assert_allclose(longer.prior_mean, shorter.prior_mean, atol=0.5)
    counting_all = frame_features(np.concatenate([speech, pauses[1]]), PLAIN).mean(axis=0)
    assert np.abs(counting_all - shorter.prior_mean).max() > 20


def test_ten_minutes_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "_MOST_FRAMES", 90)
    recordings = [hum(seed) for seed in range(5)]  # 51 frames each
    assert accustomed(AVERAGE, recordings) == accustomed(AVERAGE, recordings[:2])


def test_a_word_through_another_microphone_is_nearer_to_itself_once_it_is_known() -> None:
    """The use of it all: a colour that is the recorder's own goes away."""
    known = [hum(seed) for seed in range(20)]
    taps = [1.0, -0.8]
    options = replace(AVERAGE, prior_frames=100.0)
    here = accustomed(options, known)
    there = accustomed(options, [np.convolve(one, taps).astype(np.float32) for one in known])
    word = hum(99, 0.3)
    other = np.convolve(word, taps).astype(np.float32)[: len(word)]
    strange = np.abs(frame_features(word, here) - frame_features(other, here)).mean()
    familiar = np.abs(frame_features(word, here) - frame_features(other, there)).mean()
    assert familiar < 0.5 * strange


def test_nothing_heard_or_nothing_to_be_normalised_leaves_it() -> None:
    np.testing.assert_allclose(accustomed(AVERAGE, []).prior_mean, AVERAGE.prior_mean)
    np.testing.assert_allclose(accustomed(AVERAGE, []).prior_deviation, AVERAGE.prior_deviation)
    assert accustomed(PLAIN, [hum(0)]) == PLAIN
