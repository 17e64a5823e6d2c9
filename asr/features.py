"""Mel-frequency cepstral coefficients in librosa's letters, and what is done to them.

Every array here is (frames, features). The steps, each a function: `mfcc`, `add_deltas`,
`normalise`, `stack_frames`; `frame_features` joins the first three, `extract` all four.

The coefficients are those of `librosa.feature.mfcc` (Slaney's mel scale and area-normalised
triangles, a periodic Hann window, frames centred in zeros, decibels, an orthonormal DCT-II; Davis
and Mermelstein, 1980), with every parameter stated.
"""

import dataclasses
import functools
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from asr import mel
from asr.errors import AudioError
from asr.options import require

Array = npt.NDArray[np.float32]
Normalisation = Literal["mean-variance", "mean", "none"]

_BLOCK_FRAMES = 1024  # spectra held at once: 10 s, 8 MB of them, whatever the recording's length
_MIN_POWER = 1e-10  # librosa.power_to_db's amin
_TOP_DB = 80.0  # librosa.power_to_db's default, which librosa.feature.mfcc uses
_DELTA_WIDTH = 9  # librosa.feature.delta's default
_INT16_STEP = 1 / 32768
_MIN_DEVIATION = 1e-5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FeatureOptions:
    """How samples become features; the default is 25 ms windows every 10 ms of 16-kHz speech.

    Attributes:
        sample_rate: Of the samples, in Hz. A recording of another rate is resampled to it first.
        n_mfcc: Coefficients kept, the 0th (loudness) included.
        n_mels: Mel bands between `fmin` and `fmax`.
        n_fft: Samples per Fourier transform; even.
        win_length: Samples per window, padded with zeros to `n_fft`.
        hop_length: Samples from one frame to the next.
        fmin: Lower edge of the lowest band, in Hz.
        fmax: Upper edge of the highest band, in Hz; None is replaced by half the sample rate.
        preemphasis: Coefficient of the high-pass filter x[n] - c x[n - 1]; 0 leaves it out.
        dither: Standard deviation of white noise added before all else, in steps of a 16-bit
            sample (1/32768 of full scale), as Kaldi counts it; 0 adds none.
        lifter: Cepstral liftering as librosa defines it; 0 leaves it out.
        deltas: Highest order of time derivative appended: 0, 1 or 2.
        normalise: What each coefficient is given over the utterance: mean 0 and variance 1, mean
            0, or nothing.
        stack: Frames joined into one step.
    """

    sample_rate: int = 16_000
    n_mfcc: int = 13
    n_mels: int = 40
    n_fft: int = 512
    win_length: int = 400
    hop_length: int = 160
    fmin: float = 20.0
    fmax: float | None = 7_600.0
    preemphasis: float = 0.0
    dither: float = 0.0
    lifter: int = 0
    deltas: Literal[0, 1, 2] = 0
    normalise: Normalisation = "mean-variance"
    stack: int = 1

    def __post_init__(self) -> None:
        """Refuses settings that contradict each other or mean nothing."""
        half = self.sample_rate / 2
        if self.fmax is None:
            # Resolved here, since a table of settings cannot hold None and would lose it.
            object.__setattr__(self, "fmax", half)
        for name in ("sample_rate", "n_mfcc", "n_mels", "win_length", "hop_length", "stack"):
            require(getattr(self, name) >= 1, f"{name} from 1 on", getattr(self, name))
        require(self.n_mfcc <= self.n_mels, f"n_mfcc up to n_mels = {self.n_mels}", self.n_mfcc)
        require(self.n_fft % 2 == 0, "an even n_fft", self.n_fft)
        require(self.n_fft >= self.win_length, f"n_fft from {self.win_length} on", self.n_fft)
        require(0 <= self.fmin < self.top_hz, f"fmin from 0 to below {self.top_hz}", self.fmin)
        require(
            self.top_hz <= half,
            f"fmax up to half of sample_rate = {self.sample_rate}, which is {half:g}",
            self.fmax,
        )
        require(0 <= self.preemphasis < 1, "preemphasis from 0 to below 1", self.preemphasis)
        require(0 <= self.dither < math.inf, "dither from 0 on", self.dither)
        require(self.lifter >= 0, "lifter from 0 on", self.lifter)
        require(self.deltas in (0, 1, 2), "deltas 0, 1 or 2", self.deltas)
        kinds = ("mean-variance", "mean", "none")
        require(self.normalise in kinds, f"normalise one of {', '.join(kinds)}", self.normalise)

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest band, in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def num_features(self) -> int:
        """Numbers per step: coefficients with their deltas, times the frames stacked."""
        return self.n_mfcc * (self.deltas + 1) * self.stack


def num_frames(num_samples: int, options: FeatureOptions) -> int:
    """Counts the frames of a recording; the only place that does.

    Frames are centred on samples 0, hop_length, 2 hop_length, …, as far as there are samples.

    Args:
        num_samples: Samples at `options.sample_rate`.
        options: The settings.

    Returns:
        1 + num_samples // hop_length; 0 for no samples.
    """
    return 1 + num_samples // options.hop_length if num_samples > 0 else 0


def num_steps(num_frames: int, options: FeatureOptions) -> int:
    """Counts the steps that frames make when stacked; the last step may be filled up."""
    return -(-num_frames // options.stack)


def step_s(options: FeatureOptions) -> float:
    """Returns the seconds from one step to the next."""
    return options.hop_length * options.stack / options.sample_rate


def span_s(step: int, options: FeatureOptions) -> tuple[float, float]:
    """Returns the stretch of a recording, in seconds, that lies nearest to the frames of a step.

    Frames are centred on multiples of the hop, so it reaches half a hop to either side of them:
    before the recording's start for step 0, and possibly beyond its end for the last.
    """
    first = step * options.stack - 0.5
    hop_s = options.hop_length / options.sample_rate
    return first * hop_s, (first + options.stack) * hop_s


def extract(
    samples: npt.ArrayLike, options: FeatureOptions, *, rng: np.random.Generator | None = None
) -> Array:
    """Turns samples into what a network takes.

    Args:
        samples: float [num_samples] at `options.sample_rate`, in -1..1.
        options: The settings.
        rng: Source of the dither; None draws the same noise every time.

    Returns:
        float32 [num_steps, options.num_features].

    Raises:
        AudioError: As `mfcc`.
    """
    return stack_frames(frame_features(samples, options, rng=rng), size=options.stack)


def frame_features(
    samples: npt.ArrayLike, options: FeatureOptions, *, rng: np.random.Generator | None = None
) -> Array:
    """Turns samples into coefficients with their deltas, normalised but not stacked.

    Args:
        samples: float [num_samples] at `options.sample_rate`, in -1..1.
        options: The settings.
        rng: Source of the dither; None draws the same noise every time.

    Returns:
        float32 [num_frames, n_mfcc * (deltas + 1)].

    Raises:
        AudioError: As `mfcc`.
    """
    coefficients = mfcc(samples, options, rng=rng)
    return normalise(add_deltas(coefficients, order=options.deltas), kind=options.normalise)


def mfcc(
    samples: npt.ArrayLike, options: FeatureOptions, *, rng: np.random.Generator | None = None
) -> Array:
    """Computes mel-frequency cepstral coefficients equal to `librosa.feature.mfcc`.

    Band powers become decibels relative to 1, and those more than 80 dB below the loudest band of
    the whole utterance are raised to that floor (librosa's `top_db`): the only way in which one
    frame depends on the others. Frames of digital silence thus differ from utterance to utterance,
    but a floor within hearing of the speech keeps them from dwarfing everything else.

    Args:
        samples: float [num_samples] at `options.sample_rate`, in -1..1.
        options: The settings.
        rng: Source of the dither; None draws the same noise every time.

    Returns:
        Decibels, float32 [num_frames, n_mfcc]; [0, n_mfcc] for no samples.

    Raises:
        AudioError: The samples are not one row of finite floating-point numbers.
    """
    signal = _checked(samples)
    if not len(signal):
        return np.empty((0, options.n_mfcc), np.float32)
    if options.dither:
        noise = (rng or np.random.default_rng(0)).standard_normal(len(signal))
        signal = signal + options.dither * _INT16_STEP * noise
    if options.preemphasis:
        signal = _preemphasise(signal, options.preemphasis)
    decibels = 10.0 * np.log10(np.maximum(_MIN_POWER, _mel_powers(signal, options)))
    decibels = np.maximum(decibels, decibels.max() - _TOP_DB)
    basis = mel.cosines(options.n_mels, n_mfcc=options.n_mfcc, lifter=options.lifter)
    return np.asarray(decibels @ basis, np.float32)


def add_deltas(coefficients: npt.ArrayLike, *, order: int) -> Array:
    """Appends time derivatives: `librosa.feature.delta` of width 9 and mode "nearest".

    Order 1 is the slope of a line, order 2 the second derivative of a parabola, fitted to nine
    frames by least squares (Savitzky and Golay, 1964). Beyond the edges the first and last frame
    are repeated, so any number of frames will do.

    Args:
        coefficients: float [num_frames, n].
        order: 0, 1 or 2: the highest derivative appended.

    Returns:
        float32 [num_frames, n * (order + 1)], the derivatives after the coefficients.
    """
    static = np.asarray(coefficients, np.float32)
    if order == 0 or not len(static):
        return np.tile(static, order + 1)
    half = _DELTA_WIDTH // 2
    padded = np.pad(static.astype(np.float64), ((half, half), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _DELTA_WIDTH, axis=0)
    deltas = [windows @ _derivative(derivative) for derivative in range(1, order + 1)]
    return np.concatenate([static, *deltas], axis=1, dtype=np.float32, casting="same_kind")


def normalise(features: npt.ArrayLike, *, kind: Normalisation) -> Array:
    """Removes what the channel and the level add to an utterance (Atal, 1974).

    Args:
        features: float [num_frames, n].
        kind: "mean-variance" for mean 0 and variance 1 over the frames, "mean", or "none". A
            coefficient whose deviation is below 1e-5 is a constant: it is centred, never divided.

    Returns:
        float32 [num_frames, n].
    """
    values = np.asarray(features, np.float32)
    if kind == "none" or not len(values):
        return values
    centred = values - values.mean(axis=0, dtype=np.float64)
    if kind == "mean-variance":
        deviation = centred.std(axis=0)
        centred = centred / np.where(deviation < _MIN_DEVIATION, 1.0, deviation)
    return np.asarray(centred, np.float32)


def stack_frames(features: npt.ArrayLike, *, size: int) -> Array:
    """Joins each `size` frames into one; the last frame is repeated to fill the last step.

    Args:
        features: float [num_frames, n].
        size: Frames per step, from 1 on.

    Returns:
        float32 [ceil(num_frames / size), size * n], earlier frames first within a step.
    """
    values = np.asarray(features, np.float32)
    missing = -len(values) % size
    if missing:
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return values.reshape(len(values) // size, size * values.shape[1])


def _checked(samples: npt.ArrayLike) -> npt.NDArray[np.float64]:
    signal = np.asarray(samples)
    if signal.ndim != 1 or signal.dtype.kind != "f":
        raise AudioError(
            "expected floating-point samples [num_samples] in -1..1, received "
            f"{signal.dtype} of shape {signal.shape}"
        )
    if not np.isfinite(signal).all():
        raise AudioError("expected finite samples, received NaN or infinity")
    return signal.astype(np.float64)


def _preemphasise(signal: npt.NDArray[np.float64], coefficient: float) -> npt.NDArray[np.float64]:
    """Filters as `librosa.effects.preemphasis`, whose first sample is 3 x[0] - x[1]."""
    following = signal[1] if len(signal) > 1 else signal[0]
    first = 3 * signal[0] - following
    return np.concatenate([[first], signal[1:] - coefficient * signal[:-1]])


def _mel_powers(
    signal: npt.NDArray[np.float64], options: FeatureOptions
) -> npt.NDArray[np.float64]:
    """Returns the power in each mel band, [num_frames, n_mels]."""
    bank = mel.filters(
        sample_rate=options.sample_rate,
        n_fft=options.n_fft,
        n_mels=options.n_mels,
        fmin=options.fmin,
        fmax=options.top_hz,
    )
    window = mel.window(options.win_length, n_fft=options.n_fft)
    centred = np.pad(signal, options.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(centred, options.n_fft)
    frames = frames[:: options.hop_length]
    powers = np.empty((num_frames(len(signal), options), options.n_mels))
    for start in range(0, len(powers), _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        powers[block] = np.abs(np.fft.rfft(frames[block] * window)) ** 2 @ bank
    return powers


@functools.cache
def _derivative(order: int) -> npt.NDArray[np.float64]:
    """Returns the weights that differentiate a least-squares polynomial in its middle, [9]."""
    half = _DELTA_WIDTH // 2
    powers = np.vander(np.arange(-half, half + 1.0), order + 1, increasing=True)
    weights: npt.NDArray[np.float64] = math.factorial(order) * np.linalg.pinv(powers)[order]
    return weights
