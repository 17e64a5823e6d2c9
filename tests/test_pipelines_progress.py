"""Progress on a terminal, in a log, and nowhere."""

import io
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.progress import Progress, duration_text, fit, num_columns, number_text, say
from pipelines.training_log import TrainingLog


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A terminal without a file descriptor: its width comes from COLUMNS."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines a person sees at the end."""
        lines = []
        for line in self.getvalue().split("\n"):
            cells: list[str] = []
            for part in line.split("\r"):
                cells[: len(part)] = part
            lines.append("".join(cells).rstrip())
        return lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def work(stream: io.StringIO, clock: Clock, *, steps: int, step_s: float, total: int) -> Progress:
    progress = Progress(total, unit="files", label="Reading", stream=stream, clock=clock)
    with progress:
        for _ in range(steps):
            clock.now_s += step_s
            progress.advance()
    return progress


def test_a_log_gets_a_line_every_ten_seconds_and_a_last_one() -> None:
    stream = io.StringIO()
    work(stream, Clock(), steps=50, step_s=0.5, total=50)
    assert stream.getvalue().splitlines() == [
        "Reading:  40%  20/50 files  2 files/s  0:15 left",
        "Reading:  80%  40/50 files  2 files/s  0:05 left",
        "Reading: 50 files in 0:25 (2 files/s)",
    ]


def test_a_terminal_shows_one_line_and_then_the_totals(terminal: Terminal) -> None:
    clock = Clock()
    with Progress(8, unit="files", label="Reading", stream=terminal, clock=clock) as progress:
        assert terminal.screen() == ["Reading:   0%  0/8 files"]
        clock.now_s += 2
        progress.advance(note="a.wav")
        assert terminal.screen() == ["Reading:  12%  1/8 files  0.5 files/s  0:14 left  a.wav"]
        clock.now_s += 2
        progress.advance(7, note="b")
    assert terminal.screen() == ["Reading: 8 files in 0:04 (2 files/s)", ""]


def test_a_terminal_is_redrawn_at_most_ten_times_a_second(terminal: Terminal) -> None:
    work(terminal, Clock(), steps=1000, step_s=0.005, total=1000)
    assert 40 <= terminal.getvalue().count("\r") <= 55


@pytest.mark.parametrize("columns", [12, 40, 200])
def test_no_line_is_wider_than_the_terminal(
    terminal: Terminal, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    clock = Clock()
    with Progress(9, unit="files", label="Reading", stream=terminal, clock=clock) as progress:
        for _ in range(9):
            clock.now_s += 1
            progress.advance(note="語" * 150)
        drawn = terminal.getvalue().split("\r")
    assert columns - 2 <= max(num_columns(line) for line in drawn) <= columns - 1


def test_a_line_written_stands_above_the_live_one(terminal: Terminal) -> None:
    with Progress(2, unit="files", label="Reading", stream=terminal, clock=Clock()) as progress:
        progress.write("bad.wav: empty")
        assert terminal.screen() == ["bad.wav: empty", "Reading:   0%  0/2 files"]


def test_a_line_written_to_a_log_is_the_line() -> None:
    stream = io.StringIO()
    with Progress(2, unit="files", label="Reading", stream=stream, clock=Clock()) as progress:
        progress.write("bad.wav: empty")
    assert stream.getvalue().splitlines() == ["bad.wav: empty", "Reading: 0 files in 0:00"]


def test_audio_is_shown_as_time_and_speed() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(7200.0, unit="s audio", label="Training", stream=stream, clock=clock) as progress:
        clock.now_s += 30
        progress.advance(3600.0)
    assert stream.getvalue().splitlines() == [
        "Training:  50%  1:00:00 of 2:00:00 audio  120x real time  0:30 left",
        "Training: 1:00:00 audio in 0:30 (120x real time)",
    ]


def test_an_unknown_total_has_no_share_and_no_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(None, unit="batches", label="Counting", stream=stream, clock=clock) as progress:
        clock.now_s += 12
        progress.advance(3)
    assert stream.getvalue().splitlines() == [
        "Counting: 3 batches  0.25 batches/s  0:12 so far",
        "Counting: 3 batches in 0:12 (0.25 batches/s)",
    ]


def test_the_rate_forgets_a_slow_start() -> None:
    clock = Clock()
    progress = Progress(10_000, unit="files", label="x", stream=io.StringIO(), clock=clock)
    clock.now_s += 100
    progress.advance()
    for _ in range(100):
        clock.now_s += 1
        progress.advance(10)
    assert progress.rate == pytest.approx(10)
    assert progress.left_s == pytest.approx((10_000 - 1001) / 10)


def fail_after_one(stream: io.StringIO) -> None:
    with Progress(4, unit="files", label="Writing", stream=stream, clock=Clock()) as progress:
        progress.advance()
        raise RuntimeError("full disk")


def test_an_error_says_where_it_stopped_and_is_not_swallowed(terminal: Terminal) -> None:
    with pytest.raises(RuntimeError, match="full disk"):
        fail_after_one(terminal)
    assert terminal.screen() == ["Writing: stopped at 25%  1/4 files in 0:00", ""]


def test_quiet_writes_nothing_and_still_counts(terminal: Terminal) -> None:
    with Progress(4, unit="files", label="x", stream=terminal, quiet=True) as progress:
        progress.advance(3)
        progress.write("line")
    assert (terminal.getvalue(), progress.done) == ("", 3)


def test_standard_output_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, unit="files", label="Reading") as progress:
        progress.advance()
        progress.write("a line")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "a line"


def test_the_stream_is_the_standard_error_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(1, unit="files", label="Reading", clock=Clock()):
        pass
    assert stream.getvalue() == "Reading: 0 files in 0:00\n"


def test_a_terminal_that_goes_away_does_not_stop_the_work(terminal: Terminal) -> None:
    with Progress(2, unit="files", label="x", stream=terminal) as progress:
        terminal.close()
        progress.write("lost")
        progress.advance(2)
    assert progress.done == 2


def test_a_dumb_terminal_is_a_log(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    work(terminal, Clock(), steps=3, step_s=1, total=3)
    assert terminal.getvalue() == "Reading: 3 files in 0:03 (1 files/s)\n"


def test_what_is_said_meanwhile_stands_above_the_live_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    with Progress(None, unit="files", label="Reading", stream=stream):
        with Progress(None, unit="files", label="x", quiet=True):
            say("something else")
        assert stream.getvalue() == "something else\n"
    say("after it")
    assert capsys.readouterr().err == "after it\n"


def test_threads_lose_no_count() -> None:
    progress = Progress(None, unit="files", label="x", quiet=True)

    def count() -> None:
        for _ in range(500):
            progress.advance()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.done == 2000


def test_an_empty_total_is_finished() -> None:
    stream = io.StringIO()
    work(stream, Clock(), steps=0, step_s=0, total=0)
    assert stream.getvalue() == "Reading: 0 files in 0:00\n"


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3661, "1:01:01"), (90_061, "1 d 1:01:01")],
)
def test_durations(duration_s: float, text: str) -> None:
    assert duration_text(duration_s) == text


@pytest.mark.parametrize(("amount", "text"), [(1234, "1,234"), (2.0, "2"), (2.25, "2.2")])
def test_numbers(amount: float, text: str) -> None:
    assert number_text(amount) == text


@given(st.text(), st.integers(0, 30))
def test_fitted_text_fits_and_is_cut_only_when_needed(text: str, columns: int) -> None:
    fitted = fit(text, columns=columns)
    assert num_columns(fitted) <= columns
    assert "\n" not in fitted
    assert "\r" not in fitted
    if len(text) * 2 <= columns:
        assert len(fitted) == len(text)


def test_a_training_log_writes_times_as_progress_does() -> None:
    stream = io.StringIO()
    row = {
        "epoch": 1,
        "loss": 1.0,
        "dev_loss": 1.0,
        "dev_wer": 0.5,
        "waiting_share": 0.0,
        "dev_cer": 0.2,
        "speed": 90,
    }
    TrainingLog(stream=stream).epoch(row, [], is_best=False, left_s=4_440)
    assert stream.getvalue().splitlines()[-1].endswith(f"  {duration_text(4_440)}")
