"""Speech as it comes: its words as they are guessed, and for good when they are certain."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE
from asr.cuts import CutOptions
from asr.errors import AudioError
from asr.options import require
from asr.passages import Passage, PassageCutter
from asr.transcript import Word
from asr.windows import Window, WindowCutter

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What has become known of speech that goes on.

    Attributes:
        final: Words that have become certain since the last time; they follow those before them
            and will not change.
        partial: A guess of all words after them. The next one takes its place.
        heard_s: Seconds of sound so far, from which the words' times are counted.
    """

    final: tuple[Word, ...]
    partial: tuple[Word, ...]
    heard_s: float


class Listener:
    """Takes sound block by block and says what has been said.

    Args:
        hear: From windows to log-probabilities [num_steps, vocab_size] of the own part of each.
        read: From a passage to its words, their times counted from the recording's start.
        blank_id: Token id of the CTC blank.
        step: Samples from one of the network's steps to the next.
        cuts: Where windows and passages end.
    """

    def __init__(
        self,
        *,
        hear: Callable[[Sequence[Window]], Sequence[Floats]],
        read: Callable[[Passage], tuple[Word, ...]],
        blank_id: int,
        step: int,
        cuts: CutOptions,
    ) -> None:
        self._hear, self._read = hear, read
        self._windows = WindowCutter(cuts, step=step)
        self._passages = PassageCutter(cuts, blank_id=blank_id, step=step, sample_rate=SAMPLE_RATE)

    def listen(self, blocks: Iterable[Floats], *, interval_s: float) -> Iterator[Heard]:
        """Yields what becomes known, as `asr.Recognizer.stream` says.

        Raises:
            AudioError: There are no samples, or some are not finite floating-point numbers.
            OptionsError: `interval_s` is not above 0.
        """
        require(interval_s > 0, "interval_s above 0", interval_s)
        return self._listen(blocks, interval_s)

    def _listen(self, blocks: Iterable[Floats], interval_s: float) -> Iterator[Heard]:
        num_samples, next_s = 0, interval_s
        shown: tuple[Word, ...] = ()
        for block in blocks:
            final = self._read_windows(self._windows.push(block))
            num_samples += len(block)
            heard_s = num_samples / SAMPLE_RATE
            if not final and heard_s < next_s:
                continue
            next_s = heard_s + interval_s
            partial = self._guess()
            if final or partial != shown:
                yield Heard(final=final, partial=partial, heard_s=heard_s)
            shown = partial
        if not num_samples:
            raise AudioError("expected samples to recognise, received none")
        final = self._read_windows(self._windows.finish())
        final += self._read_all(self._passages.finish())
        if final or shown:
            yield Heard(final=final, partial=(), heard_s=num_samples / SAMPLE_RATE)

    def _read_windows(self, windows: Iterable[Window]) -> tuple[Word, ...]:
        """Returns the words of the passages that these windows complete."""
        words: tuple[Word, ...] = ()
        for window in windows:
            (log_probs,) = self._hear([window])
            words += self._read_all(self._passages.push(log_probs, window.own_samples))
        return words

    def _read_all(self, passages: Iterable[Passage]) -> tuple[Word, ...]:
        return tuple(word for passage in passages for word in self._read(passage))

    def _guess(self) -> tuple[Word, ...]:
        """Returns the words of what is not certain, as it is heard so far."""
        window = self._windows.pending
        (log_probs,) = self._hear([window])
        return self._read(self._passages.with_next(log_probs, window.own_samples))
