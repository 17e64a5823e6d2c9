"""Parts of a run heard side by side: by threads of this process, or by processes of their own.

Both take parts from an iterator, one at a time and no more than they can hear, and give them back
as they are done, each with what became of its recordings.
"""

import contextlib
import dataclasses
import multiprocessing
import queue
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Protocol

from asr.errors import AsrError
from pipelines.hearing import Heard, Job, hear
from pipelines.inputs import Recording
from pipelines.workers import begin_worker

Part = Sequence[Recording]
HeardPart = tuple[Part, Sequence[Heard]]

_NUM_THREADS = 2
# Parts that are heard but not written yet: the next is begun before the last is on the disk.
_MAX_WAITING_PER_WORKER = 2


class Engine(Protocol):
    """Something that hears the parts of a run."""

    def hear(self, parts: Iterator[Part]) -> Generator[HeardPart, None, None]:
        """Yields the parts as they are done with; to close it is to give up the rest."""


class Threads:
    """This process: parts in their order, one being read while another is with the network.

    Args:
        job: What is to be done.

    Raises:
        AsrError: The recognizer cannot be opened.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recognizer = job.open()

    def hear(self, parts: Iterator[Part]) -> Generator[HeardPart, None, None]:
        """Yields the parts as they are done with."""
        pool = ThreadPoolExecutor(_NUM_THREADS, thread_name_prefix="recognition")
        under_way: deque[tuple[Part, Future[list[Heard]]]] = deque()
        try:
            for part in parts:
                under_way.append((part, pool.submit(hear, self._job, self._recognizer, part)))
                if len(under_way) == _NUM_THREADS:
                    first, heard = under_way.popleft()
                    yield first, heard.result()
            while under_way:
                first, heard = under_way.popleft()
                yield first, heard.result()
        finally:
            pool.shutdown(cancel_futures=True)


class Processes:
    """Several processes, each with a recognizer of its own: parts in the order they are done.

    A process that dies over a part is replaced, and the part is heard once more. If that ends it
    again, each recording of the part is heard alone, and one that ends its process then has failed.

    Args:
        job: What is to be done.
        count: How many.
    """

    def __init__(self, job: Job, count: int) -> None:
        self._job = job
        self._count = count
        self._heard: queue.Queue[HeardPart | BaseException | None]
        self._taking = threading.Lock()
        self._closing = threading.Event()

    def hear(self, parts: Iterator[Part]) -> Generator[HeardPart, None, None]:
        """Yields the parts as they are done with.

        Raises:
            AsrError: The recognizer cannot be opened.
        """
        self._heard = queue.Queue(self._count * _MAX_WAITING_PER_WORKER)
        workers = [_Worker(self._job) for _ in range(self._count)]
        threads = [
            threading.Thread(target=self._drive, args=(worker, parts), daemon=True)
            for worker in workers
        ]
        for thread in threads:
            thread.start()
        try:
            running = len(threads)
            while running:
                item = self._heard.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    running -= 1
                else:
                    yield item
        finally:
            self._close(workers, threads)

    def _drive(self, worker: "_Worker", parts: Iterator[Part]) -> None:
        """Gives a process one part after another, until there are no more."""
        try:
            while not self._closing.is_set():
                with self._taking:
                    part = next(parts, None)
                if part is None:
                    break
                heard = worker.hear(part)
                if not self._closing.is_set():
                    self._heard.put((part, heard))
            worker.end()
            self._heard.put(None)
        # It belongs to whoever waits for the parts.
        except BaseException as error:
            if not self._closing.is_set():
                self._heard.put(error)

    def _close(self, workers: Sequence["_Worker"], threads: Sequence[threading.Thread]) -> None:
        self._closing.set()
        for thread in threads:
            while thread.is_alive():
                for worker in workers:
                    worker.kill()
                with contextlib.suppress(queue.Empty):  # one may wait for room
                    while True:
                        self._heard.get_nowait()
                thread.join(0.05)


class _DeathError(Exception):
    """A process has ended without an answer; its text says how."""


class _Worker:
    """A process that hears, and is replaced when it dies."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._killed = False

    def hear(self, part: Part) -> Sequence[Heard]:
        """Returns what became of the recordings.

        Raises:
            AsrError: The recognizer cannot be opened.
        """
        # Once more as it was: where chance was to blame, its results are the same to the digit.
        for _ in range(2 if len(part) > 1 else 1):
            with contextlib.suppress(_DeathError):
                return self._ask(part)
        return [self._hear_alone(recording) for recording in part]

    def end(self) -> None:
        """Lets the process end."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join()

    def kill(self) -> None:
        """Ends the process at once, from any thread."""
        self._killed = True
        process = self._process
        if process is not None and process.is_alive():
            process.kill()

    def _hear_alone(self, recording: Recording) -> Heard:
        try:
            return self._ask([recording])[0]
        except _DeathError as death:
            return Heard(failure=str(death))

    def _ask(self, part: Part) -> Sequence[Heard]:
        if self._killed:
            raise _DeathError
        if self._pipe is None:
            self._start()
        assert self._pipe is not None  # noqa: S101 - it has just been made
        try:
            self._pipe.send([portable(recording) for recording in part])
            return self._pipe.recv()
        except (EOFError, OSError):
            raise _DeathError(f"the process that heard it ended {self._how_it_ended()}") from None

    def _start(self) -> None:
        _leave_interrupts_out()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._job), daemon=True)
        self._process.start()
        theirs.close()  # so that a death is heard of
        try:
            refusal = self._pipe.recv()
        except (EOFError, OSError):
            raise AsrError(
                f"a process that was to open the model ended {self._how_it_ended()}"
            ) from None
        if refusal is not None:
            raise refusal

    def _how_it_ended(self) -> str:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._pipe is not None  # noqa: S101 - the same
        self._pipe.close()
        self._pipe = None
        self._process.join()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"by {name}" + (", as for want of memory" if name == "SIGKILL" else "")


def _leave_interrupts_out() -> None:
    """Lets no process that this thread starts be ended by an interrupt from the terminal.

    That goes to all of them, and one that has just begun has not learnt to ignore it yet; but it
    begins with the mask of the thread that starts it.
    """
    if hasattr(signal, "pthread_sigmask"):
        # The tracker that comes with the first process would take the mask away.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def portable(recording: Recording) -> Recording:
    """Returns a recording that can go to another process: of a view of a dictionary, none can."""
    utterance = recording.utterance
    utterance = dataclasses.replace(utterance, extra=dict(utterance.extra))
    return dataclasses.replace(recording, utterance=utterance)


def _serve(pipe: Connection, job: Job) -> None:
    """Is a process that hears, until nobody asks any more."""
    begin_worker()
    try:
        recognizer = job.open()
    except AsrError as error:
        pipe.send(error)
        return
    pipe.send(None)
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(hear(job, recognizer, pipe.recv()))
