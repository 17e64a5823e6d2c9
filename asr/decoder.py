"""Where the settings of decoding, which may name words, meet the vocabulary that spells them."""

import numpy.typing as npt

from asr.decoding import DecodingOptions, Hypothesis, Lexicon, decode
from asr.errors import VocabularyError
from asr.vocabulary import Vocabulary


class Decoder:
    """Decodes as the options say, with whatever they need of the vocabulary made once.

    Args:
        options: The method and its settings.
        vocabulary: What the network's tokens spell.

    Raises:
        VocabularyError: The vocabulary cannot spell some of the options' words; they are named.
        MissingExtraError: There are words to be spelt in subwords, and the extra `subwords` is not
            installed.
    """

    def __init__(self, options: DecodingOptions, vocabulary: Vocabulary) -> None:
        self._options = options
        self._blank_id = vocabulary.blank_id
        self._lexicon = lexicon_of(options.words, vocabulary) if options.words else None

    def __call__(self, log_probs: npt.ArrayLike) -> Hypothesis:
        """Decodes one utterance.

        Args:
            log_probs: Natural log-probabilities, float [num_steps, vocab_size].

        Returns:
            The best text found.

        Raises:
            DecodingError: The input is not log-probabilities.
        """
        return decode(log_probs, self._options, blank_id=self._blank_id, lexicon=self._lexicon)


def lexicon_of(words: tuple[str, ...], vocabulary: Vocabulary) -> Lexicon:
    """Returns the texts that are these words with single spaces between them.

    Characters without a space among them can only write one word. Of subwords a word is spelt by
    the pieces it was trained with, the first of which holds the space.

    Args:
        words: At least one; normalised as the texts the network was trained on.
        vocabulary: What the network's tokens spell.

    Raises:
        VocabularyError: Some words cannot be spelt; all of them are named.
        MissingExtraError: The tokens are subwords and the extra `subwords` is not installed.
    """
    unknown = [word for word in words if not vocabulary.encodable(word)]
    if unknown:
        raise VocabularyError(
            f"decoding: expected words that the vocabulary's {len(vocabulary) - 1} "
            f"{vocabulary.kind} spell, received {', '.join(map(repr, unknown))}"
        )
    return Lexicon(map(vocabulary.encode, words), separator=_separator(vocabulary))


def _separator(vocabulary: Vocabulary) -> list[int] | None:
    if vocabulary.kind == "subwords":
        return []
    return vocabulary.encode(" ") if vocabulary.encodable(" ") else None
