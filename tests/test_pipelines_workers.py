"""Processes that share out work: what they return, and that none outlives the program."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.workers import worker_processes

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import signal, sys, threading
from pipelines.workers import worker_processes

if __name__ == "__main__":
    # What a shell starts in the background ignores it, and so would this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with worker_processes(2) as pool:
        pool.submit(print, "ready", flush=True).result()
        threading.Event().wait()
"""


def test_results_come_back_from_other_processes() -> None:
    with worker_processes(2) as pool:
        assert os.getpid() not in set(pool.map(_pid, range(4)))
        assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_program(tmp_path: Path, ended_by: signal.Signals) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if ended_by == signal.SIGINT:  # a terminal sends it to all of them
            os.killpg(process.pid, ended_by)
        else:
            process.send_signal(ended_by)
        # Whoever is left holds the other ends of these pipes open.
        _, complaints = process.communicate(timeout=60)
    assert "SpawnProcess" not in complaints
    assert process.returncode == -ended_by


def _pid(_: int) -> int:
    return os.getpid()
