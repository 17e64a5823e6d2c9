"""Recordings divided into parts that are heard, written and noted together.

Where a part ends is decided by what is in it alone. What is left of a run that was ended between
parts is therefore divided as the whole was, and gives the same results to the last digit: these
depend, by a rounding, on what the network is given at once.
"""

import contextlib
from collections.abc import Iterable, Iterator
from math import isfinite

from pipelines.inputs import Recording

MAX_RECORDINGS = 24
"""More do not make the network faster, and would be lost together."""
MAX_S = 120.0
"""Of audio, where it is known; a longer recording ends its part."""
MAX_BYTES = 4_000_000
"""About as much as that, uncompressed."""


def chunks(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """Yields the recordings in their order, some at a time."""
    chunk: list[Recording] = []
    share = 0.0
    for recording in recordings:
        chunk.append(recording)
        share += share_of(recording)
        if len(chunk) >= MAX_RECORDINGS or share >= 1:
            yield chunk
            chunk, share = [], 0.0
    if chunk:
        yield chunk


def share_of(recording: Recording) -> float:
    """Returns how much of a part a recording fills, by its length or the size of its file."""
    utterance = recording.utterance
    if utterance.duration_s is not None and isfinite(utterance.duration_s):
        return utterance.duration_s / MAX_S
    if recording.seen is not None:
        return (recording.seen.size or 0) / MAX_BYTES
    with contextlib.suppress(OSError, ValueError):
        return utterance.audio.stat().st_size / MAX_BYTES
    return 0.0
