"""Batches made ahead of the network, in a thread of their own."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence

from pipelines.batching import Batch, BatchMaker, Draw

PREFETCHED = 4
"""Batches made ahead of the network: a few even out slow ones, more would only cost memory."""


class Prefetcher:
    """Makes an epoch's batches in a thread of its own, a few ahead of their use.

    Attributes:
        waited_s: Seconds its consumer has waited for batches.
        error: What making a batch has ended with, or None.
    """

    def __init__(self, maker: BatchMaker, plan: Sequence[Sequence[Draw]], *, epoch: int) -> None:
        self.waited_s = 0.0
        self.error: Exception | None = None
        self._batches: queue.Queue[Batch | BaseException | None] = queue.Queue(PREFETCHED)
        self._stopped = threading.Event()
        arguments = (maker, plan, epoch)
        self._thread = threading.Thread(target=self._work, args=arguments, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches in order; an error met while making one is raised here."""
        try:
            while True:
                start = time.monotonic()
                batch = self._batches.get()
                self.waited_s += time.monotonic() - start
                if batch is None:
                    return
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the thread, whether or not all batches were used."""
        self._stopped.set()
        self._thread.join()  # one that waits for room looks up every tenth of a second
        with contextlib.suppress(queue.Empty):
            while True:
                self._batches.get_nowait()
        # The consumer may be a thread of the backend's that still waits for a batch.
        with contextlib.suppress(queue.Full):
            self._batches.put_nowait(None)

    def _work(self, maker: BatchMaker, plan: Sequence[Sequence[Draw]], epoch: int) -> None:
        try:
            for draws in plan:
                self._put(maker.make(draws, epoch=epoch))
                if self._stopped.is_set():
                    return
            self._put(None)
        except Exception as error:  # handed over to the consumer, who raises it
            self.error = error
            self._put(error)

    def _put(self, item: "Batch | BaseException | None") -> None:
        while not self._stopped.is_set():
            try:
                return self._batches.put(item, timeout=0.1)
            except queue.Full:
                continue
        return None
