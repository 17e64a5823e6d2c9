"""What a decoder makes of one utterance."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One text that the log-probabilities of an utterance may spell.

    Attributes:
        tokens: Token ids of the text, without blanks and with repeats collapsed.
        frames: For every token the network step, from 0, at which it was emitted: of the run of
            steps that spell the token on the best alignment, the one where the token is most
            probable (the first of equals). Strictly increasing.
        log_probability: Natural logarithm of the probability, at most 0. What it is the
            probability of (one alignment, or the text) is the decoder's to say.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    log_probability: float
