"""Short recordings as compressed files in memory, small enough to lie in a page."""

import io

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.errors import AudioError

_CHUNK_SAMPLES = 1 << 14  # libsndfile's encoders may crash on a minute in one call

MEDIA_TYPE = "audio/mpeg"
"""MP3: of the formats libsndfile compresses to, the one that every browser plays."""


def encode_clip(samples: npt.ArrayLike, *, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Compresses a mono recording to an MP3 of about 6 kB a second.

    Args:
        samples: float [num_samples]; what lies outside -1..1 is clipped, since it is only listened
            to.
        sample_rate: Their rate, one of MP3's, in Hz.

    Returns:
        The file's content.

    Raises:
        AudioError: The samples are none, or not one row, or the rate is not one of MP3's.
    """
    import soundfile

    signal = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
    if signal.ndim != 1 or not len(signal):
        raise AudioError(f"expected samples [num_samples], received shape {signal.shape}")
    content = io.BytesIO()
    try:
        with soundfile.SoundFile(content, "w", sample_rate, 1, "MPEG_LAYER_III", format="MP3") as f:
            for start in range(0, len(signal), _CHUNK_SAMPLES):
                f.write(signal[start : start + _CHUNK_SAMPLES])
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"expected a rate that MP3 has, received {sample_rate} Hz: {error}"
        ) from None
    return content.getvalue()
