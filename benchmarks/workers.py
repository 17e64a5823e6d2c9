"""Engines in processes of their own, driven in turns.

Two libraries in one process fight over its threads and its memory. Here each has a process, of
which one works at a time while the others wait for a line on their standard input.
"""

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self


class Worker:
    """A process that answers one line of JSON with another: `python -m benchmarks.MODULE NAME`.

    Args:
        module: The module of `benchmarks` that calls `serve`.
        name: What the process is to be, its first argument.
    """

    def __init__(self, module: str, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        self._process.wait()

    def ask(self, **question: Any) -> Any:
        """Returns the answer to a question.

        Raises:
            SystemExit: The process has ended; its own message is on the error stream.
        """
        assert self._process.stdin is not None  # noqa: S101 - they are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process of {self.name} has ended")
        return json.loads(answer)


def serve(answer: Any) -> None:
    """Answers every line of the standard input by `answer(**question)`, until there are no more."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not to be taken for an answer
    for line in sys.stdin:
        replies.write(json.dumps(answer(**json.loads(line))) + "\n")
        replies.flush()
