"""Spectrograms as small grey PNG images."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.mel import filters

_WINDOW = 400  # 25 ms, as speech is analysed
_HOP = 160
_FFT = 1024  # more than the window: with 64 bands the lowest are narrower than a frequency of 512
_BANDS = 64
_COLUMNS = 480
_RANGE_DB = 60.0
_LEVELS = 24
"""Greys: more cannot be told apart, and fewer compress better."""


def spectrogram(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Returns the mel spectrogram of a recording as a picture, black where it is loudest.

    Args:
        samples: float32 [num_samples] at 16 kHz, at least one.

    Returns:
        uint8 [64, num_columns], the highest frequencies first; at most 480 columns.
    """
    padded = np.pad(samples.astype(np.float64), (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    bank = filters(sample_rate=SAMPLE_RATE, n_fft=_FFT, n_mels=_BANDS, fmin=0.0, fmax=8_000.0)
    starts = np.unique(
        np.linspace(0, len(frames), min(_COLUMNS, len(frames)), endpoint=False).astype(int)
    )
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2 @ bank
    decibels = 10 * np.log10(np.maximum.reduceat(power, starts) + 1e-10)
    loudness = np.clip(1 + (decibels - decibels.max()) / _RANGE_DB, 0, 1)
    levels = np.rint(loudness * (_LEVELS - 1)) / (_LEVELS - 1)
    return np.rint(255 * (1 - levels)).astype(np.uint8).T[::-1]


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Returns a grey picture as a PNG file (W3C, Portable Network Graphics, third edition).

    Args:
        picture: uint8 [height, width]; 0 is black.
    """
    height, width = picture.shape
    # Filter 0 before every row: with few greys nothing is gained by predicting a pixel.
    rows = np.pad(picture, ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
