"""A recognizer that hears how long recordings are, for runs whose ends are what is tested.

It meets with what its process's environment says: crashes, faults, and gates to wait at.
"""

import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.errors import DecodingError
from asr.text import TextOptions
from asr.transcript import Transcript, Word

Samples = npt.NDArray[np.float32]


class Listener:
    """Hears tenths of seconds, and is the surer the less it hears at once.

    So its numbers depend on what it is given together, as a network's do by a rounding. With nine
    tenths among them it refuses; other lengths are where it crashes, if that is asked for.

    Attributes:
        num_heard: Recordings it was given.
    """

    text = TextOptions()

    def __init__(self) -> None:
        self.num_heard = 0
        self._calls = 0

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        tenths = [round(10 * len(samples) / SAMPLE_RATE) for samples in recordings]
        self._calls += 1
        _wait(self._calls)
        if 9 in tenths:
            raise DecodingError("too much")
        _crash(tenths)
        self.num_heard += len(tenths)
        sure = 1 / (1 + sum(tenths))
        return [self.heard(len(samples), sure) for samples in recordings]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]

    def heard(self, num_samples: int, sure: float) -> Transcript:
        tenths = round(10 * num_samples / SAMPLE_RATE)
        return transcript(f"word {tenths}", f"word{tenths}", tenths / 10, probability=sure)


def transcript(
    text: str, word: str, duration_s: float, probability: float | None = None
) -> Transcript:
    return Transcript(
        text=text,
        words=(Word(text=word, start_s=0.0, end_s=duration_s, probability=probability),),
        duration_s=duration_s,
        language="en",
        log_probability=-1.0,
    )


def load_listener(*_: object, **__: object) -> Listener:
    """Stands for `pipelines.network.load_recognizer`."""
    if "NO_MODEL" in os.environ:
        _die()
    return Listener()


def _wait(call: int) -> None:
    """Waits at the gates: GATE for good, having said so; SECOND with its second part."""
    if gate := os.environ.get("GATE"):
        Path(gate).write_text("hearing")
        Path(f"{gate}.never").read_text()
    if (gate := os.environ.get("SECOND")) and call == 2:
        Path(gate).read_text()
    if gate := os.environ.get("WAIT_FOR"):
        os.write(2, b"hearing\n")  # in one piece: threads come here
        Path(gate).read_text()


def _crash(tenths: Sequence[int]) -> None:
    if 8 in tenths and "CRASH" in os.environ:
        _die()
    once = os.environ.get("CRASH_ONCE")
    if 6 in tenths and once and not Path(once).exists():
        Path(once).touch()
        _die()
    if 7 in tenths and "FAULT" in os.environ:
        raise ZeroDivisionError("of the\nlistener")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
