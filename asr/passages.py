"""A long recording's log-probabilities as passages, each short enough to be decoded at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.cuts import RECORDING, CutOptions

Floats = npt.NDArray[np.float32]

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


class PassageCutter:
    """Cuts what windows give in pauses, and joins what no pause parts.

    Args:
        cuts: How long passages are.
        blank_id: Token id of the CTC blank.
        step: Samples from one step to the next.
        sample_rate: In Hz.
    """

    def __init__(self, cuts: CutOptions, *, blank_id: int, step: int, sample_rate: int) -> None:
        rate = sample_rate / step  # steps a second
        seconds = (cuts.longest_passage_s, cuts.shortest_passage_s)
        self._longest, self._shortest = (max(1, round(s * rate)) for s in seconds)
        # The step at the end of a recording of so many seconds is one more.
        self._wanted = round(cuts.passage_s * rate) + 1
        self._pause = round(_PAUSE_S * rate)
        self._is_long = False
        self._blank_id, self._step = blank_id, step
        self._held: Passage | None = None

    def push(self, log_probs: Floats, samples: Floats) -> Iterator[Passage]:
        """Takes the next stretch and yields the passages it completes.

        Args:
            log_probs: float32 [num_steps, vocab_size].
            samples: float32 [num_samples]: `step` samples a step but in the last stretch.
        """
        self._held = held = self.with_next(log_probs, samples)
        self._is_long |= len(held.log_probs) > self._wanted
        while self._is_long and (cut := self._cut(held.log_probs)):
            yield Passage(
                first_step=held.first_step,
                log_probs=held.log_probs[:cut],
                samples=held.samples[: cut * self._step],
            )
            self._held = held = Passage(
                first_step=held.first_step + cut,
                log_probs=held.log_probs[cut:],
                samples=held.samples[cut * self._step :],
            )

    def with_next(self, log_probs: Floats, samples: Floats) -> Passage:
        """Returns what is held with a stretch that may come next; changes nothing."""
        if self._held is None:
            return Passage(first_step=0, log_probs=log_probs, samples=samples)
        return Passage(
            first_step=self._held.first_step,
            log_probs=np.concatenate([self._held.log_probs, log_probs]),
            samples=np.concatenate([self._held.samples, samples]),
        )

    def finish(self) -> Iterator[Passage]:
        """Yields what is left at the end, if anything is."""
        if self._held is not None and len(self._held.log_probs):
            yield self._held
        self._held = None

    def _cut(self, log_probs: Floats) -> int | None:
        """Returns the steps before the next cut, None if that is better made later."""
        blank = log_probs[: self._longest, self._blank_id]
        cut = _pause(blank, self._shortest, max(self._pause, 1))
        if cut is None and len(log_probs) >= self._longest:
            # Nobody paused for so long: the step where a cut does least harm.
            return self._shortest + int(blank[self._shortest :].argmax())
        return cut


def passages(
    parts: Iterable[tuple[Floats, Floats]],
    *,
    blank_id: int,
    step: int,
    sample_rate: int,
    cuts: CutOptions = RECORDING,
) -> Iterator[Passage]:
    """Joins what windows give and cuts it in pauses.

    Args:
        parts: Log-probabilities [num_steps, vocab_size] and samples [num_samples] of stretches
            that follow each other; all but the last have `step` samples a step.
        blank_id: Token id of the CTC blank.
        step: Samples from one step to the next.
        sample_rate: In Hz.
        cuts: How long passages are.

    Yields:
        Passages that follow each other and leave nothing out. A pause belongs to both its sides.
    """
    cutter = PassageCutter(cuts, blank_id=blank_id, step=step, sample_rate=sample_rate)
    for log_probs, samples in parts:
        yield from cutter.push(log_probs, samples)
    yield from cutter.finish()


def _pause(blank: Floats, shortest: int, least: int) -> int | None:
    """Returns the middle of the first pause behind `shortest`; None if all are too short."""
    silent = np.concatenate([[False], blank > _SILENT, [False]])
    edges = np.flatnonzero(np.diff(silent.astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    middles = (starts + ends) // 2
    found = np.flatnonzero((ends - starts >= least) & (middles >= shortest))
    return int(middles[found[0]]) if len(found) else None


def cut_log_probs(
    log_probs: Floats, *, blank_id: int, step: int, sample_rate: int, cuts: CutOptions = RECORDING
) -> tuple[Floats, ...]:
    """Cuts log-probabilities where those of a recording heard at once are cut.

    Args:
        log_probs: float32 [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.
        step: Samples from one step to the next.
        sample_rate: In Hz.
        cuts: How long passages are.

    Returns:
        float32 [n, vocab_size] of each passage, in order.
    """
    nothing = np.broadcast_to(np.float32(0), len(log_probs) * step)
    parts = passages(
        [(log_probs, nothing)], blank_id=blank_id, step=step, sample_rate=sample_rate, cuts=cuts
    )
    return tuple(passage.log_probs for passage in parts)
