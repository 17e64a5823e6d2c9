"""Features on disk, keyed by what they were made from.

A key is a digest of the recording's bytes, the stretch used, the speed and every feature setting:
change any of them and other files are used; change none and nothing is computed twice, whatever
the files are called and wherever they have moved.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.errors import AudioError
from asr.features import FeatureOptions, frame_features
from asr.files import replacing
from asr.manifest import Utterance
from asr.options import to_table
from pipelines.progress import Progress
from pipelines.speech import load_speech

Floats = npt.NDArray[np.float32]

FORMAT = 1
"""Raised whenever the same settings would give other numbers."""

HEADER_BYTES = 8


class FeatureStore:
    """A folder of features that fills itself.

    Args:
        folder: Where to keep them.
        options: Feature settings. What is kept is `asr.features.frame_features`: unstacked, so
            that augmentation can work on single frames. `stack` is not part of the key.
    """

    def __init__(self, folder: Path, options: FeatureOptions) -> None:
        self.folder = folder
        self.options = options
        settings = {name: value for name, value in to_table(options).items() if name != "stack"}
        self._settings = json.dumps([FORMAT, settings], sort_keys=True)

    def load(self, utterance: Utterance, *, speed: float = 1.0) -> Floats:
        """Returns features, float32 [num_frames, F], computing and keeping them if need be.

        Raises:
            AudioError: The recording cannot be read.
        """
        return np.asarray(self._open(utterance, speed))

    def fill(
        self, utterances: Sequence[Utterance], speeds: Iterable[float], progress: Progress
    ) -> tuple[dict[tuple[str, float], int], dict[str, str]]:
        """Computes whatever is missing, on all cores.

        Returns:
            num_frames by utterance id and speed; and, by id, why a recording could not be read.
        """
        speeds = tuple(speeds)
        num_frames: dict[tuple[str, float], int] = {}
        failures: dict[str, str] = {}

        def fill_one(utterance: Utterance) -> tuple[Utterance, list[int] | AudioError]:
            try:
                return utterance, [self._num_frames(utterance, speed) for speed in speeds]
            except AudioError as error:
                return utterance, error

        with ThreadPoolExecutor() as pool:
            for utterance, result in pool.map(fill_one, utterances):
                if isinstance(result, AudioError):
                    failures[utterance.id] = str(result)
                else:
                    num_frames.update(
                        ((utterance.id, speed), count)
                        for speed, count in zip(speeds, result, strict=True)
                    )
                progress.advance()
        return num_frames, failures

    def _num_frames(self, utterance: Utterance, speed: float) -> int:
        return len(self._open(utterance, speed))

    def _open(self, utterance: Utterance, speed: float) -> Floats:
        """Returns the kept features, memory-mapped, after computing them if need be."""
        path = self._path(utterance, speed)
        try:
            return self._read(path)
        except (FileNotFoundError, ValueError):  # not there, or torn by a loss of power
            self._compute(utterance, speed, path)
        return self._read(path)

    def _read(self, path: Path) -> Floats:
        """Returns a file's features: their number of frames as 8 bytes, then the float32 values.

        Not numpy's own format: it parses a Python literal, and in Python 3.11 two threads that
        parse at once can crash each other (python/cpython#106905).

        Raises:
            ValueError: The file's size is not the one it states.
        """
        with path.open("rb") as file:
            num_frames = int.from_bytes(file.read(HEADER_BYTES), "little")
        width = self.options.num_features // self.options.stack
        if num_frames == 0 or path.stat().st_size != HEADER_BYTES + 4 * num_frames * width:
            raise ValueError(f"{path}: expected {num_frames} frames of {width} values")
        return np.memmap(path, "<f4", "r", offset=HEADER_BYTES, shape=(num_frames, width))

    def _compute(self, utterance: Utterance, speed: float, path: Path) -> None:
        features = frame_features(load_speech(utterance, speed=speed), self.options)
        header = len(features).to_bytes(HEADER_BYTES, "little")
        with replacing(path, durable=False) as aside:
            aside.write_bytes(header + features.astype("<f4").tobytes())

    def _path(self, utterance: Utterance, speed: float) -> Path:
        part = [_content_digest(utterance.audio), utterance.offset_s, utterance.duration_s, speed]
        key = hashlib.blake2b((self._settings + json.dumps(part)).encode(), digest_size=16)
        name = key.hexdigest()
        return self.folder / name[:2] / f"{name}.f32"


def _content_digest(path: Path) -> str:
    try:
        status = path.stat()
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror}") from None


@cache
def _digest(path: Path, *version: int) -> str:
    """Reads each version of a file once: epoch after epoch asks for the same key."""
    del version
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
