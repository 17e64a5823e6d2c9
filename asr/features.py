"""Mel-frequency cepstral coefficients in librosa's letters, and what is done to them.

Every array here is (frames, features). The steps, each a function: `mfcc`,
`asr.deltas.add_deltas`, `asr.normalisation.normalise`, `stack_frames`; `frame_features` joins the
first three, `extract` all four.

The coefficients are those of `librosa.feature.mfcc` (Slaney's mel scale and area-normalised
triangles, a periodic Hann window, frames centred in zeros, decibels, an orthonormal DCT-II; Davis
and Mermelstein, 1980), with every parameter stated. They are several times as fast: constants are
made once (`asr.mel`), spectra stay in the cache, in the precision of the samples (`asr.spectrum`),
and what follows goes block by block too: nothing is held beyond samples, bands and features.
"""

import dataclasses
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from asr import mel, spectrum
from asr.blocks import blocks
from asr.deltas import add_deltas
from asr.errors import AudioError
from asr.normalisation import Normalisation, Prior, normalise_in_place
from asr.options import require
from asr.pauses import counted_frames

Array = npt.NDArray[np.float32]
Samples = npt.NDArray[np.floating]

_LOUDEST = 1e9  # far from what single precision can square, and from any sound
_TOP_DB = 80.0  # librosa.power_to_db's default, which librosa.feature.mfcc uses
_INT16_STEP = 1 / 32768
_LARGEST = {"sample_rate": 768_000, "n_mels": 4_096, "n_fft": 65_536, "stack": 256}


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
        prior_frames: Frames of average speech that count with the utterance's own in that: short
            words keep what a sentence's normalisation leaves them. 0 for the utterance alone.
        prior_mean: Of each coefficient in average speech; training measures it where it is empty.
        prior_deviation: The same of the standard deviation.
        stack: Frames joined into one step.
        lead_s: Seconds of its own background (`asr.background`) with which a recording is heard
            before its beginning and behind its end; a recognizer's, features know nothing of it.
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
    prior_frames: float = 0.0
    prior_mean: tuple[float, ...] = ()
    prior_deviation: tuple[float, ...] = ()
    stack: int = 1
    lead_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuses settings that contradict each other or mean nothing."""
        half = self.sample_rate / 2
        if self.fmax is None:
            # Resolved here, since a table of settings cannot hold None and would lose it.
            object.__setattr__(self, "fmax", half)
        for name in ("sample_rate", "n_mfcc", "n_mels", "win_length", "hop_length", "stack"):
            require(getattr(self, name) >= 1, f"{name} from 1 on", getattr(self, name))
        # A model from a stranger may say anything; beyond these, no features fit into memory.
        for name, largest in _LARGEST.items():
            require(getattr(self, name) <= largest, f"{name} up to {largest}", getattr(self, name))
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
        require(0 <= self.lead_s <= 2, "lead_s in 0..2", self.lead_s)
        require(self.lifter >= 0, "lifter from 0 on", self.lifter)
        require(self.deltas in (0, 1, 2), "deltas 0, 1 or 2", self.deltas)
        kinds = ("mean-variance", "mean", "none")
        require(self.normalise in kinds, f"normalise one of {', '.join(kinds)}", self.normalise)
        self._check_prior()

    def _check_prior(self) -> None:
        frames = self.prior_frames
        require(0 <= frames < math.inf, "prior_frames from 0 on", frames)
        require(
            not frames or self.normalise != "none",
            'prior_frames 0 where normalise is "none"',
            frames,
        )
        for name in ("prior_mean", "prior_deviation"):
            values = getattr(self, name)
            wanted = f"{name} empty, or {self.num_coefficients} finite numbers"
            require(len(values) in (0, self.num_coefficients), wanted, values)
            require(all(map(math.isfinite, values)), wanted, values)
        together = bool(self.prior_mean) == bool(self.prior_deviation)
        require(together, "prior_mean and prior_deviation together", self.prior_mean)
        low = min(self.prior_deviation, default=0.0)
        require(low >= 0, "prior_deviation from 0 on", low)

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest band, in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def num_features(self) -> int:
        """Numbers per step: coefficients with their deltas, times the frames stacked."""
        return self.num_coefficients * self.stack

    @property
    def num_coefficients(self) -> int:
        """Numbers per frame: coefficients with their deltas."""
        return self.n_mfcc * (self.deltas + 1)

    @property
    def prior(self) -> Prior | None:
        """What normalisation counts with the utterance, if anything is known of it."""
        if not self.prior_frames or not self.prior_mean:
            return None
        return Prior(self.prior_frames, np.array(self.prior_mean), np.array(self.prior_deviation))


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
    samples: npt.ArrayLike,
    options: FeatureOptions,
    *,
    rng: np.random.Generator | None = None,
    without_pauses: bool = False,
) -> Array:
    """Turns samples into what a network takes.

    Args:
        samples: float [num_samples] at `options.sample_rate`, in -1..1.
        options: The settings.
        rng: Source of the dither; None draws the same noise every time.
        without_pauses: Long pauses have no part in what it is normalised by (`asr.pauses`).

    Returns:
        float32 [num_steps, options.num_features].

    Raises:
        AudioError: As `mfcc`.
    """
    features = frame_features(samples, options, rng=rng, without_pauses=without_pauses)
    return stack_frames(features, size=options.stack)


def frame_features(
    samples: npt.ArrayLike,
    options: FeatureOptions,
    *,
    rng: np.random.Generator | None = None,
    without_pauses: bool = False,
) -> Array:
    """Turns samples into coefficients with their deltas, normalised but not stacked.

    Args:
        samples: float [num_samples] at `options.sample_rate`, in -1..1.
        options: The settings.
        rng: Source of the dither; None draws the same noise every time.
        without_pauses: Long pauses have no part in what it is normalised by (`asr.pauses`).

    Returns:
        float32 [num_frames, n_mfcc * (deltas + 1)].

    Raises:
        AudioError: As `mfcc`.
    """
    features = add_deltas(mfcc(samples, options, rng=rng), order=options.deltas)
    counted = None
    if without_pauses and options.normalise != "none":
        counted = counted_frames(samples, len(features), options.hop_length, options.sample_rate)
    normalise_in_place(features, options.normalise, options.prior, counted)
    return features


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
        signal = _dithered(signal, options.dither, rng or np.random.default_rng(0))
    if options.preemphasis:
        signal = _preemphasised(signal, options.preemphasis)
    decibels = _band_decibels(signal, options)
    floor = decibels.max() - np.float32(_TOP_DB)
    basis = mel.cosines(options.n_mels, n_mfcc=options.n_mfcc, lifter=options.lifter)
    found = np.empty((len(decibels), options.n_mfcc), np.float32)
    for block in blocks(len(found), max(1, mel.SERIAL_PRODUCT // basis.size)):
        # In double precision: coefficient 0 sums hundreds, of which single keeps four decimals.
        found[block] = np.maximum(decibels[block], floor) @ basis
    return found


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


def _checked(samples: npt.ArrayLike) -> Samples:
    signal = np.asarray(samples)
    if signal.ndim != 1 or signal.dtype.kind != "f":
        raise AudioError(
            "expected floating-point samples [num_samples] in -1..1, received "
            f"{signal.dtype} of shape {signal.shape}"
        )
    lowest, highest = signal.min(initial=0.0), signal.max(initial=0.0)
    if not -_LOUDEST <= lowest <= highest <= _LOUDEST:  # NaN compares as false
        raise AudioError(
            f"expected finite samples in -1..1, received NaN, infinity or beyond {_LOUDEST:g}"
        )
    return signal if signal.dtype == np.float64 else signal.astype(np.float32, copy=False)


def _dithered(signal: Samples, dither: float, rng: np.random.Generator) -> Samples:
    found = np.empty_like(signal)
    for block in blocks(len(signal), 1 << 16):
        noise = rng.standard_normal(block.stop - block.start)
        found[block] = signal[block] + dither * _INT16_STEP * noise
    return found


def _preemphasised(signal: Samples, coefficient: float) -> Samples:
    """Filters as `librosa.effects.preemphasis`, whose first sample is 3 x[0] - x[1]."""
    found = signal * -coefficient
    following = signal[1] if len(signal) > 1 else signal[0]
    found[1:] = signal[1:] + found[:-1]
    found[0] = 3 * signal[0] - following
    return found


def _band_decibels(signal: Samples, options: FeatureOptions) -> Array:
    """Returns the power in each mel band in decibels, [num_frames, n_mels]."""
    filters = mel.filter_groups(
        sample_rate=options.sample_rate,
        n_fft=options.n_fft,
        n_mels=options.n_mels,
        fmin=options.fmin,
        fmax=options.top_hz,
    )
    return spectrum.decibels(
        signal,
        num_frames=num_frames(len(signal), options),
        hop_length=options.hop_length,
        window=mel.window(options.win_length, n_fft=options.n_fft),
        filters=filters,
    )
