"""Features on disk, keyed by what they were made from.

A key is a digest of the recording's bytes, the stretch used, the speed and every feature setting:
change any of them and other files are used; change none and nothing is computed twice, whatever
the files are called and wherever they have moved.
"""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.cores import available_cores
from asr.errors import AudioError, TrainingError
from asr.features import FeatureOptions, frame_features
from asr.files import replacing
from asr.manifest import Utterance
from asr.options import to_table
from pipelines.progress import Progress
from pipelines.speech import Stretch, at_speed, load_speech
from pipelines.workers import worker_processes

Floats = npt.NDArray[np.float32]

FORMAT = 2
"""Raised whenever the same settings would give other numbers."""

HEADER_BYTES = 8

_MANY = 200  # utterances; fewer are done before other processes have imported what they need

_PRIOR = ("prior_frames", "prior_mean", "prior_deviation")

Compute = Callable[[Stretch, Mapping[float, Path]], dict[float, int]]
"""Computes a stretch's features at each speed to a path; returns num_frames by speed."""


class FeatureStore:
    """A folder of features that fills itself.

    Args:
        folder: Where to keep them.
        options: Feature settings. What is kept is `asr.features.frame_features`: unstacked, so
            that augmentation can work on single frames. `stack` and `lead_s` are not part of the
            key, nor is a prior that is not used.
    """

    def __init__(self, folder: Path, options: FeatureOptions) -> None:
        self.folder = folder
        self.options = options
        settings = to_table(options)
        for name in ("stack", "lead_s", *(() if options.prior else _PRIOR)):
            settings.pop(name)
        self._width = options.num_features // options.stack
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
        """Computes whatever is missing, on all cores; a recording is read once for all speeds.

        Returns:
            num_frames by utterance id and speed; and, by id, why a recording could not be read.

        Raises:
            TrainingError: A process that computes features was ended from outside.
        """
        speeds = tuple(speeds)
        num_frames: dict[tuple[str, float], int] = {}
        failures: dict[str, str] = {}
        with self._computing(len(utterances)) as compute:

            def fill_one(utterance: Utterance) -> dict[float, int] | AudioError:
                try:
                    return self._fill_one(utterance, speeds, compute)
                except AudioError as error:
                    return error

            # Threads, as many as keep the processes busy, look up what is there already.
            with _cancelling(ThreadPoolExecutor(available_cores() + 2)) as pool:
                for utterance, result in zip(
                    utterances, pool.map(fill_one, utterances), strict=True
                ):
                    if isinstance(result, AudioError):
                        failures[utterance.id] = str(result)
                    else:
                        for speed, count in result.items():
                            num_frames[utterance.id, speed] = count
                    progress.advance()
        return num_frames, failures

    @contextlib.contextmanager
    def _computing(self, num_utterances: int) -> Iterator[Compute]:
        """Yields what computes features: processes for many utterances, this one for a few."""
        if num_utterances < _MANY:
            yield functools.partial(compute_features, options=self.options)
            return
        with worker_processes(available_cores()) as pool:

            def compute(stretch: Stretch, paths: Mapping[float, Path]) -> dict[float, int]:
                return pool.submit(compute_features, stretch, paths, self.options).result()

            try:
                yield compute
            except BrokenProcessPool:
                raise TrainingError(
                    "a process that computes features was ended from outside, perhaps for want of "
                    "memory: what was computed is kept, run the same command again"
                ) from None

    def _fill_one(
        self, utterance: Utterance, speeds: Iterable[float], compute: Compute
    ) -> dict[float, int]:
        """Returns num_frames by speed, after computing what is missing."""
        paths = {speed: self._path(utterance, speed) for speed in speeds}
        counts = {speed: self._num_frames(path) for speed, path in paths.items()}
        missing = {speed: paths[speed] for speed, count in counts.items() if not count}
        return counts | compute(Stretch.of(utterance), missing) if missing else counts

    def _open(self, utterance: Utterance, speed: float) -> Floats:
        """Returns the kept features, memory-mapped, after computing them if need be."""
        path = self._path(utterance, speed)
        if not self._num_frames(path):
            compute_features(Stretch.of(utterance), {speed: path}, self.options)
        return self._read(path)

    def _num_frames(self, path: Path) -> int:
        """Returns the frames in a file; 0 if it is not there, or was torn by a loss of power."""
        try:
            with path.open("rb") as file:
                num_frames = int.from_bytes(file.read(HEADER_BYTES), "little")
                num_bytes = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return 0
        return num_frames if num_bytes == HEADER_BYTES + 4 * num_frames * self._width else 0

    def _read(self, path: Path) -> Floats:
        """Returns a file's features: their number of frames as 8 bytes, then the float32 values.

        Not numpy's own format: it parses a Python literal, and in Python 3.11 two threads that
        parse at once can crash each other (python/cpython#106905).
        """
        shape = (self._num_frames(path), self._width)
        return np.memmap(path, "<f4", "r", offset=HEADER_BYTES, shape=shape)

    def _path(self, utterance: Utterance, speed: float) -> Path:
        part = [_content_digest(utterance.audio), utterance.offset_s, utterance.duration_s, speed]
        part += [] if utterance.channel is None else [utterance.channel]
        key = hashlib.blake2b((self._settings + json.dumps(part)).encode(), digest_size=16)
        name = key.hexdigest()
        return self.folder / name[:2] / f"{name}.f32"


def compute_features(
    stretch: Stretch, paths: Mapping[float, Path], options: FeatureOptions
) -> dict[float, int]:
    """Reads a stretch once and writes its features at each speed to the speed's path.

    Returns:
        num_frames by speed.

    Raises:
        AudioError: The recording cannot be read.
    """
    samples = load_speech(stretch)
    num_frames = {}
    for speed, path in paths.items():
        features = frame_features(at_speed(samples, speed), options)
        header = len(features).to_bytes(HEADER_BYTES, "little")
        with replacing(path, durable=False) as aside:
            aside.write_bytes(header + features.astype("<f4", copy=False).tobytes())
        num_frames[speed] = len(features)
    return num_frames


@contextlib.contextmanager
def _cancelling(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """Ends a pool without doing what still waits, unlike the pool's own `with`."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _content_digest(path: Path) -> str:
    try:
        status = path.stat()
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror}") from None


@functools.cache
def _digest(path: Path, *version: int) -> str:
    """Reads each version of a file once: epoch after epoch asks for the same key."""
    del version
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
