"""N-gram language models: read, kept, asked, and estimated from text."""

from asr.lm.arpa import read_arpa, write_arpa
from asr.lm.binary import open_binary, write_binary
from asr.lm.corpus import Corpus
from asr.lm.entropy_pruning import prune_by_entropy
from asr.lm.estimation import estimate_model
from asr.lm.kenlm_model import KenlmModel
from asr.lm.kneser_ney import EstimationOptions
from asr.lm.ngram import NgramModel, Step
from asr.lm.opening import open_model
from asr.lm.perplexity import Perplexity, perplexity

__all__ = [
    "Corpus",
    "EstimationOptions",
    "KenlmModel",
    "NgramModel",
    "Perplexity",
    "Step",
    "estimate_model",
    "open_binary",
    "open_model",
    "perplexity",
    "prune_by_entropy",
    "read_arpa",
    "write_arpa",
    "write_binary",
]
