"""The settings by which a long recording is cut into parts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.options import require

Loudness = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
"""From samples [num_samples] at 16 kHz to a number for each whole 10 ms, small where it is quiet or
nobody speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOptions:
    """Where a long recording is cut: into windows to be heard, and into passages to be decoded.

    Attributes:
        shortest_s: Seconds of its own that a window has at least; the last may have fewer.
        longest_s: Seconds of its own that it has at most. The defaults are what networks learn
            from; longer windows would cost no less, and their statistics would mix speakers.
        before_s: Seconds of what lies before that a window hears too.
        after_s: Seconds of what follows that it hears; a network's view of a step seldom reaches
            further.
        passage_s: A recording no longer than this is one passage. Where several texts are shown,
            one no longer than `longest_s` is, since a text is one passage's.
        shortest_passage_s: In others a passage ends in the first pause once it has this; the last
            may be shorter. A language model that reads on over the end of a sentence costs more
            errors than one that begins anew within it, and a beam holds more of a short passage's
            texts.
        longest_passage_s: Pause or not, it ends before it is longer than this.
        early: Windows end in the first pause rather than where `longest_s` of sound is quietest.
        loudness: What says where windows are best cut; `asr.voice_activity.VoiceActivity` is one.
            None: energy.
    """

    shortest_s: float = 12.0
    longest_s: float = 36.0
    before_s: float = 1.0
    after_s: float = 1.0
    passage_s: float = 0.0
    shortest_passage_s: float = 2.0
    longest_passage_s: float = 60.0
    early: bool = False
    loudness: Loudness | None = None

    def __post_init__(self) -> None:
        require(0 < self.shortest_s <= self.longest_s, "0 < shortest_s <= longest_s", self)
        require(self.before_s >= 0 and self.after_s >= 0, "before_s and after_s from 0 on", self)
        longest_s = self.longest_passage_s
        require(0 <= self.passage_s <= longest_s, "passage_s from 0 to longest_passage_s", self)
        shortest_s = self.shortest_passage_s
        require(0 < shortest_s < longest_s, "0 < shortest_passage_s < longest_passage_s", self)

    @property
    def latency_s(self) -> float:
        """The most seconds of sound that must follow a word before it is certain.

        That is without any pause; where there are pauses, an `early` cut waits for the next of
        them and `after_s`.
        """
        wait_s = 0.0 if self.early else self.shortest_s
        return self.longest_passage_s + self.longest_s + self.after_s + wait_s


RECORDING = CutOptions()
"""For a recording that is there: the best text, whenever it comes."""

LIVE = CutOptions(
    shortest_s=2.0,
    longest_s=10.0,
    before_s=5.0,
    after_s=1.0,
    longest_passage_s=16.0,
    early=True,
)
"""For speech that is waited for. What lies before costs no time to wait for, so more of it is
heard: the statistics that short windows lack."""
