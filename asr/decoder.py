"""Where the settings of decoding, which may name words, meet the vocabulary that spells them."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy.typing as npt

from asr.cores import available_cores
from asr.decoding import (
    DecodingOptions,
    Fusion,
    FusionWeights,
    Hypothesis,
    LanguageModel,
    Lexicon,
    aligned,
    best_texts,
    check_count,
    check_parts,
    decode,
    less_priors,
    n_best,
)
from asr.errors import DecodingError, VocabularyError
from asr.rescoring import TextScorer, rescored
from asr.vocabulary import Vocabulary


class Decoder:
    """Decodes as the options say, with whatever they need of the vocabulary made once.

    Args:
        options: The method and its settings.
        vocabulary: What the network's tokens spell.
        language_model: How likely words are after one another, such as `asr.lm.NgramModel`.
        hotwords: Words and phrases to be expected, each with what it adds to a text's natural
            log-probability where it is heard, above 0. Normalised as the texts the network was
            trained on.
        rescorer: Chooses among the best `num_rescored` texts, such as `asr.lm.LstmModel`.

    Raises:
        DecodingError: There is a language model of either kind, or are hotwords, and the method is
            not `beam`; a closed vocabulary and no language model; a language model that is not laid
            out as arrays, as KenLM's are; a hotword's weight is not above 0; or there are priors of
            another number of tokens than the vocabulary's.
        VocabularyError: The vocabulary cannot spell some of the options' words or of the hotwords;
            they are named.
        MissingExtraError: There are words to be spelt in subwords, and the extra `subwords` is not
            installed.
    """

    def __init__(
        self,
        options: DecodingOptions,
        vocabulary: Vocabulary,
        language_model: LanguageModel | None = None,
        hotwords: Mapping[str, float] | None = None,
        rescorer: TextScorer | None = None,
    ) -> None:
        if rescorer is not None and options.method != "beam":
            raise DecodingError(
                f"expected method 'beam' with a recurrent language model, received {options.method}"
            )
        self._options = options
        self._vocabulary = vocabulary
        self._has_language_model = language_model is not None
        self._rescorer = rescorer if options.num_rescored else None
        self._blank_id = vocabulary.blank_id
        self._lexicon = lexicon_of(options.words, vocabulary) if options.words else None
        self._fusion = _fusion_of(options, vocabulary, language_model, hotwords or {})
        check_parts(options, self._lexicon, self._fusion)
        knows_more = language_model is not None or bool(options.words)
        self._prior_scale = options.prior_scale if knows_more and options.method == "beam" else 0.0
        if self._prior_scale and len(options.token_log_priors) != len(vocabulary):
            raise DecodingError(
                f"expected token_log_priors of the vocabulary's {len(vocabulary)} tokens, received "
                f"{len(options.token_log_priors)}; asr tune measures them"
            )

    def __call__(self, log_probs: npt.ArrayLike) -> Hypothesis:
        """Decodes one utterance.

        Args:
            log_probs: Natural log-probabilities, float [num_steps, vocab_size].

        Returns:
            The best text found.

        Raises:
            DecodingError: The input is not log-probabilities.
        """
        if self._rescorer is not None:
            return self.n_best(log_probs, 1)[0]
        return decode(
            self._less_priors(log_probs),
            self._options,
            blank_id=self._blank_id,
            lexicon=self._lexicon,
            fusion=self._fusion,
        )

    def batch(
        self, log_probs: Sequence[npt.ArrayLike], *, num_threads: int | None = None
    ) -> list[Hypothesis]:
        """Decodes several utterances, side by side; the results are those of one after another.

        Args:
            log_probs: Of each utterance, float [num_steps, vocab_size].
            num_threads: How many at once; None for as many as there are processors.

        Raises:
            DecodingError: The input is not log-probabilities.
        """
        num_threads = min(num_threads or available_cores(), len(log_probs))
        if num_threads <= 1:
            return [self(row) for row in log_probs]
        with ThreadPoolExecutor(num_threads) as pool:  # the compiled search releases the GIL
            return list(pool.map(self, log_probs))

    def n_best(self, log_probs: npt.ArrayLike, count: int) -> list[Hypothesis]:
        """Finds the best texts of one utterance.

        Args:
            log_probs: Natural log-probabilities, float [num_steps, vocab_size].
            count: How many, from 1 to the beam's width; fewer if fewer are found.

        Returns:
            Different texts, the one of the highest `score` first. `log_probability` is the
            network's (the acoustic score) without the priors, if the options take them out,
            `lm_log_probability` the language model's, and `score` the first with all that was
            fused, weighted. With a language model they may differ anywhere.

        Raises:
            DecodingError: The input is not log-probabilities, the method is not `beam`, or there
                cannot be so many.
        """
        if self._rescorer is None and not self._has_language_model:
            return n_best(
                self._less_priors(log_probs),
                self._options,
                blank_id=self._blank_id,
                count=count,
                lexicon=self._lexicon,
                fusion=self._fusion,
            )
        check_count(count, self._options)
        num_texts = 0 if self._rescorer is None else self._options.num_rescored
        found = self.candidates(log_probs, max(count, num_texts))
        if self._rescorer is not None:
            found = rescored(
                found,
                [self._vocabulary.decode(one.tokens) for one in found],
                self._options,
                self._rescorer,
                has_language_model=self._has_language_model,
            )
        heard = self._less_priors(log_probs)
        return [aligned(one, heard, self._blank_id) for one in found[:count]]

    def candidates(self, log_probs: npt.ArrayLike, count: int) -> list[Hypothesis]:
        """Finds the texts that a recurrent language model is to choose among.

        Args:
            log_probs: Natural log-probabilities, float [num_steps, vocab_size].
            count: How many at most.

        Returns:
            Different texts, without frames, the one of the highest `score` first, which is the one
            found without a second choice: they may differ anywhere (`asr.decoding.alternatives`).

        Raises:
            DecodingError: As `n_best`.
        """
        options = self._options
        if options.method != "beam":
            raise DecodingError(f"expected method 'beam' for several texts: {options.method}")
        return best_texts(
            self._less_priors(log_probs),
            blank_id=self._blank_id,
            beam_width=options.beam_width,
            min_token_log_prob=options.min_token_log_prob,
            lexicon=self._lexicon,
            fusion=self._fusion,
            count=count,
        )

    def _less_priors(self, log_probs: npt.ArrayLike) -> npt.ArrayLike:
        if not self._prior_scale:
            return log_probs
        priors = self._options.token_log_priors
        return less_priors(log_probs, priors, scale=self._prior_scale)


def lexicon_of(words: tuple[str, ...], vocabulary: Vocabulary) -> Lexicon:
    """Returns the texts that are these words with single spaces between them.

    Characters without a space among them can only write one word. Of subwords a word is spelt by
    the pieces it was trained with, the first of which holds the space; of sounds, by each of its
    pronunciations.

    Args:
        words: At least one; normalised as the texts the network was trained on.
        vocabulary: What the network's tokens spell.

    Raises:
        VocabularyError: Some words cannot be spelt, or some sound alike; all of them are named.
        MissingExtraError: The tokens are subwords and the extra `subwords` is not installed.
    """
    unknown = [word for word in words if not vocabulary.encodable(word)]
    if unknown:
        raise VocabularyError(
            f"decoding: expected words that the vocabulary's {len(vocabulary) - 1} "
            f"{vocabulary.kind} spell, received {', '.join(map(repr, unknown))}"
        )
    pronunciations = vocabulary.pronunciations
    if pronunciations is not None and (pairs := pronunciations.alike(words)):
        alike = ", ".join(f"{word} like {first}" for first, word in pairs)
        raise VocabularyError(f"decoding: expected words that sound different, received {alike}")
    spellings = (spelling for word in words for spelling in vocabulary.spellings(word))
    return Lexicon(spellings, separator=vocabulary.separator)


def _fusion_of(
    options: DecodingOptions,
    vocabulary: Vocabulary,
    language_model: LanguageModel | None,
    hotwords: Mapping[str, float],
) -> Fusion | None:
    if language_model is None and not hotwords:
        return None
    if vocabulary.kind == "sounds":
        raise DecodingError(
            "expected a network that writes letters with a language model or hotwords, received "
            "one that writes sounds, which are read by a list of words"
        )
    if language_model is not None and not hasattr(language_model, "arrays"):
        raise DecodingError(
            "expected a language model whose arrays the beam search can walk (an ARPA file, or "
            f"what was made of one), received a {type(language_model).__name__}"
        )
    for text, weight in hotwords.items():
        if not text or text != " ".join(text.split()):
            raise DecodingError(
                f"hotwords: expected words with single spaces between them, received {text!r}"
            )
        if not 0 < weight < math.inf:
            raise DecodingError(f"hotwords: expected weights above 0, received {weight} of {text}")
    unknown = [text for text in hotwords if not vocabulary.encodable(text)]
    if unknown:
        raise VocabularyError(
            f"hotwords: expected words that the vocabulary's {len(vocabulary) - 1} "
            f"{vocabulary.kind} spell, received {', '.join(map(repr, unknown))}"
        )
    return Fusion(
        ["", *map(vocabulary.piece, range(1, len(vocabulary)))],
        language_model=language_model,
        weights=FusionWeights(
            options.alpha,
            options.beta,
            options.unknown_letter_log_prob,
            options.closed_vocabulary,
        ),
        hotwords=hotwords,
    )
