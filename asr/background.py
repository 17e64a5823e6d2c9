"""What is heard where nobody speaks, made of a recording's own quietest moments.

Recordings cut tightly around a word leave a network no time: CTC writes a letter a step at most,
and often a little later than it is heard. With background before and behind, nothing is said that
was not, and all of it can be written.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

_FRAME_SIZE = 160  # 10 ms at 16 kHz
_QUIET_SHARE = 0.1
_KNOWN_SAMPLES = 160_000  # 10 s: what the edges of a longer recording sound like is near them


def background(clip: Samples, num_samples: int, rng: np.random.Generator) -> Samples:
    """Returns noise with the level and the spectrum of a recording's quietest tenth.

    Args:
        clip: float32 [any number of samples] at 16 kHz.
        num_samples: Of the result.
        rng: Draws the noise.

    Returns:
        float32 [num_samples]; zeros if the clip lasts less than 10 ms.
    """
    frames = clip[: len(clip) // _FRAME_SIZE * _FRAME_SIZE].reshape(-1, _FRAME_SIZE)
    if len(frames) == 0 or num_samples == 0:
        return np.zeros(num_samples, np.float32)
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    floor = float(np.quantile(levels, _QUIET_SHARE))
    quiet = frames[levels <= floor] * np.hanning(_FRAME_SIZE)
    magnitudes = np.sqrt(np.mean(np.abs(np.fft.rfft(quiet)) ** 2, axis=0))
    hiss = np.fft.rfft(rng.standard_normal(num_samples))
    hertz, known = np.linspace(0, 1, len(hiss)), np.linspace(0, 1, len(magnitudes))
    coloured = np.fft.irfft(hiss * np.interp(hertz, known, magnitudes), num_samples)
    level = float(np.sqrt(np.mean(np.square(coloured))))
    return (coloured * (floor / level if level else 0.0)).astype(np.float32)


def surrounded(clip: Samples, before: int, behind: int, rng: np.random.Generator) -> Samples:
    """Returns a recording with samples of its background before and behind it.

    Args:
        clip: float32 [num_samples] at 16 kHz.
        before: How many samples.
        behind: The same.
        rng: Draws the noise.
    """
    noise = background(clip, before + behind, rng)
    return np.concatenate([noise[:before], clip, noise[before:]])


def lead_samples(lead_s: float) -> int:
    """Returns the samples at 16 kHz of a lead in seconds, such as `FeatureOptions.lead_s`."""
    return round(lead_s * SAMPLE_RATE)


def as_heard(samples: Samples, num_samples: int) -> Samples:
    """Returns a recording, float32 [n] at 16 kHz, as `led` yields it; nothing of nothing."""
    return np.concatenate([*led([samples], num_samples)]) if len(samples) else samples


def led(blocks: Iterable[Samples], num_samples: int) -> Iterator[Samples]:
    """Yields a recording with background before its beginning and behind its end.

    The noise is the same each time, and however the recording is divided into blocks.

    Args:
        blocks: The recording at 16 kHz, float32 [any number of samples] each.
        num_samples: Before, and behind.
    """
    if not num_samples:
        yield from blocks
        return
    held = np.zeros(0, np.float32)  # at first the beginning, then what may be the end
    is_begun = False
    for block in blocks:
        held = np.concatenate([held, block])
        if not is_begun and len(held) >= _KNOWN_SAMPLES:
            yield background(held[:_KNOWN_SAMPLES], num_samples, np.random.default_rng(0))
            is_begun = True
        if is_begun and len(held) > 2 * _KNOWN_SAMPLES:
            yield held[:-_KNOWN_SAMPLES]
            held = held[-_KNOWN_SAMPLES:]
    if not len(held):
        return
    if not is_begun:
        yield background(held, num_samples, np.random.default_rng(0))
    yield held
    yield background(held[-_KNOWN_SAMPLES:], num_samples, np.random.default_rng(1))
