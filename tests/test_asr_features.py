import dataclasses
import math
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import features, mel, spectrum
from asr.deltas import add_deltas
from asr.errors import AudioError, OptionsError
from asr.features import FeatureOptions
from asr.options import from_table, to_table

PLAIN = FeatureOptions(normalise="none")
LENGTHS = [1, 2, 159, 160, 161, 255, 256, 257, 399, 400, 401, *range(15_995, 16_006)]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def speechlike(rng: np.random.Generator, num_samples: int) -> npt.NDArray[np.float32]:
    """A voiced tone that comes and goes over noise: 60 dB between loud and faint."""
    time = np.arange(num_samples) / 16_000
    envelope = 0.001 + np.maximum(0, np.sin(2 * np.pi * 3 * time))
    tone = sum(np.sin(2 * np.pi * 140 * harmonic * time) / harmonic for harmonic in range(1, 12))
    noise = rng.standard_normal(num_samples)
    return np.asarray(0.2 * envelope * tone + 1e-3 * noise, np.float32)


def librosa_mfcc(samples: npt.NDArray[Any], options: FeatureOptions) -> npt.NDArray[np.float32]:
    import librosa

    if options.preemphasis:
        samples = librosa.effects.preemphasis(samples, coef=options.preemphasis)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")
        found: npt.NDArray[np.float32] = librosa.feature.mfcc(
            y=samples,
            sr=options.sample_rate,
            n_mfcc=options.n_mfcc,
            n_mels=options.n_mels,
            n_fft=options.n_fft,
            win_length=options.win_length,
            hop_length=options.hop_length,
            window="hann",
            center=True,
            pad_mode="constant",
            power=2.0,
            fmin=options.fmin,
            fmax=options.fmax,
            htk=False,
            mel_norm="slaney",
            dct_type=2,
            norm="ortho",
            lifter=options.lifter,
        )
    return found.T


@pytest.mark.parametrize("num_samples", LENGTHS)
def test_mfcc_equals_librosa_at_every_length(rng: np.random.Generator, num_samples: int) -> None:
    samples = speechlike(rng, num_samples)
    found = features.mfcc(samples, PLAIN)
    assert found.dtype == np.float32
    assert found.shape == (features.num_frames(num_samples, PLAIN), 13)
    # In double precision librosa is exact; in single it is off by its own rounding.
    exact = librosa_mfcc(samples.astype(np.float64), PLAIN)
    np.testing.assert_allclose(found, exact, atol=1e-4, rtol=0)
    np.testing.assert_allclose(found, librosa_mfcc(samples, PLAIN), atol=1e-4, rtol=2e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_mfcc": 26, "lifter": 22},
        {"n_mfcc": 40},
        {"preemphasis": 0.97},
        {"fmin": 0.0, "fmax": None},
        {"n_fft": 1024, "win_length": 640, "hop_length": 320, "n_mels": 64},
        {"sample_rate": 8_000, "n_fft": 256, "win_length": 200, "hop_length": 80, "fmax": None},
        {"n_fft": 512, "win_length": 401, "hop_length": 77},
    ],
)
def test_mfcc_equals_librosa_with_other_settings(
    rng: np.random.Generator, changes: dict[str, Any]
) -> None:
    options = dataclasses.replace(PLAIN, **changes)
    samples = speechlike(rng, 8_001).astype(np.float64)
    expected = librosa_mfcc(samples, options)
    np.testing.assert_allclose(features.mfcc(samples, options), expected, atol=1e-4, rtol=0)


def test_mfcc_equals_librosa_over_several_blocks_and_after_silence(
    rng: np.random.Generator,
) -> None:
    samples = np.concatenate([np.zeros(20_000), speechlike(rng, 180_000)])
    expected = librosa_mfcc(samples, PLAIN)
    assert len(expected) > 2 * spectrum.BLOCK_FRAMES
    np.testing.assert_allclose(features.mfcc(samples, PLAIN), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [PLAIN, FeatureOptions(n_fft=2048, n_mels=80, fmin=0.0)])
def test_mel_filters_are_librosas_whole_and_in_groups(options: FeatureOptions) -> None:
    import librosa

    settings = {name: getattr(options, name) for name in ("sample_rate", "n_fft", "n_mels", "fmin")}
    expected = librosa.filters.mel(
        sr=options.sample_rate,
        n_fft=options.n_fft,
        n_mels=options.n_mels,
        fmin=options.fmin,
        fmax=options.fmax,
        dtype=np.float64,
    ).T
    bank = mel.filters(**settings, fmax=options.top_hz)
    np.testing.assert_allclose(bank, expected, atol=1e-15, rtol=1e-9)
    joined = np.zeros_like(bank)
    groups = mel.filter_groups(**settings, fmax=options.top_hz)
    for group in groups:
        joined[group.bins, group.bands] += group.weights
        one = group.bands.stop - group.bands.start == 1
        assert one or group.weights.size * spectrum.BLOCK_FRAMES <= mel.SERIAL_PRODUCT
    np.testing.assert_array_equal(joined, bank)
    assert sum(group.weights.size for group in groups) < bank.size / 3


def test_a_recording_shared_among_threads_gives_the_same_bits(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = speechlike(rng, 480_123)
    alone = features.extract(samples, FeatureOptions(deltas=2))
    monkeypatch.setattr(spectrum, "_SHARED_FRAMES", 1)
    for num_cores in (1, 3, 64):
        monkeypatch.setattr("asr.spectrum.available_cores", lambda count=num_cores: count)
        shared = features.extract(samples, FeatureOptions(deltas=2))
        np.testing.assert_array_equal(shared, alone)


def test_single_precision_is_enough(rng: np.random.Generator) -> None:
    samples = speechlike(rng, 100_000)
    options = FeatureOptions(deltas=2)
    exact = features.extract(samples.astype(np.float64), options)
    np.testing.assert_allclose(features.extract(samples, options), exact, atol=1e-4)


def test_preemphasis_of_one_sample_takes_it_for_a_constant() -> None:
    # 3 x[0] - x[1] with x[1] = x[0]: twice the sample, four times the power, 6.02 dB more.
    plain, filtered = (
        features.mfcc(np.array([0.5]), dataclasses.replace(PLAIN, preemphasis=c)) for c in (0, 0.97)
    )
    gain = 20 * math.log10(2) * math.sqrt(PLAIN.n_mels)
    np.testing.assert_allclose(filtered[0, 0] - plain[0, 0], gain, rtol=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5_000), st.integers(1, 400), st.integers(1, 5), st.sampled_from([0, 1, 2]))
def test_shapes_are_what_the_counting_functions_say(
    num_samples: int, hop_length: int, stack: int, deltas: Any
) -> None:
    options = FeatureOptions(hop_length=hop_length, stack=stack, deltas=deltas, n_mels=20)
    samples = np.random.default_rng(num_samples).uniform(-1, 1, num_samples)
    unstacked = features.frame_features(samples, options)
    frames = features.num_frames(num_samples, options)
    assert unstacked.shape == (frames, 13 * (deltas + 1))
    found = features.extract(samples, options)
    assert found.shape == (features.num_steps(frames, options), options.num_features)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, features.stack_frames(unstacked, size=stack))


def test_counting_by_finger() -> None:
    options = FeatureOptions(stack=3)
    counts = [features.num_frames(n, options) for n in (0, 1, 159, 160, 161, 319, 320, 16_000)]
    assert counts == [0, 1, 1, 2, 2, 2, 3, 101]
    assert [features.num_steps(n, options) for n in (0, 1, 3, 4, 101)] == [0, 1, 1, 2, 34]
    assert features.step_s(options) == pytest.approx(0.03)
    # Frames 3, 4 and 5 are centred on 30, 40 and 50 ms.
    assert features.span_s(1, options) == pytest.approx((0.025, 0.055))


@pytest.mark.parametrize("num_frames", [1, 2, 3, 8, 9, 10, 57])
def test_deltas_equal_librosa_nearest(rng: np.random.Generator, num_frames: int) -> None:
    import librosa

    static = rng.standard_normal((num_frames, 4)).astype(np.float32) * 100
    found = add_deltas(static, order=2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :4], static)
    for order in (1, 2):
        expected = librosa.feature.delta(static, width=9, order=order, axis=0, mode="nearest")
        np.testing.assert_allclose(found[:, 4 * order : 4 * order + 4], expected, atol=1e-4)


def test_deltas_of_a_parabola_are_its_derivatives() -> None:
    time = np.arange(30.0)[:, np.newaxis]
    found = add_deltas(3 * time**2 + 2 * time + 1, order=2)[4:-4]
    np.testing.assert_allclose(found[:, 1:2], (6 * time + 2)[4:-4], rtol=1e-5)
    np.testing.assert_allclose(found[:, 2], 6, rtol=1e-5)


def test_level_does_not_matter_after_normalisation(rng: np.random.Generator) -> None:
    samples = speechlike(rng, 16_000)
    loud, soft = (features.extract(samples * gain, FeatureOptions()) for gain in (1, 0.1))
    np.testing.assert_allclose(loud, soft, atol=1e-3)


def test_stacking_repeats_the_last_frame() -> None:
    frames = np.array([[1, 10], [2, 20], [3, 30], [4, 40]])
    stacked = features.stack_frames(frames, size=3)
    expected = [[1, 10, 2, 20, 3, 30], [4, 40, 4, 40, 4, 40]]
    np.testing.assert_array_equal(stacked, expected)
    np.testing.assert_array_equal(features.stack_frames(frames, size=1), frames)
    assert features.stack_frames(frames[:0], size=3).shape == (0, 6)


def test_dither_is_in_16_bit_steps_and_repeats(rng: np.random.Generator) -> None:
    silence = np.zeros(16_000)
    options = dataclasses.replace(PLAIN, dither=1.0)
    first = features.mfcc(silence, options)
    np.testing.assert_array_equal(first, features.mfcc(silence, options))
    other = features.mfcc(silence, options, rng=rng)
    assert np.abs(first - other).max() > 1
    noise = np.random.default_rng(0).standard_normal(16_000) / 32_768
    np.testing.assert_allclose(first, features.mfcc(noise, PLAIN), atol=1e-4)


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (np.zeros((2, 100)), "shape (2, 100)"),
        (np.zeros(100, np.int16), "int16"),
        (np.array([0.0, math.nan]), "NaN"),
        (np.array([0.0, math.inf]), "infinity"),
        (np.array([0.0, -1e12]), "beyond 1e+09"),
    ],
)
def test_samples_that_are_none_are_refused(samples: npt.NDArray[Any], complaint: str) -> None:
    with pytest.raises(AudioError) as caught:
        features.mfcc(samples, PLAIN)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"n_mfcc": 41},
        {"n_mfcc": 0},
        {"win_length": 513},
        {"n_fft": 511, "win_length": 400},
        {"hop_length": 0},
        {"fmax": 8_001.0},
        {"sample_rate": 8_000},
        {"fmin": 7_600.0},
        {"fmin": -1.0},
        {"preemphasis": 1.0},
        {"dither": math.inf},
        {"lifter": -1},
        {"deltas": 3},
        {"normalise": "variance"},
        {"stack": 0},
    ],
)
def test_settings_without_meaning_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(OptionsError, match=r"^features: .*expected .*received"):
        from_table(FeatureOptions, table, where="features")


def test_bands_without_a_frequency_are_refused() -> None:
    with pytest.raises(OptionsError, match=r"n_mels = 200 .*n_fft = 400"):
        features.mfcc(np.ones(400), FeatureOptions(n_mels=200, n_fft=400))


@pytest.mark.parametrize("fmax", [None, 7_000.0])
def test_options_survive_a_table(fmax: float | None) -> None:
    options = FeatureOptions(fmax=fmax, deltas=2, stack=3)
    assert options.top_hz == (fmax or 8_000.0)
    assert options.num_features == 13 * 3 * 3
    assert from_table(FeatureOptions, to_table(options), where="here") == options


def test_first_use_compiles_nothing_and_imports_little() -> None:
    code = (
        "import numpy, sys; from asr import features; "
        "heavy = {'librosa', 'numba', 'scipy.signal', 'sklearn'}; "
        "assert 'scipy' not in sys.modules; "
        "features.extract(numpy.ones(800), features.FeatureOptions(deltas=2)); "
        "assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
