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
        fusion_score: What a language model, the number of words and hotwords have added to the
            text, weighted; 0 where there is nothing but the network.
        lm_log_probability: Of that, the language model's natural log-probability of the text and
            its end, not weighted; 0 without one.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    log_probability: float
    fusion_score: float = 0.0
    lm_log_probability: float = 0.0

    @property
    def score(self) -> float:
        """What hypotheses are ranked by: of the network and of all that was fused with it."""
        return self.log_probability + self.fusion_score
