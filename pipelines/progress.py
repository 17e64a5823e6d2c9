"""How far a program is and how long it will take: one live line, or a few plain ones in a log."""

import contextlib
import os
import shutil
import sys
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

LIVE_INTERVAL_S = 0.1
PLAIN_INTERVAL_S = 10.0
RATE_WINDOW_S = 60.0
AUDIO_SECONDS = "s audio"

_shown: "list[Progress]" = []
"""Those that are on a stream now, the last one on top."""


def say(line: str) -> None:
    """Prints a line on the error stream, above the live one if there is one."""
    if _shown:
        _shown[-1].write(line)
    else:
        print(line, file=sys.stderr, flush=True)


class Progress:
    """A context manager that shows progress on the error stream, never on standard output.

    On a terminal it keeps one line, fitted to the terminal's width and redrawn at most ten times
    a second. Anywhere else (a log, a pipe) it prints a plain line at most every ten seconds. Both
    end with one line of totals. The rate is that of the last minute, so a slow start, such as a
    network being compiled, does not spoil the time left. A stream that goes away, as a terminal
    does when a connection drops, ends the display and not the work. Safe to use from threads.

    Args:
        total: The amount that makes 100 %, or None if it is not known.
        unit: What is counted: `files`, `batches`, or `s audio`, which is shown as durations and
            its rate as a multiple of real time.
        label: What is being done, first on every line.
        stream: Where to write; the standard error stream of the moment if None.
        quiet: Write nothing at all.
        clock: Seconds from any origin, never going back; for tests.
    """

    def __init__(
        self,
        total: float | None,
        *,
        unit: str,
        label: str,
        stream: TextIO | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.done: float = 0
        self._unit = unit
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._open = not quiet
        self._clock = clock
        self._live = not quiet and _is_terminal(self._stream)
        self._note = ""
        self._drawn_columns = 0
        self._start_s = self._shown_s = clock()
        self._marks = deque([(self._start_s, 0.0)])
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        """Starts the clock and, on a terminal, shows the line."""
        self._start_s = self._shown_s = self._clock()
        self._marks = deque([(self._start_s, self.done)])
        if self._live:
            self._draw()
        if self._open:
            _shown.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Replaces the live line by one line of totals."""
        if self in _shown:
            _shown.remove(self)
        with self._lock:
            self._clear()
            self._print(self._summary(stopped=kind is not None))
            self._open = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._start_s

    @property
    def rate(self) -> float | None:
        """Amount per second over about the last minute; None before anything was done."""
        now_s = self._clock()
        then_s, then = self._marks[0]
        if self.done <= then or now_s <= then_s:
            return None
        return (self.done - then) / (now_s - then_s)

    @property
    def left_s(self) -> float | None:
        """Seconds the rest will take at the present rate; None if that cannot be known."""
        rate = self.rate
        if self.total is None or rate is None:
            return None
        return max(0.0, self.total - self.done) / rate

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Counts an amount as done.

        Args:
            amount: In the unit of the total.
            note: A few words for the end of the line, e.g. the file at hand; kept until the next.
        """
        with self._lock:
            now_s = self._clock()
            self.done += amount
            self._note = note or self._note
            self._mark(now_s)
            if now_s - self._shown_s >= (LIVE_INTERVAL_S if self._live else PLAIN_INTERVAL_S):
                self._shown_s = now_s
                self._show()

    def write(self, line: str) -> None:
        """Prints a line that stays, above the live one."""
        with self._lock:
            self._clear()
            self._print(line)
            if self._live:
                self._draw()

    def _mark(self, now_s: float) -> None:
        """Remembers about one moment a second, and lets go of those before the window."""
        if now_s - self._marks[-1][0] >= 1:
            self._marks.append((now_s, self.done))
        while len(self._marks) > 1 and now_s - self._marks[1][0] >= RATE_WINDOW_S:
            self._marks.popleft()

    def _show(self) -> None:
        if self._live:
            self._draw()
        else:
            self._print(self._line())

    def _line(self) -> str:
        parts = [self._amounts()]
        if self.rate is not None:
            parts.append(self._rate_text(self.rate))
        if self.left_s is not None:
            parts.append(f"{duration_text(self.left_s)} left")
        elif self.total is None:
            parts.append(f"{duration_text(self.elapsed_s)} so far")
        return f"{self._label}: " + "  ".join([*parts, self._note]).rstrip()

    def _amounts(self) -> str:
        if self.total is None:
            return self._amount_text(self.done)
        share = f"{min(1.0, self.done / self.total):4.0%}  " if self.total > 0 else ""
        if self._unit == AUDIO_SECONDS:
            return f"{share}{duration_text(self.done)} of {self._amount_text(self.total)}"
        return f"{share}{number_text(self.done)}/{self._amount_text(self.total)}"

    def _amount_text(self, amount: float) -> str:
        if self._unit == AUDIO_SECONDS:
            return f"{duration_text(amount)} audio"
        return f"{number_text(amount)} {self._unit}"

    def _rate_text(self, rate: float) -> str:
        digits = f"{rate:,.0f}" if rate >= 100 else f"{rate:.2g}"
        return f"{digits}x real time" if self._unit == AUDIO_SECONDS else f"{digits} {self._unit}/s"

    def _summary(self, *, stopped: bool) -> str:
        elapsed_s = self.elapsed_s
        amounts = self._amounts().strip() if stopped else self._amount_text(self.done)
        verb = "stopped at " if stopped else ""
        text = f"{self._label}: {verb}{amounts} in {duration_text(elapsed_s)}"
        if self.done > 0 and elapsed_s > 0:
            text += f" ({self._rate_text(self.done / elapsed_s)})"
        return text

    def _draw(self) -> None:
        # The last column is left free: some terminals wrap as soon as it is written.
        line = fit(self._line(), columns=_num_columns(self._stream) - 1)
        columns = num_columns(line)
        self._send("\r" + line + " " * (self._drawn_columns - columns))
        self._drawn_columns = columns

    def _clear(self) -> None:
        if self._drawn_columns:
            self._send("\r" + " " * self._drawn_columns + "\r")
            self._drawn_columns = 0

    def _print(self, line: str) -> None:
        self._send(line + "\n")

    def _send(self, text: str) -> None:
        if not self._open:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone, or the stream closed
            self._open = self._live = False


def duration_text(duration_s: float) -> str:
    """Returns seconds as m:ss, h:mm:ss or `2 d 3:04:05`, rounded to whole seconds."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours}:{minutes:02}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def number_text(amount: float) -> str:
    """Returns a count with separators; a fraction with one decimal."""
    return f"{amount:,.0f}" if float(amount).is_integer() else f"{amount:,.1f}"


def num_columns(text: str) -> int:
    """Returns the columns a text takes on a terminal: 2 for a wide character, 0 for a mark."""
    return sum(_columns_of(character) for character in text)


def fit(text: str, *, columns: int) -> str:
    """Returns a text as one line of at most so many columns, with an ellipsis where it is cut."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if num_columns(text) <= columns:
        return text
    kept, used = [], 0
    for character in text:
        used += _columns_of(character)
        if used > columns - 1:
            break
        kept.append(character)
    return ("".join(kept) + "…") if columns > 0 else ""


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_terminal(stream: TextIO) -> bool:
    with contextlib.suppress(ValueError):  # a closed stream
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    return False


def _num_columns(stream: TextIO) -> int:
    """Returns the terminal's width, asked again at each drawing since windows are resized."""
    with contextlib.suppress(OSError, ValueError):
        columns = os.get_terminal_size(stream.fileno()).columns
        if columns > 0:  # some remote terminals say 0
            return columns
    return shutil.get_terminal_size().columns
