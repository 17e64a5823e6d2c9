"""A long recording's log-probabilities as passages, each short enough to be decoded at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.windows import MAX_S

Floats = npt.NDArray[np.float32]

WANTED_S, LONGEST_S = MAX_S, 60.0
"""A passage ends at the longest pause once more than the one is there; whether there is a pause or
not, before it has more than the other."""
_SHORTEST_S = 3.0
_PAUSE_S = 0.3
_SILENT = np.log(0.9)
"""Natural log-probability of the blank from which on a step counts as one of a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of a recording.

    Attributes:
        first_step: Its first step, counted from the recording's start.
        log_probs: float32 [num_steps, vocab_size].
        samples: float32 [num_samples] at 16 kHz, from its first step to its last.
    """

    first_step: int
    log_probs: Floats
    samples: Floats


def passages(
    parts: Iterable[tuple[Floats, Floats]], *, blank_id: int, step: int, sample_rate: int
) -> Iterator[Passage]:
    """Joins what windows give and cuts it in pauses.

    Args:
        parts: Log-probabilities [num_steps, vocab_size] and samples [num_samples] of stretches
            that follow each other; all but the last have `step` samples a step.
        blank_id: Token id of the CTC blank.
        step: Samples from one step to the next.
        sample_rate: In Hz.

    Yields:
        Passages that follow each other and leave nothing out. A pause belongs to both its sides.
    """
    rate = sample_rate / step  # steps a second
    longest, shortest = (max(1, round(s * rate)) for s in (LONGEST_S, _SHORTEST_S))
    # The step at the end of a recording of so many seconds is one more.
    wanted = round(WANTED_S * rate) + 1
    log_probs: Floats | None = None
    samples = np.zeros(0, np.float32)
    first_step = 0
    for new_log_probs, new_samples in parts:
        log_probs = (
            new_log_probs if log_probs is None else np.concatenate([log_probs, new_log_probs])
        )
        samples = np.concatenate([samples, new_samples])
        while len(log_probs) > wanted:
            cut = _pause(log_probs[:longest, blank_id], shortest, round(_PAUSE_S * rate))
            if cut is None:
                if len(log_probs) < longest:
                    break
                # Nobody paused for a minute: the step where a cut does least harm.
                cut = shortest + int(log_probs[shortest:longest, blank_id].argmax())
            yield Passage(
                first_step=first_step, log_probs=log_probs[:cut], samples=samples[: cut * step]
            )
            first_step += cut
            log_probs, samples = log_probs[cut:], samples[cut * step :]
    if log_probs is not None and len(log_probs):
        yield Passage(first_step=first_step, log_probs=log_probs, samples=samples)


def _pause(blank: Floats, shortest: int, least: int) -> int | None:
    """Returns the middle of the longest pause, the last of equals; None if all are too short."""
    silent = np.concatenate([[False], blank > _SILENT, [False]])
    edges = np.flatnonzero(np.diff(silent.astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    # What lies at the buffer's end may go on beyond it, and a passage needs something in it.
    lengths = np.where((starts + ends) // 2 < shortest, 0, ends - starts)
    if not len(lengths) or lengths.max() < max(least, 1):
        return None
    best = len(lengths) - 1 - int(lengths[::-1].argmax())
    return int((starts[best] + ends[best]) // 2)
