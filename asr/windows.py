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
from asr.cuts import RECORDING, CutOptions
from asr.errors import AudioError

Samples = npt.NDArray[np.float32]

_FRAME_S = 0.01
_FRAME = round(_FRAME_S * SAMPLE_RATE)
_PAUSE_S = 0.3
_EARLY_PAUSE_S = 0.4
_PAUSE_SHARE = 0.03
"""Of the mean power so far, what a pause has at most: 15 dB less."""


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


class WindowCutter:
    """Cuts a recording that comes block by block, holding little more than one window of it.

    Where it cuts does not depend on the blocks' lengths.

    Args:
        cuts: How long windows are, and what they hear of their neighbours.
        step: Samples from one of the network's steps to the next.
    """

    def __init__(self, cuts: CutOptions, *, step: int) -> None:
        self._step = step
        self._longest, self._shortest = (
            max(1, round(seconds * SAMPLE_RATE / step)) * step
            for seconds in (cuts.longest_s, cuts.shortest_s)
        )
        self._before = round(cuts.before_s * SAMPLE_RATE / step) * step
        # At least a step: only a recording's end has a window that nothing follows.
        self._after = max(1, round(cuts.after_s * SAMPLE_RATE / step)) * step
        self._early = cuts.early
        self._loudness = cuts.loudness or _energies
        self._held = np.zeros(0, np.float32)
        # Positions in the recording of the first sample held, and of the next window's own part.
        self._base = self._begin = 0

    @property
    def pending(self) -> Window:
        """What has come since the last cut, with what lies before it."""
        return Window(samples=self._held, start=self._base, own=(self._begin, self._end))

    def push(self, block: Samples) -> Iterator[Window]:
        """Takes the next block, float32 [num_samples], and yields the windows it completes.

        Raises:
            AudioError: The block is not one row of floating-point numbers.
        """
        block = np.asarray(block)
        if block.ndim != 1 or not np.issubdtype(block.dtype, np.floating):
            raise AudioError(
                f"expected blocks of floating-point samples [num_samples], received {block.dtype} "
                f"of shape {block.shape}"
            )
        self._held = np.concatenate([self._held, block.astype(np.float32, copy=False)])
        while (cut := self._cut()) is not None:
            yield self._window(cut)

    def finish(self) -> Iterator[Window]:
        """Yields what is left at the end, in one window or two of about the same length."""
        length = self._end - self._begin
        if length > self._longest:
            middle = length // 2
            spread = self._longest - middle  # either half may be this much longer than the other
            own = self._own(length)[middle - spread : middle + spread]
            cut = self._begin + middle - spread + self._quietest(own)
            yield self._window(_floor(cut, self._step))
        if self._end > self._begin:
            yield self.pending
            self._begin = self._end

    @property
    def _end(self) -> int:
        return self._base + len(self._held)

    def _own(self, length: int) -> Samples:
        first = self._begin - self._base
        return self._held[first : first + length]

    def _cut(self) -> int | None:
        """Returns where the next window's own part ends, None while that cannot be said."""
        heard = self._end - self._begin - self._after
        if self._early:
            own = self._own(min(heard, self._longest))
            pause = self._first_pause(own) if heard > 0 else None
            if pause is not None:
                return self._begin + pause
        # The last window may not be a scrap, so one is cut only when another follows.
        if heard < self._longest + (0 if self._early else self._shortest):
            return None
        own = self._own(self._longest)[self._shortest :]
        return self._begin + self._shortest + self._quietest(own)

    def _first_pause(self, samples: Samples) -> int | None:
        """Returns the middle of the first quiet stretch of a window, as a multiple of the step.

        Quiet is what is far below the mean of all before it.
        """
        levels = self._loudness(samples)
        width = round(_EARLY_PAUSE_S / _FRAME_S)
        if len(levels) < width:
            return None
        sums = np.cumsum(np.concatenate([[0.0], levels]))
        stretches = (sums[width:] - sums[:-width]) / width
        means = sums[width:] / np.arange(width, len(levels) + 1)
        middles = (np.arange(len(stretches)) + width // 2) * _FRAME
        late = middles >= max(self._shortest, self._step)
        quiet = np.flatnonzero((stretches < _PAUSE_SHARE * means) & late)
        return _floor(int(middles[quiet[0]]), self._step) if len(quiet) else None

    def _quietest(self, samples: Samples) -> int:
        """Returns the middle of the quietest stretch, as a multiple of the step.

        Of equals it is the last.
        """
        levels = self._loudness(samples)
        width = round(_PAUSE_S / _FRAME_S)
        if len(levels) <= width:
            return _floor(len(samples) // 2, self._step)
        sums = np.cumsum(np.concatenate([[0.0], levels]))
        stretches = sums[width:] - sums[:-width]
        quietest = len(stretches) - 1 - int(stretches[::-1].argmin())
        return _floor((quietest + width // 2) * _FRAME, self._step)

    def _window(self, cut: int) -> Window:
        """Returns the window whose own part ends there, and goes on to the next."""
        samples = self._held[: cut + self._after - self._base].copy()
        window = Window(samples=samples, start=self._base, own=(self._begin, cut))
        base = max(cut - self._before, self._base)
        self._held = self._held[base - self._base :]
        self._base, self._begin = base, cut
        return window


def windows(
    blocks: Iterable[Samples], *, step: int, cuts: CutOptions = RECORDING
) -> Iterator[Window]:
    """Cuts a recording into windows, holding little more than one of them at a time.

    Args:
        blocks: The recording at 16 kHz, float32 [any number of samples] each.
        step: Samples from one of the network's steps to the next.
        cuts: How long windows are, and what they hear of their neighbours.

    Yields:
        Windows whose own parts follow each other from the recording's start to its end; none for
        a recording without samples.

    Raises:
        AudioError: A block is not one row of floating-point numbers.
    """
    cutter = WindowCutter(cuts, step=step)
    for block in blocks:
        yield from cutter.push(block)
    yield from cutter.finish()


def _floor(position: int, step: int) -> int:
    return position // step * step


def _energies(samples: Samples) -> npt.NDArray[np.float64]:
    """Returns the energy of every whole 10 ms."""
    whole = samples[: len(samples) // _FRAME * _FRAME].astype(np.float64)
    return np.asarray(np.square(whole).reshape(-1, _FRAME).sum(1))
