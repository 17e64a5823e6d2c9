"""N-gram language models: read, kept, asked, and estimated from text."""

from asr.lm.arpa import arpa_lines, read_arpa
from asr.lm.binary import open_binary, write_binary
from asr.lm.ngram import NgramModel, Step

__all__ = ["NgramModel", "Step", "arpa_lines", "open_binary", "read_arpa", "write_binary"]
