"""The settings of the decoding stage."""

import collections
import math
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
        words: The only words there are, normalised as the texts the network was trained on, each
            once and without spaces (`beam` only). None of them: any text is possible.
        alpha: Weight of a language model's natural log-probabilities. This and the next two say
            nothing where there is no language model.
        beta: What every word adds to a text's score: a language model alone prefers fewer words.
        unknown_letter_log_prob: What each letter of a word that the language model does not know
            adds to its log-probability of `<unk>`, at most 0.
        prior_scale: Share of `token_log_priors` that is taken out of the network's
            log-probabilities, 0 to 1, where a language model or a list of words stands in for them
            (`beam` only).
        token_log_priors: Natural logarithm of each token's mean probability, the blank's first;
            `asr tune` measures it.
        num_rescored: How many of the beam's texts a recurrent language model reads to choose among
            them; 0 for none (`beam` only). This and the next three say nothing without one.
        rescored_alpha: Weight of the language models' natural log-probability in that choice.
        rescored_beta: What every word adds in that choice.
        recurrent_share: Share of the recurrent model's in the log-probability; the rest is that of
            the model which took part in the search.
        closed_vocabulary: Whether texts hold no other words than the language model's (`beam`
            only). Tokens below `min_token_log_prob` begin nothing even where a word needs them.
    """

    method: Literal["greedy", "beam"] = "greedy"
    beam_width: int = 16
    # exp(-7) is about 1 in 1000: a trained network leaves two or three tokens a step above it.
    min_token_log_prob: float = -7.0
    words: tuple[str, ...] = ()
    alpha: float = 0.5
    beta: float = 0.5
    # A letter of English, the others unseen, holds about 2.9 nats.
    unknown_letter_log_prob: float = -3.0
    prior_scale: float = 0.0
    token_log_priors: tuple[float, ...] = ()
    num_rescored: int = 0
    rescored_alpha: float = 0.5
    rescored_beta: float = 0.5
    recurrent_share: float = 0.5
    closed_vocabulary: bool = False

    def __post_init__(self) -> None:
        require(self.method in ("greedy", "beam"), "method 'greedy' or 'beam'", self.method)
        require(self.beam_width >= 1, "beam_width of at least 1", self.beam_width)
        # A model from a stranger may say anything; the beam's tables are made as wide as this says.
        require(self.beam_width <= 1_000_000, "beam_width up to 1000000", self.beam_width)
        floor = self.min_token_log_prob
        require(floor <= 0, "min_token_log_prob of at most 0", floor)
        require(self.method == "beam" or not self.words, "method 'beam' with words", self.method)
        broken = [word for word in self.words if word.split() != [word]]
        require(not broken, "words of at least one character and no space", broken)
        repeated = [word for word, n in collections.Counter(self.words).items() if n > 1]
        require(not repeated, "words once each", repeated)
        require(0 <= self.alpha < math.inf, "alpha from 0 on", self.alpha)
        require(math.isfinite(self.beta), "a finite beta", self.beta)
        letter = self.unknown_letter_log_prob
        require(-math.inf < letter <= 0, "a finite unknown_letter_log_prob of at most 0", letter)
        require(0 <= self.prior_scale <= 1, "prior_scale in 0..1", self.prior_scale)
        priors = self.token_log_priors
        known = all(math.isfinite(prior) and prior <= 0 for prior in priors)
        require(known, "token_log_priors that are finite and at most 0", priors)
        require(bool(priors) or not self.prior_scale, "token_log_priors with prior_scale", priors)
        require(self.num_rescored >= 0, "num_rescored of at least 0", self.num_rescored)
        most = self.beam_width if self.method == "beam" else 0
        require(self.num_rescored <= most, f"num_rescored of at most {most}", self.num_rescored)
        require(0 <= self.rescored_alpha < math.inf, "rescored_alpha from 0", self.rescored_alpha)
        require(math.isfinite(self.rescored_beta), "a finite rescored_beta", self.rescored_beta)
        share = self.recurrent_share
        require(0 <= share <= 1, "recurrent_share in 0..1", share)
        closed = self.closed_vocabulary
        require(self.method == "beam" or not closed, "no closed_vocabulary with greedy", closed)
