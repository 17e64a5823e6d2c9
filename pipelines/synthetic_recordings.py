"""Recordings of synthetic voices, as unlike as rooms, microphones and moods make them."""

import dataclasses

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from pipelines.synthesis import Voice, synthesise

_QUIET = 0.08
"""Of the peak: less is not yet, or no longer, the words."""
_KEPT_BEFORE_S, _KEPT_AFTER_S = 0.025, 0.05


def record(text: str, voice: Voice, *, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Returns a voice's recording of a text in a room of its own, at 16 kHz.

    Speed (±12 %), pitch, its range, level (a peak of -26 to -2 dBFS), the silence around the words
    and the noise under them (15 to 45 dB below, from hiss to rumble) are drawn anew each time.

    Returns:
        float32 [num_samples], in -1..1.
    """
    speech = synthesise(
        text,
        dataclasses.replace(
            voice,
            rate=round(175 * rng.uniform(0.88, 1.12)),
            pitch=int(rng.integers(35, 66)),
            pitch_range=int(rng.integers(30, 71)),
        ),
    )
    before, after = (round(SAMPLE_RATE * seconds) for seconds in rng.uniform(0.05, 0.35, 2))
    samples = np.pad(speech, (before, after))
    samples += _noise(samples.size, rng=rng) * _rms(speech) * _gain(-rng.uniform(15, 45))
    peak = np.float32(np.abs(samples).max())
    return samples * np.float32(_gain(rng.uniform(-26, -2))) / peak


def trimmed(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns a recording without the silence around its words, as those of single words often are.

    Args:
        samples: float32 [num_samples] at 16 kHz.
    """
    level = np.abs(samples)
    (loud,) = np.nonzero(level > _QUIET * level.max(initial=0.0))
    if not len(loud):
        return samples
    start = max(0, int(loud[0]) - round(_KEPT_BEFORE_S * SAMPLE_RATE))
    return samples[start : int(loud[-1]) + round(_KEPT_AFTER_S * SAMPLE_RATE)]


def _noise(num_samples: int, *, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Returns noise of unit power whose spectrum falls by 0 (hiss) to 6 dB an octave (rumble)."""
    size = 1 << (num_samples - 1).bit_length()  # a length the transform is quick for
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.arange(1, spectrum.size + 1) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, size)[:num_samples].astype(np.float32)
    return noise / _rms(noise)


def _rms(samples: npt.NDArray[np.float32]) -> np.float32:
    return np.sqrt(np.mean(np.square(samples)))


def _gain(level_db: float) -> np.float32:
    return np.float32(10 ** (level_db / 20))
