"""A function called for many things at once, by threads, its results in their order."""

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController, threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD_PER_THREAD = 32


def side_by_side(
    function: Callable[[Item], Result], items: Iterable[Item], *, num_threads: int
) -> Generator[Result, None, None]:
    """Yields what a function makes of each item, in order, while the items behind it are taken.

    The items come from the caller's thread, so what makes them goes on beside the threads that work
    on those before; 32 a thread wait at most. Meanwhile products of matrices are computed by the
    thread that asks for them: BLAS threads of their own would take the cores from the others.

    Args:
        function: May be called by several threads at once; only where it releases the GIL is
            anything gained.
        items: What it is called with.
        num_threads: How many at once; with 1 there are no threads, and nothing is taken ahead.

    Raises:
        Exception: What the function or the items raise, in their order.
    """
    coming = iter(items)
    first = list(itertools.islice(coming, 2)) if num_threads > 1 else []
    if len(first) < 2:
        yield from map(function, itertools.chain(first, coming))
        return
    waiting: deque[Future[Result]] = deque()
    with _BLAS:
        pool = ThreadPoolExecutor(num_threads, thread_name_prefix="side-by-side")
        try:
            for item in itertools.chain(first, coming):
                waiting.append(pool.submit(function, item))
                if len(waiting) > _AHEAD_PER_THREAD * num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class _SerialBlas:
    """Keeps BLAS to one thread, from the first who asks for it until the last is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_users = 0
        self._limit: threadpool_limits | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._num_users:
                self._limit = _blas().limit(limits=1, user_api="blas")
            self._num_users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._num_users -= 1
            if not self._num_users and self._limit is not None:
                self._limit.restore_original_limits()


_BLAS = _SerialBlas()


@functools.cache
def _blas() -> "ThreadpoolController":
    """Returns what sets the threads of the libraries that are loaded now, numpy's among them."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
