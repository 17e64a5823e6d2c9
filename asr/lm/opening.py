"""Language models of any form, opened by what the file is and not by what it is called."""

from pathlib import Path

from asr.lm.arpa import read_arpa
from asr.lm.binary import is_binary, open_binary
from asr.lm.kenlm_model import KenlmModel, is_kenlm
from asr.lm.ngram import NgramModel


def open_model(path: Path | str) -> NgramModel | KenlmModel:
    """Opens a file of ours, an ARPA file (packed or not), or one of KenLM's.

    Raises:
        LanguageModelError: The file is none of these, or broken.
        MissingExtraError: It is one of KenLM's, and the package `kenlm` is not installed.
        OSError: It cannot be opened.
    """
    path = Path(path)
    if is_binary(path):
        return open_binary(path)
    return KenlmModel(path) if is_kenlm(path) else read_arpa(path)
