"""Ctrl-C as a wish to end: what is in hand is finished; who presses it again cannot wait."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

WAITING = "\nasr: finishing what is in hand; Ctrl-C again stops at once\n"


class Interruption:
    """A context in which the first interrupt sets `asked`, and the second raises KeyboardInterrupt.

    Outside the main thread, where no signal arrives, nothing changes.

    Args:
        quiet: Say nothing when it happens.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.asked = False
        self._quiet = quiet
        self._before: Any = None
        self._is_set = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._is_set:
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_set:
            signal.signal(signal.SIGINT, self._before)

    def _take(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not self._quiet and sys.stderr is not None:
            # Past the stream: whoever was interrupted may be in the middle of writing to it.
            os.write(2, WAITING.encode())
