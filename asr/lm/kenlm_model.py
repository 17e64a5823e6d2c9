"""KenLM's own binary files, read by the `kenlm` package where it is installed."""

import math
from pathlib import Path
from typing import Any

from asr.errors import LanguageModelError, MissingExtraError
from asr.lm.ngram import BEGIN, END, Step

MAGIC = b"mmap lm http://kheafield.com/code"
"""How KenLM's files begin."""


class KenlmModel:
    """A model in KenLM's format; asked as `asr.lm.ngram.NgramModel` is, but word by word.

    A state is one of KenLM's. The words of such a file cannot be listed, only asked for.

    Args:
        path: A file of KenLM's `build_binary`, or ARPA.

    Attributes:
        order: The longest n-gram.
        begin_state: The state at the beginning of a sentence.
        null_state: The state without any context.

    Raises:
        MissingExtraError: The package is not installed.
        LanguageModelError: It cannot read the file.
    """

    def __init__(self, path: Path | str) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise MissingExtraError(
                f"{path} is a language model in KenLM's format, and the package kenlm, which reads "
                "it, is not installed: pip install kenlm, or give the ARPA file it was made from"
            ) from error
        try:
            self._model = kenlm.Model(str(path))
        except (OSError, RuntimeError) as error:
            raise LanguageModelError(f"{path}: KenLM cannot read this file ({error})") from None
        self._new_state = kenlm.State
        self.order: int = self._model.order
        self.begin_state = kenlm.State()
        self._model.BeginSentenceWrite(self.begin_state)
        self.null_state = kenlm.State()
        self._model.NullContextWrite(self.null_state)

    def __contains__(self, word: object) -> bool:
        return word in self._model

    def advance(self, state: Any, word: str) -> Step:
        """Reads one word; one that is not known is read as `<unk>`."""
        after = self._new_state()
        log10 = self._model.BaseScore(state, word, after)
        return Step(log10 * math.log(10), after)

    def score(self, sentence: str, *, begin: bool = True, end: bool = True) -> float:
        """Returns the natural log-probability of a sentence: `NgramModel.score`."""
        if BEGIN in sentence.split() or END in sentence.split():
            raise LanguageModelError(f"expected words of a sentence, received {sentence!r}")
        return float(self._model.score(sentence, bos=begin, eos=end)) * math.log(10)


def is_kenlm(path: Path) -> bool:
    """Whether a file begins as KenLM's do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
