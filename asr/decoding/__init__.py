"""From log-probabilities to the text they spell: numbers in, token ids out."""

from asr.decoding.alignment import Alignment, align_tokens
from asr.decoding.alternatives import best_texts
from asr.decoding.ctc_score import ctc_log_probability
from asr.decoding.decoder import check_count, check_parts, decode, n_best
from asr.decoding.fast_beam import beam_search
from asr.decoding.fusion import Fused, Fusion
from asr.decoding.fusion_tables import FusionWeights, LanguageModel
from asr.decoding.greedy import greedy_decode
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.lexicon import Lexicon
from asr.decoding.options import DecodingOptions
from asr.decoding.posteriors import log_softmax
from asr.decoding.prefix_beam import aligned
from asr.decoding.priors import less_priors, token_log_priors

__all__ = [
    "Alignment",
    "DecodingOptions",
    "Fused",
    "Fusion",
    "FusionWeights",
    "Hypothesis",
    "LanguageModel",
    "Lexicon",
    "align_tokens",
    "aligned",
    "beam_search",
    "best_texts",
    "check_count",
    "check_parts",
    "ctc_log_probability",
    "decode",
    "greedy_decode",
    "less_priors",
    "log_softmax",
    "n_best",
    "token_log_priors",
]
