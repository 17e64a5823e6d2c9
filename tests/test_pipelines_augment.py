"""Augmentation: as strong as was asked, never stronger, and the same by the same generator."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AudioError, OptionsError
from asr.features import FeatureOptions, frame_features
from asr.mel import cosines
from pipelines.augment import (
    add_noise,
    colour,
    load_noises,
    mask_bands,
    mask_features,
    narrow_band,
    trim_edges,
    warp_bands,
)
from pipelines.recipe import AugmentOptions


def power_db(samples: npt.NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5, 40.0])
@pytest.mark.parametrize("length", [16000, 5000, 700], ids=["longer", "shorter", "much shorter"])
def test_the_ratio_is_the_one_asked_for(
    snr_db: float, length: int, rng: np.random.Generator
) -> None:
    speech = rng.normal(0, 0.05, 12000).astype(np.float32)
    noise = rng.normal(0, 0.4, length).astype(np.float32)
    noisy = add_noise(speech, noise, snr_db=snr_db, rng=rng)
    assert noisy.dtype == np.float32
    assert noisy.shape == speech.shape
    assert power_db(speech) - power_db(noisy - speech) == pytest.approx(snr_db, abs=0.05)


def test_noise_shorter_than_speech_is_repeated(rng: np.random.Generator) -> None:
    speech = rng.normal(0, 0.05, 50).astype(np.float32)
    noise = rng.normal(0, 0.4, 20).astype(np.float32)
    added = add_noise(speech, noise, snr_db=0.0, rng=rng) - speech
    np.testing.assert_allclose(added[20:40], added[:20], atol=1e-6)
    np.testing.assert_allclose(added[40:], added[:10], atol=1e-6)
    start = int(np.argmax([np.dot(np.roll(noise, -shift), added[:20]) for shift in range(20)]))
    scaled = np.roll(noise, -start) * (np.std(added[:20]) / np.std(noise))
    np.testing.assert_allclose(added[:20], scaled, atol=1e-5)


def test_the_stretch_of_noise_is_drawn(rng: np.random.Generator) -> None:
    speech = rng.normal(0, 0.05, 100).astype(np.float32)
    noise = rng.normal(0, 0.4, 9000).astype(np.float32)
    draws = [
        add_noise(speech, noise, snr_db=0, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.allclose(draws[0], draws[2])


def test_silent_noise_leaves_the_speech_as_it_is(rng: np.random.Generator) -> None:
    speech = rng.normal(0, 0.05, 100).astype(np.float32)
    noisy = add_noise(speech, np.zeros(30, np.float32), snr_db=5, rng=rng)
    np.testing.assert_array_equal(noisy, speech)


def runs(flags: npt.NDArray[np.bool_]) -> list[int]:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [int(end - start) for start, end in edges.reshape(-1, 2)]


@given(
    num_frames=st.integers(1, 80),
    longest_s=st.floats(0, 1),
    share=st.floats(0, 1),
    widest=st.integers(0, 15),
    seed=st.integers(0, 999),
)
def test_no_mask_is_wider_than_allowed(
    num_frames: int, longest_s: float, share: float, widest: int, seed: int
) -> None:
    features = np.random.default_rng(0).uniform(1, 2, (num_frames, 13)).astype(np.float32)
    before = features.copy()
    options = AugmentOptions(
        num_time_masks=1,
        max_time_mask_s=longest_s,
        max_time_mask_share=share,
        num_coefficient_masks=1,
        max_coefficient_mask=widest,
    )
    masked, again = (
        mask_features(features, options, frame_s=0.01, rng=np.random.default_rng(seed))
        for _ in range(2)
    )
    np.testing.assert_array_equal(features, before)
    np.testing.assert_array_equal(masked, again)
    assert masked.dtype == np.float32
    kept = masked != 0
    np.testing.assert_array_equal(masked[kept], before[kept])
    whole_coefficients = ~kept.any(axis=0)
    whole_frames = ~kept.any(axis=1)
    assert (kept == ~(whole_frames[:, None] | whole_coefficients[None])).all()
    if not whole_coefficients.all():
        assert sum(runs(whole_frames)) <= min(longest_s / 0.01 + 1e-6, share * num_frames)
    if not whole_frames.all():
        assert sum(runs(whole_coefficients)) <= widest


def test_masks_come_in_every_width_and_place() -> None:
    features = np.ones((20, 6), np.float32)
    options = AugmentOptions(num_time_masks=1, max_time_mask_s=0.05, max_time_mask_share=1.0)
    rng = np.random.default_rng(0)
    widths, places = set(), set()
    for _ in range(2000):
        masked = mask_features(features, options, frame_s=0.01, rng=rng)[:, 0] == 0
        widths.add(sum(runs(masked)))
        places |= set(np.flatnonzero(masked).tolist())
    assert widths == {0, 1, 2, 3, 4, 5}
    assert places == set(range(20))


def test_as_many_masks_as_asked_for() -> None:
    features = np.ones((200, 40), np.float32)
    options = AugmentOptions(
        num_time_masks=3, max_time_mask_s=0.1, num_coefficient_masks=2, max_coefficient_mask=5
    )
    rng = np.random.default_rng(0)
    frames, coefficients = [], []
    for _ in range(300):
        masked = mask_features(features, options, frame_s=0.01, rng=rng) == 0
        frames.append(len(runs(masked.all(axis=1))))
        coefficients.append(len(runs(masked.all(axis=0))))
    assert max(frames) == 3
    assert max(coefficients) == 2


def test_without_masks_features_stay(rng: np.random.Generator) -> None:
    features = rng.normal(size=(9, 4)).astype(np.float32)
    masked = mask_features(features, AugmentOptions(), frame_s=0.01, rng=rng)
    np.testing.assert_array_equal(masked, features)


bands = st.integers(1, 12)


@given(st.integers(0, 3), bands, st.integers(0, 5), st.integers(0, 2), st.integers(0, 1000))
def test_masked_bands_are_gone_and_the_others_as_they_were(
    count: int, n_mels: int, widest: int, deltas: int, seed: int
) -> None:
    """As many coefficients as bands are the bands in other words."""
    rng = np.random.default_rng(seed)
    energies = rng.normal(size=(7, deltas + 1, n_mels))
    basis = cosines(n_mels, n_mfcc=n_mels, lifter=0)
    made_by = FeatureOptions(n_mels=n_mels, n_mfcc=n_mels, normalise="mean")
    masked = mask_bands(
        (energies @ basis).reshape(7, -1).astype(np.float32),
        AugmentOptions(num_band_masks=count, max_band_mask=widest),
        made_by=made_by,
        rng=rng,
    )
    assert masked.dtype == np.float32
    left = masked.reshape(7, deltas + 1, n_mels) @ basis.T
    is_gone = np.abs(left).max(axis=(0, 1)) < 1e-5
    np.testing.assert_allclose(left[..., ~is_gone], energies[..., ~is_gone], atol=1e-4)
    assert is_gone.sum() <= count * min(widest, n_mels)
    if count == 1:  # one stretch
        assert np.abs(np.diff(is_gone.astype(int))).sum() <= 2


def test_normalised_coefficients_are_masked_as_what_they_were_before() -> None:
    deviations = (80.0, 40.0, 20.0, 10.0)
    features = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    plain, scaled = (
        FeatureOptions(
            n_mels=9,
            n_mfcc=4,
            normalise=normalise,  # type: ignore[arg-type]
            prior_frames=frames,
            prior_mean=(0.0,) * 4 if frames else (),
            prior_deviation=deviations if frames else (),
        )
        for normalise, frames in (("mean", 0.0), ("mean-variance", 100.0))
    )
    options = AugmentOptions(num_band_masks=2, max_band_mask=5)
    scale = np.array(deviations, np.float32)
    expected = mask_bands(features * scale, options, made_by=plain, rng=np.random.default_rng(1))
    found = mask_bands(features, options, made_by=scaled, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found, expected / scale, atol=1e-5)
    assert np.abs(found - features).max() > 0.1


def test_bands_are_masked_in_every_width_and_place(rng: np.random.Generator) -> None:
    made_by = FeatureOptions(n_mels=8, n_mfcc=8, normalise="mean")
    options = AugmentOptions(num_band_masks=1, max_band_mask=3)
    ones = np.ones((1, 8), np.float32) @ cosines(8, n_mfcc=8, lifter=0).astype(np.float32)
    seen = {
        tuple(np.rint(mask_bands(ones, options, made_by=made_by, rng=rng)[0] @ basis.T).astype(int))
        for basis in [cosines(8, n_mfcc=8, lifter=0)]
        for _ in range(500)
    }
    places = {
        tuple(int(not a <= n < a + w) for n in range(8)) for w in range(4) for a in range(9 - w)
    }
    assert seen == places


def vowel(formants_hz: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Noise through resonances a tenth as wide as they are high, half a second."""
    noise = np.fft.rfft(np.random.default_rng(5).normal(0, 0.1, 8000))
    hertz = np.fft.rfftfreq(8000, 1 / 16000)
    gains = sum(1 / (1 + ((hertz - formant) / (0.05 * formant)) ** 2) for formant in formants_hz)
    return np.asarray(np.fft.irfft(noise * (gains + 0.01)), np.float32)


@pytest.mark.parametrize("warp", [0.85, 0.95, 1.08, 1.2])
def test_a_warped_voice_sounds_like_one_of_another_vocal_tract(warp: float) -> None:
    options = FeatureOptions(n_mfcc=26, n_mels=40, normalise="none")
    formants = (500.0, 1500.0, 2500.0)
    here = frame_features(vowel(formants), options)
    there = frame_features(vowel(tuple(warp * formant for formant in formants)), options)
    warped = warp_bands(here, warp=warp, made_by=options)
    assert warped.dtype == np.float32
    assert warped.shape == here.shape
    before, after = (np.mean(one - there, axis=0)[1:] for one in (here, warped))
    assert np.linalg.norm(after) < 0.4 * np.linalg.norm(before)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2))
def test_a_vocal_tract_of_its_own_length_changes_nothing(
    n_mels: int, n_mfcc: int, deltas: int
) -> None:
    made_by = FeatureOptions(n_mels=n_mels, n_mfcc=min(n_mfcc, n_mels), normalise="mean")
    width = made_by.n_mfcc * (deltas + 1)
    features = np.random.default_rng(2).normal(size=(5, width)).astype(np.float32)
    same = warp_bands(features, warp=1.0, made_by=made_by)
    np.testing.assert_allclose(same, features, atol=1e-4)


@given(st.floats(0.66, 1.5))
def test_what_is_alike_at_all_frequencies_stays_so(warp: float) -> None:
    """None is moved out, and nothing comes from nowhere."""
    made_by = FeatureOptions(n_mels=30, n_mfcc=30, normalise="mean")
    basis = cosines(30, n_mfcc=30, lifter=0)
    flat = (np.full((1, 30), 3.0) @ basis).astype(np.float32)
    np.testing.assert_allclose(warp_bands(flat, warp=warp, made_by=made_by), flat, atol=1e-3)
    rising = (np.arange(30.0)[np.newaxis] @ basis).astype(np.float32)
    moved = warp_bands(rising, warp=warp, made_by=made_by)[0] @ basis.T
    assert (np.diff(moved) > -1e-3).all()
    assert moved[-1] == pytest.approx(29.0, abs=2.0)


def test_noises_are_found_in_folders_below(tmp_path: Path) -> None:
    (tmp_path / "street").mkdir()
    for name, level in (("a.wav", 0.1), ("street/b.flac", 0.2)):
        soundfile.write(tmp_path / name, np.full(800, level), 8000)
    (tmp_path / "README.md").write_text("where they come from")
    (tmp_path / ".hidden").write_text("")
    noises = load_noises(tmp_path)
    assert [len(noise) for noise in noises] == [1600, 1600]
    assert [round(float(noise[800]), 2) for noise in noises] == [0.1, 0.2]


def test_a_folder_without_noises_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="expected a folder of recordings"):
        load_noises(tmp_path)
    with pytest.raises(OptionsError, match="missing"):
        load_noises(tmp_path / "missing")
    (tmp_path / "c.wav").write_bytes(b"no recording")
    with pytest.raises(AudioError, match=r"c\.wav"):
        load_noises(tmp_path)


@pytest.mark.parametrize("length", [16000, 15999, 7, 1])
def test_a_narrow_band_keeps_low_tones_and_the_length(length: int) -> None:
    times = np.arange(length) / 16000
    low, high = (np.sin(2 * np.pi * hz * times).astype(np.float32) for hz in (1000, 6000))
    narrow = narrow_band(low + high)
    assert narrow.dtype == np.float32
    assert narrow.shape == low.shape
    if length > 1000:
        inside = slice(400, -400)
        np.testing.assert_allclose(narrow[inside], low[inside], atol=0.01)


@pytest.mark.parametrize("length", [1, 100, 511, 512, 16000])
def test_a_colour_of_no_spread_is_none(length: int, rng: np.random.Generator) -> None:
    speech = rng.normal(0, 0.1, length).astype(np.float32)
    same = colour(speech, spread_db=0.0, rng=rng)
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, speech, atol=1e-4)


def test_a_colour_is_a_filter_that_stays_the_same_throughout(rng: np.random.Generator) -> None:
    speech = rng.normal(0, 0.1, 9000).astype(np.float32)
    late = np.concatenate([np.zeros(1000, np.float32), speech])
    one, other = (colour(s, spread_db=8.0, rng=np.random.default_rng(4)) for s in (speech, late))
    np.testing.assert_allclose(other[1300:], one[300:], atol=1e-5)
    double = colour(2 * speech, spread_db=8.0, rng=np.random.default_rng(4))
    np.testing.assert_allclose(double, 2 * one, atol=1e-5)
    assert not np.allclose(colour(speech, spread_db=8.0, rng=np.random.default_rng(5)), one)


def test_gains_spread_as_far_as_asked_and_nothing_moves(rng: np.random.Generator) -> None:
    click = np.zeros(4096, np.float32)
    click[2048] = 1.0
    heard = np.stack([colour(click, spread_db=6.0, rng=rng) for _ in range(300)])
    levels_db = 20 * np.log10(np.abs(np.fft.rfft(heard)))
    spread_db = levels_db.std(axis=0)[50:-50]
    # At a knot the whole of it; half way between two, 1 / sqrt 2.
    assert 3.5 < spread_db.min() < spread_db.max() < 7.0
    assert np.median(np.abs(levels_db.mean(axis=0)[50:-50])) < 1.0
    # The filter's own sound, before the click and after it, is as long as its taps at most.
    assert np.abs(heard[:, : 2048 - 256]).max() < 1e-6
    assert np.abs(heard[:, 2048 + 257 :]).max() < 1e-6
    assert (np.abs(heard).argmax(axis=1) == 2048).mean() > 0.9


@given(
    st.lists(st.integers(-60, 0), min_size=1, max_size=12),
    st.integers(1, 50),
    st.integers(1, 50),
    st.integers(0, 159),
)
def test_edges_end_where_it_is_loud_enough(
    levels: list[int], before_db: int, after_db: int, missing: int
) -> None:
    """Blocks of 10 ms, each of one level in dB; the last may be cut short."""
    speech = np.concatenate([np.full(160, 10 ** (level / 20), np.float32) for level in levels])
    speech = speech[: len(speech) - (missing if len(levels) > 1 else 0)]
    left = trim_edges(speech, before_db=before_db + 0.5, after_db=after_db + 0.5)
    heard = [np.sqrt(np.mean(np.square(padded))) for padded in blocks_of(speech)]
    loud = 20 * np.log10(np.array(heard) / max(heard))
    first = next(n for n, level in enumerate(loud) if level > -before_db - 0.5)
    last = max(n for n, level in enumerate(loud) if level > -after_db - 0.5)
    np.testing.assert_array_equal(left, speech[160 * first : 160 * (last + 1)])


def blocks_of(speech: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.pad(speech.astype(np.float64), (0, -len(speech) % 160)).reshape(-1, 160)


def test_silence_has_no_edges() -> None:
    for silence in (np.zeros(500, np.float32), np.zeros(0, np.float32)):
        np.testing.assert_array_equal(trim_edges(silence, before_db=6, after_db=6), silence)
