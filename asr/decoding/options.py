"""The settings of the decoding stage."""

from dataclasses import dataclass
from typing import Literal

from asr.options import require


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingOptions:
    """How log-probabilities become a text.

    Attributes:
        method: `greedy` takes the best token of every step; `beam` sums the alignments of every
            text among the `beam_width` most probable ones.
        beam_width: Prefixes kept from one step to the next (`beam` only).
        min_token_log_prob: A token less probable than this at a step begins nothing new there
            (`beam` only). `-inf` considers every token at every step.
    """

    method: Literal["greedy", "beam"] = "greedy"
    beam_width: int = 16
    # exp(-7) is about 1 in 1000: a trained network leaves two or three tokens a step above it.
    min_token_log_prob: float = -7.0

    def __post_init__(self) -> None:
        require(self.method in ("greedy", "beam"), "method 'greedy' or 'beam'", self.method)
        require(self.beam_width >= 1, "beam_width of at least 1", self.beam_width)
        floor = self.min_token_log_prob
        require(floor <= 0, "min_token_log_prob of at most 0", floor)
