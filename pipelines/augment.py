"""Training speech made more varied: masks, noise, other microphones, a telephone's band."""

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr import mel
from asr.audio import SAMPLE_RATE, load_audio, resample
from asr.errors import OptionsError
from asr.features import FeatureOptions
from pipelines.recipe import AugmentOptions

Floats = npt.NDArray[np.float32]

_NARROW_BAND_RATE = 8_000
"""Samples a second of telephone speech."""
_NUM_KNOTS = 24
"""As fine as the colours of microphones and small rooms are: a cosine over the mel bands for each
coefficient up to the twelfth."""
_LEVEL_SIZE = 160
"""Samples over which a level is measured: 10 ms."""
_WARPED_EVENLY = 0.8
"""Share of the frequencies heard that is moved by one factor: the resonances that tell vowels
apart."""
_NUM_TAPS = 512
"""32 ms: long enough for a knot's width at the lowest frequencies."""


def mask_features(
    features: Floats, options: AugmentOptions, *, frame_s: float, rng: np.random.Generator
) -> Floats:
    """Sets stretches of frames and bands of coefficients to zero: the mean, once normalised.

    Park et al., "SpecAugment", 2019, without time warping.

    Args:
        features: float32 [num_frames, F], normalised.
        options: How many masks, and how wide at most.
        frame_s: Seconds from one frame to the next.
        rng: Decides where they are.

    Returns:
        A masked copy.
    """
    features = features.copy()
    num_frames, num_coefficients = features.shape
    longest = int(min(options.max_time_mask_s / frame_s, options.max_time_mask_share * num_frames))
    for _ in range(options.num_time_masks):
        start, end = _stretch(num_frames, longest, rng)
        features[start:end] = 0.0
    for _ in range(options.num_coefficient_masks):
        start, end = _stretch(num_coefficients, options.max_coefficient_mask, rng)
        features[:, start:end] = 0.0
    return features


def mask_bands(
    features: Floats,
    options: AugmentOptions,
    *,
    made_by: FeatureOptions,
    rng: np.random.Generator,
) -> Floats:
    """Takes out of coefficients what neighbouring mel bands have put into them.

    SpecAugment's frequency masks (Park et al. 2019), for features that are made of bands. Of fewer
    coefficients than bands a mask has soft edges.

    Args:
        features: float32 [num_frames, num_coefficients], normalised: a masked band is left with its
            mean.
        options: How many masks, and how wide at most.
        made_by: How the coefficients were made; the deviations that normalisation took from them
            are taken to be those of average speech.
        rng: Decides where the masks are.

    Returns:
        A masked copy, of the same shape.
    """
    kept = np.ones(made_by.n_mels)
    for _ in range(options.num_band_masks):
        start, end = _stretch(made_by.n_mels, options.max_band_mask, rng)
        kept[start:end] = 0.0
    return _change_bands(features, np.diag(kept), made_by)


def warp_bands(features: Floats, *, warp: float, made_by: FeatureOptions) -> Floats:
    """Moves resonances up or down, as a shorter or a longer vocal tract does.

    Jaitly and Hinton, "Vocal tract length perturbation improves speech recognition", 2013. What is
    above four fifths of the frequencies heard is moved less, so that none is moved out. As a
    product with one matrix, what comes of coefficients: Pitz and Ney 2005.

    Args:
        features: float32 [num_frames, num_coefficients], normalised.
        warp: Frequencies afterwards by frequencies before; 1 changes nothing.
        made_by: As for `mask_bands`.

    Returns:
        A copy with what was heard at one frequency at another, of the same shape.
    """
    centres = mel.centres_hz(n_mels=made_by.n_mels, fmin=made_by.fmin, fmax=made_by.top_hz)
    top_hz = made_by.top_hz
    knee_hz = _WARPED_EVENLY * top_hz / max(warp, 1.0)
    heard_at = np.interp(centres, [0, warp * knee_hz, top_hz], [0, knee_hz, top_hz])
    every = np.eye(made_by.n_mels)
    change = np.stack([np.interp(heard_at, centres, band) for band in every])
    return _change_bands(features, change, made_by)


def _change_bands(
    features: Floats, change: npt.NDArray[np.float64], made_by: FeatureOptions
) -> Floats:
    """Returns features of other log energies: of the old ones' products with [n_mels, n_mels]."""
    width = made_by.n_mfcc
    deviations = np.array(made_by.prior_deviation[:width] or np.ones(width))
    to_coefficients = mel.cosines(made_by.n_mels, n_mfcc=width, lifter=made_by.lifter)
    to_bands = deviations[:, np.newaxis] * _inverse_cosines(made_by.n_mels, width, made_by.lifter)
    matrix = (to_bands @ change @ (to_coefficients / deviations)).astype(np.float32)
    by_order = features.reshape(len(features), -1, width)  # the coefficients, then their deltas
    changed: Floats = (by_order @ matrix).reshape(features.shape)
    return changed


def add_noise(speech: Floats, noise: Floats, *, snr_db: float, rng: np.random.Generator) -> Floats:
    """Adds a random stretch of noise at a given ratio of mean powers.

    Args:
        speech: float32 [num_samples].
        noise: float32 of any length; repeated if it is shorter than the speech.
        snr_db: 10 log10 of speech power over noise power.
        rng: Decides where in the noise the stretch begins.

    Returns:
        The sum, float32 [num_samples].
    """
    start = int(rng.integers(len(noise)))
    stretch = np.take(noise, np.arange(start, start + len(speech)), mode="wrap")
    speech_power = float(np.mean(np.square(speech, dtype=np.float64)))
    noise_power = float(np.mean(np.square(stretch, dtype=np.float64)))
    if noise_power == 0.0:  # a silent stretch has no level that could be raised
        return speech
    gain = np.sqrt(speech_power / (noise_power * 10 ** (snr_db / 10)))
    return np.asarray(speech + np.float32(gain) * stretch, dtype=np.float32)


def colour(speech: Floats, *, spread_db: float, rng: np.random.Generator) -> Floats:
    """Passes speech through a random smooth filter, as a microphone and a room of its own would.

    Short utterances need it most: they say too little of their channel to be freed of it by
    normalisation.

    Args:
        speech: float32 [num_samples] at 16 kHz.
        spread_db: Standard deviation of the filter's gain at any frequency, in decibels.
        rng: Draws the gains.

    Returns:
        float32 [num_samples] at 16 kHz.
    """
    hertz = np.fft.rfftfreq(_NUM_TAPS, 1 / SAMPLE_RATE)
    mel = np.log1p(hertz / 700)  # O'Shaughnessy 1987, but for a factor
    knots = np.linspace(0, mel[-1], _NUM_KNOTS)
    gains_db = np.interp(mel, knots, rng.normal(0, spread_db, _NUM_KNOTS))
    # Zero phase, so that nothing moves in time.
    taps = np.roll(np.fft.irfft(10 ** (gains_db / 20)), _NUM_TAPS // 2) * np.hanning(_NUM_TAPS)
    size = 1 << (len(speech) + _NUM_TAPS - 1).bit_length()  # long enough not to wrap around
    heard = np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(taps, size), size)
    return heard[_NUM_TAPS // 2 :][: len(speech)].astype(np.float32)


def trim_edges(speech: Floats, *, before_db: float, after_db: float) -> Floats:
    """Cuts away what is quiet before the first sound and after the last.

    Args:
        speech: float32 [num_samples] at 16 kHz.
        before_db: How far below the loudest 10 ms is quiet at the beginning, above 0.
        after_db: The same at the end.

    Returns:
        float32, a stretch of the speech that holds its loudest 10 ms.
    """
    padded = np.pad(speech, (0, -len(speech) % _LEVEL_SIZE)).reshape(-1, _LEVEL_SIZE)
    levels = np.sqrt(np.mean(np.square(padded, dtype=np.float64), axis=1))
    loudest = levels.max(initial=0.0)
    if loudest == 0.0:
        return speech
    first = int(np.argmax(levels > loudest * 10 ** (-before_db / 20)))
    last = int(np.flatnonzero(levels > loudest * 10 ** (-after_db / 20))[-1])
    return speech[first * _LEVEL_SIZE : (last + 1) * _LEVEL_SIZE]


def narrow_band(speech: Floats) -> Floats:
    """Returns speech without what recordings of 8,000 samples a second lack: all above 4 kHz.

    Args:
        speech: float32 [num_samples] at 16 kHz.

    Returns:
        float32 [num_samples] at 16 kHz.
    """
    there = resample(speech, from_rate=SAMPLE_RATE, to_rate=_NARROW_BAND_RATE)
    back = resample(there, from_rate=_NARROW_BAND_RATE, to_rate=SAMPLE_RATE)
    return np.pad(back, (0, max(0, len(speech) - len(back))))[: len(speech)]


def load_noises(folder: Path) -> list[Floats]:
    """Reads every recording below a folder, float32 [num_samples] each at 16 kHz.

    Raises:
        OptionsError: There is no recording there.
        AudioError: One of the files is not a recording.
    """
    noises = [
        load_audio(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".md", ".txt")
    ]
    if not noises:
        raise OptionsError(f"[augment] noise: expected a folder of recordings, received {folder}")
    return noises


@functools.lru_cache(maxsize=8)
def _inverse_cosines(n_mels: int, n_mfcc: int, lifter: int) -> npt.NDArray[np.float64]:
    """Returns what makes bands of coefficients again, float64 [n_mfcc, n_mels]; made once."""
    return np.asarray(np.linalg.pinv(mel.cosines(n_mels, n_mfcc=n_mfcc, lifter=lifter)), np.float64)


def _stretch(length: int, longest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(0, min(longest, length) + 1))
    start = int(rng.integers(0, length - width + 1))
    return start, start + width
