"""One recognizer for all requests: what arrives together is recognised together."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.transcript import Transcript
from pipelines.recognition import BatchRecognizer
from pipelines.service.recordings import read_blocks

Samples = npt.NDArray[np.float32]
Observer = Callable[[Sequence[Transcript], float], None]

LONG_S = 60.0
"""A longer recording is recognised by itself, and never held as a whole."""

# While one thread has the network, the other reads and extracts features. More share the cores
# without keeping them any busier.
_NUM_BATCH_THREADS = 2


@dataclass(slots=True)
class _Job:
    """A recording, and where its transcript is awaited."""

    path: Path
    future: Future[Transcript] = field(default_factory=Future)


_Jobs = queue.SimpleQueue[_Job | None]
"""None, which stays in it, says that nothing comes after."""


class Batcher:
    """Recognises recordings in batches, on threads of its own.

    A recording's transcript does not depend on its batch, nor does its failure: if a batch is
    refused, its recordings are recognised one by one. Long recordings wait for each other on a
    thread of their own, and nothing else waits for them.

    Args:
        recognizer: What turns samples into texts.
        max_batch: Recordings of a batch at most.
        wait_s: How long the first of a batch waits for others, in seconds.
        max_audio_s: Of a recording, in seconds.
        observe: Is given the transcripts of each batch and the seconds it took.
    """

    def __init__(
        self,
        recognizer: BatchRecognizer,
        *,
        max_batch: int,
        wait_s: float,
        max_audio_s: float,
        observe: Observer,
    ) -> None:
        self._recognizer = recognizer
        self._max_batch, self._wait_s = max_batch, wait_s
        self._max_audio_s = max_audio_s
        self._observe = observe
        self._short: _Jobs = queue.SimpleQueue()
        self._long: _Jobs = queue.SimpleQueue()
        self._collecting = threading.Lock()
        works = [self._recognise_short] * _NUM_BATCH_THREADS + [self._recognise_long]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """How many recordings wait."""
        return self._short.qsize() + self._long.qsize()

    def submit(self, path: Path, *, duration_s: float | None) -> Future[Transcript]:
        """Takes in a recording.

        Args:
            path: The file, which is to stay until the future is done.
            duration_s: How long it says it is, in seconds; None where it does not say.

        Returns:
            Its transcript; or the error, an AudioError if the recording is to blame.
        """
        job = _Job(path)
        is_short = duration_s is not None and duration_s <= LONG_S
        (self._short if is_short else self._long).put(job)
        return job.future

    def close(self, *, wait_s: float | None = None) -> None:
        """Finishes what was taken in, and ends the threads; those that take longer end with us."""
        for jobs in (self._short, self._long):
            jobs.put(None)
        for thread in self._threads:
            thread.join(wait_s)

    def _recognise_short(self) -> None:
        while jobs := self._collect():
            if live := [job for job in jobs if job.future.set_running_or_notify_cancel()]:
                start_s = time.perf_counter()
                self._tell(live, self._transcribe([self._read(job) for job in live]), start_s)

    def _recognise_long(self) -> None:
        while job := self._long.get():
            if job.future.set_running_or_notify_cancel():
                start_s = time.perf_counter()
                self._tell([job], [self._transcribe_long(job)], start_s)

    def _collect(self) -> list[_Job]:
        """Waits for short recordings; returns none when there will be no more."""
        jobs: list[_Job] = []
        end = 0.0
        with self._collecting:  # by one thread at a time: two would share out what came together
            while len(jobs) < self._max_batch:
                try:
                    job = self._short.get(
                        timeout=max(0.0, end - time.monotonic()) if jobs else None
                    )
                except queue.Empty:
                    break
                if job is None:
                    self._short.put(None)
                    break
                if not jobs:
                    end = time.monotonic() + self._wait_s
                jobs.append(job)
        return jobs

    def _read(self, job: _Job) -> Samples | Exception:
        try:
            return np.concatenate(list(read_blocks(job.path, max_audio_s=self._max_audio_s)))
        except Exception as error:  # of one recording: the thread lives on for the others
            return error

    def _transcribe(
        self, recordings: Sequence[Samples | Exception]
    ) -> Sequence[Transcript | Exception]:
        """Transcribes recordings together or, if one of them is refused, one by one."""
        readable = [one for one in recordings if not isinstance(one, Exception)]
        heard = iter(self._transcribe_batch(readable))
        return [one if isinstance(one, Exception) else next(heard) for one in recordings]

    def _transcribe_batch(self, recordings: Sequence[Samples]) -> Sequence[Transcript | Exception]:
        if not recordings:
            return []
        try:
            return self._recognizer.transcribe_batch(recordings)
        except Exception as error:  # of one batch: the thread lives on for the others
            if len(recordings) == 1:
                return [error]
        return [outcome for one in recordings for outcome in self._transcribe_batch([one])]

    def _transcribe_long(self, job: _Job) -> Transcript | Exception:
        try:
            blocks = read_blocks(job.path, max_audio_s=self._max_audio_s)
            return self._recognizer.transcribe_blocks(blocks)
        except Exception as error:  # of one recording: the thread lives on for the others
            return error

    def _tell(
        self, jobs: Sequence[_Job], outcomes: Sequence[Transcript | Exception], start_s: float
    ) -> None:
        """Counts a batch, and then tells whoever waits: the figures are never behind an answer."""
        heard = [one for one in outcomes if isinstance(one, Transcript)]
        self._observe(heard, time.perf_counter() - start_s)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Transcript):
                job.future.set_result(outcome)
            else:
                job.future.set_exception(outcome)
