"""How far speech stands out from the noise around it, estimated from the recording alone."""

import numpy as np
import numpy.typing as npt

_FRAME_S = 0.02
_NOISE_PERCENTILE = 15
_SPEECH_PERCENTILE = 85
_FLOOR = 1e-10
"""Mean square of a frame; -100 dB, below the last bit of 16."""


def estimate_snr_db(samples: npt.NDArray[np.float32], *, sample_rate: int) -> float | None:
    """Estimates the signal-to-noise ratio from the loud and the quiet frames.

    The 85th percentile of the frames' energies stands for speech with its noise, the 15th for the
    noise in the pauses; of their ratio, the noise's own share is taken off. That needs pauses:
    speech cut tight, or noise that comes and goes, is judged wrong by several decibels. It sorts
    recordings into slices; it measures nothing.

    Args:
        samples: float32 [num_samples], -1 to 1.
        sample_rate: In Hz.

    Returns:
        Decibels, from 0 to about 100; None for less than ten frames of 20 ms.
    """
    size = round(_FRAME_S * sample_rate)
    num_frames = len(samples) // size
    if num_frames < 10:
        return None
    frames = samples[: num_frames * size].astype(np.float64).reshape(num_frames, size)
    energies = np.maximum((frames**2).mean(axis=1), _FLOOR)
    noise, speech = np.percentile(energies, [_NOISE_PERCENTILE, _SPEECH_PERCENTILE])
    return float(10 * np.log10(max(speech / noise - 1, 1.0)))
