"""Parts of a run heard on a Ray cluster: by any of its nodes, while this program keeps the journal.

A part is one task on as many cores as it has threads; a process of the cluster opens the model once
and hears parts for as long as there are any. Nodes that join are used, and those that leave are
done without.
"""

import contextlib
import functools
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from asr.errors import AsrError, MissingExtraError
from pipelines.engines import HeardPart, Part, portable
from pipelines.hearing import Heard, Job, hear
from pipelines.inputs import Recording
from pipelines.recognition import BatchRecognizer

# What is under way for each place on the cluster: the next part is there when one is done.
_TURNS_PER_WORKER = 2
_LOOK_AT_CLUSTER_EVERY_S = 2.0
_MAX_LOSSES = 2
_PATIENCE_S = 10.0


class RayCluster:
    """A Ray cluster: parts in the order they are done.

    A part whose process or node is lost is heard once more as it was, so that its results are the
    same to the last digit. If it is lost again, each of its recordings is heard alone, and one that
    is lost then has failed.

    Args:
        job: What is to be done. Its model, and what it reads and writes by relative paths, have to
            be on the nodes in the same places.
        address: The cluster's; None for the one that RAY_ADDRESS names or that runs here, or else
            for one that is started here, of this machine alone.
        count: Parts heard at once, at most; None for as many as there are cores.
        threads: Cores for each.
    """

    def __init__(
        self, job: Job, *, address: str | None = None, count: int | None = None, threads: int = 1
    ) -> None:
        self._job = job
        self._address = address
        self._count = count
        self._threads = threads

    def hear(self, parts: Iterator[Part]) -> Generator[HeardPart, None, None]:
        """Yields the parts as they are done with.

        Raises:
            AsrError: There is no such cluster, or its nodes cannot open the recognizer.
            MissingExtraError: Ray is not installed.
        """
        ray = _ray()
        _look_for(self._address or os.environ.get("RAY_ADDRESS", ""))
        _join(ray, self._address)
        try:
            tasks = _Tasks(ray, self._job, self._threads)
            tasks.open()
            yield from self._heard(ray, tasks, _Turns(parts))
        finally:
            ray.shutdown()

    def _heard(self, ray: Any, tasks: "_Tasks", turns: "_Turns") -> Iterator[HeardPart]:
        under_way: dict[Any, _Turn] = {}
        room = _Room(ray, self._count, self._threads)
        while True:
            while len(under_way) < room.size and (turn := turns.next()) is not None:
                under_way[tasks.hear(turn.recordings)] = turn
            if not under_way:
                return
            # Not for ever: nodes may have come meanwhile.
            done, _ = ray.wait(list(under_way), timeout=_LOOK_AT_CLUSTER_EVERY_S)
            for task in done:
                turn = under_way.pop(task)
                try:
                    turn.take(tasks.result(task))
                except _LossError as loss:
                    turns.again(turn, str(loss))
                if turn.work.is_done:
                    yield turn.work.part, turn.work.in_order


@dataclass(frozen=True, slots=True)
class _Work:
    """A part, and what became of its recordings so far, by their place in it."""

    part: Part
    heard: dict[int, Heard] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return len(self.heard) == len(self.part)

    @property
    def in_order(self) -> list[Heard]:
        return [self.heard[place] for place in range(len(self.part))]


@dataclass(frozen=True, slots=True)
class _Turn:
    """Recordings of a part that are heard together, and how often they were lost before."""

    work: _Work
    places: Sequence[int]
    losses: int = 0

    @property
    def recordings(self) -> list[Recording]:
        return [self.work.part[place] for place in self.places]

    def take(self, heard: Sequence[Heard]) -> None:
        self.work.heard.update(zip(self.places, heard, strict=True))


class _Turns:
    """What is to be heard next: first what was lost, then new parts."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self._lost: deque[_Turn] = deque()

    def next(self) -> _Turn | None:
        """Returns a turn; None if there is nothing to do but wait."""
        if self._lost:
            return self._lost.popleft()
        part = next(self._parts, None)
        return None if part is None else _Turn(_Work(part), range(len(part)))

    def again(self, turn: _Turn, reason: str) -> None:
        """Takes back a turn that was lost; it has failed if there is nobody else to blame."""
        losses = turn.losses + 1
        if losses < _MAX_LOSSES:
            self._lost.append(_Turn(turn.work, turn.places, losses))
        elif len(turn.places) > 1:
            self._lost.extend(_Turn(turn.work, [place], turn.losses) for place in turn.places)
        else:
            turn.take([Heard(failure=reason)])


class _Room:
    """How many turns may be under way, as nodes come and go."""

    def __init__(self, ray: Any, count: int | None, threads: int) -> None:
        self._ray = ray
        self._count = count
        self._threads = threads
        self._size = 0
        self._looked_s = -_LOOK_AT_CLUSTER_EVERY_S

    @property
    def size(self) -> int:
        if self._count is not None:
            return self._count
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_AT_CLUSTER_EVERY_S:
            resources: Mapping[str, float] = self._ray.cluster_resources()
            cores = int(resources.get("CPU", 0))
            self._size = max(1, cores // self._threads) * _TURNS_PER_WORKER
            self._looked_s = now_s
        return self._size


class _LossError(Exception):
    """A task has ended without an answer; its text says how."""


class _Tasks:
    """What the cluster's processes are asked to do."""

    def __init__(self, ray: Any, job: Job, threads: int) -> None:
        self._ray = ray
        # Lost tasks are ours to repeat: Ray would send one that ends its process round the cluster.
        options = ray.remote(num_cpus=threads, max_retries=0)
        self._hear = options(_hear)
        self._open = options(_open)
        self._about = (ray.cloudpickle.dumps(job), os.getcwd())

    def open(self) -> None:
        """Makes sure that the recognizer can be opened, before recordings are blamed for it.

        Raises:
            AsrError: It cannot.
        """
        for losses in range(1, _MAX_LOSSES + 1):
            try:
                self.result(self._open.remote(*self._about))
            except _LossError as loss:
                if losses == _MAX_LOSSES:
                    raise AsrError(f"opening the model: {loss}") from None
            else:
                return

    def hear(self, recordings: Sequence[Recording]) -> Any:
        """Returns a task that hears recordings together."""
        return self._hear.remote(*self._about, [portable(one) for one in recordings])

    def result(self, task: Any) -> Any:
        """Returns what a task has found out.

        Raises:
            AsrError: The recognizer cannot be opened there.
            _LossError: Its process or its node was lost.
        """
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(task)
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, AsrError):
                raise cause from None
            raise AsrError(
                f"a node of the cluster cannot do this: {type(cause).__name__}: {cause}"
            ) from None
        except exceptions.RayError as error:
            reason = "for want of memory" if isinstance(error, exceptions.OutOfMemoryError) else ""
            raise _LossError(
                "a process of the Ray cluster ended over it, and so did the next "
                f"({reason or type(error).__name__})"
            ) from None


def _ray() -> Any:
    # Read at import. Nothing is told to Ray's makers, and nothing about GPUs to its users.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.cloudpickle
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs Ray ({error}): pip install 'bilstm-asr[ray]'"
        ) from None
    return ray


def _look_for(address: str) -> None:
    """Refuses an address where nothing answers: Ray itself would try for minutes.

    Raises:
        AsrError: Nothing answers.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        place = (parts.hostname, parts.port)
    except ValueError:  # what it is then, Ray says
        return
    if None in place:  # such as `auto`
        return
    try:
        socket.create_connection(place, timeout=_PATIENCE_S).close()
    except OSError as error:
        raise AsrError(f"no Ray cluster answers at {address}: {error}") from None


def _join(ray: Any, address: str | None) -> None:
    """Connects to a cluster, without Ray's own words about it."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    # It raises whatever its parts do, down to AssertionError.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise AsrError(f"no Ray cluster at {address or 'RAY_ADDRESS'}: {reason}") from None


def _open(job: bytes, folder: str) -> None:
    """On a node: opens the recognizer."""
    _opened(job, folder)


def _hear(job: bytes, folder: str, part: Part) -> list[Heard]:
    """On a node: hears a part."""
    return hear(*_opened(job, folder), part)


@functools.lru_cache(maxsize=1)
def _opened(pickled: bytes, folder: str) -> tuple[Job, BatchRecognizer]:
    import ray.cloudpickle

    with contextlib.suppress(OSError):  # relative paths then fail, each with its name
        os.chdir(folder)
    job: Job = ray.cloudpickle.loads(pickled)
    return job, job.open()
