"""A long recording as windows that a network can be given one by one.

Windows are cut where the recording is quietest and overlap there: each has some sound of its
neighbours on either side, which the network hears but whose steps are thrown away. What is left of
all windows, put end to end, has one row for every step of the recording, so that nothing at a seam
is lost or said twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

MIN_S, MAX_S = 12.0, 36.0
"""Seconds of its own a window has. Networks learn from utterances of this length; longer windows
would cost no less to compute, and their statistics would mix speakers."""
CONTEXT_S = 1.0
"""Seconds heard on either side: a network's view of a step seldom reaches further."""
_FRAME_S = 0.01
_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of a recording with its surroundings.

    Attributes:
        samples: float32 [num_samples] at 16 kHz, surroundings included.
        start: Position in the recording of the first of them; a multiple of the step.
        own: Positions in the recording between which the window speaks for itself. The first is a
            multiple of the step, and so is the second unless it is the recording's end.
    """

    samples: Samples
    start: int
    own: tuple[int, int]

    @property
    def own_samples(self) -> Samples:
        """The samples of the window's own part."""
        return self.samples[self.own[0] - self.start : self.own[1] - self.start]

    def own_steps(self, num_steps: int, *, step: int) -> slice:
        """Returns which of the network's steps are the window's own.

        Args:
            num_steps: Steps the network has given for the samples.
            step: Samples from one step to the next.
        """
        end = self.start + len(self.samples)
        last = num_steps if self.own[1] == end else (self.own[1] - self.start) // step
        return slice((self.own[0] - self.start) // step, last)


def windows(blocks: Iterable[Samples], *, step: int) -> Iterator[Window]:
    """Cuts a recording into windows, holding little more than one of them at a time.

    Args:
        blocks: The recording at 16 kHz, float32 [any number of samples] each.
        step: Samples from one of the network's steps to the next.

    Yields:
        Windows whose own parts follow each other from the recording's start to its end; none for
        a recording without samples.
    """
    longest, shortest, context = (_to_step(seconds, step) for seconds in (MAX_S, MIN_S, CONTEXT_S))
    held = np.zeros(0, np.float32)
    base = begin = 0  # positions in the recording of held[0], and of the next window's own part
    for block in blocks:
        held = np.concatenate([held, block])
        # The last window may not be a scrap, so one is cut only when another follows.
        while base + len(held) - begin >= longest + shortest + context:
            own = held[begin - base : begin - base + longest]
            cut = begin + shortest + _quietest(own[shortest:], step)
            yield Window(samples=held[: cut + context - base].copy(), start=base, own=(begin, cut))
            kept_from = max(cut - context, base)
            held, base, begin = held[kept_from - base :], kept_from, cut
    yield from _last(held, base, begin, longest, context, step)


def _last(
    held: Samples, base: int, begin: int, longest: int, context: int, step: int
) -> Iterator[Window]:
    """Yields what is left at the end, in one window or two of about the same length."""
    end = base + len(held)
    if end - begin > longest:
        middle = (end - begin) // 2
        spread = longest - middle  # either half may be this much longer than the other
        own = held[begin - base + middle - spread : begin - base + middle + spread]
        cut = _floor(begin + middle - spread + _quietest(own, step), step)
        yield Window(samples=held[: cut + context - base], start=base, own=(begin, cut))
        held, base, begin = held[max(cut - context, base) - base :], max(cut - context, base), cut
    if end > begin:
        yield Window(samples=held, start=base, own=(begin, end))


def _quietest(samples: Samples, step: int) -> int:
    """Returns the middle of the quietest stretch, as a multiple of the step; the last of equals."""
    size = round(_FRAME_S * SAMPLE_RATE)
    width = round(_PAUSE_S / _FRAME_S)
    num_frames = len(samples) // size
    if num_frames <= width:
        return _floor(len(samples) // 2, step)
    energies = np.square(samples[: num_frames * size], dtype=np.float64).reshape(-1, size).sum(1)
    sums = np.cumsum(np.concatenate([[0.0], energies]))
    levels = sums[width:] - sums[:-width]
    quietest = len(levels) - 1 - int(levels[::-1].argmin())
    return _floor((quietest + width // 2) * size, step)


def _floor(position: int, step: int) -> int:
    return position // step * step


def _to_step(seconds: float, step: int) -> int:
    return max(1, round(seconds * SAMPLE_RATE / step)) * step
