"""From settings to a decoder."""

from typing import Literal

import numpy.typing as npt

from asr.decoding import fast_beam, prefix_beam
from asr.decoding.fusion import Fusion
from asr.decoding.greedy import greedy_decode
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.lexicon import Lexicon
from asr.decoding.options import DecodingOptions
from asr.errors import DecodingError

Implementation = Literal["compiled", "plain"]
"""Which of the two beam searches: they find the same texts, one of them a hundred times as fast."""


def decode(
    log_probs: npt.ArrayLike,
    options: DecodingOptions,
    *,
    blank_id: int,
    lexicon: Lexicon | None = None,
    fusion: Fusion | None = None,
    implementation: Implementation = "compiled",
) -> Hypothesis:
    """Decodes one utterance as the options say.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        options: The method and its settings.
        blank_id: Token id of the CTC blank.
        lexicon: The options' words as tokens, which only their vocabulary can make of them; None
            if they have none.
        fusion: A language model or hotwords, with the weights that the options give them; None if
            there are none.
        implementation: `plain` takes the beam search that is written to be read.

    Returns:
        The best text found.

    Raises:
        DecodingError: The input is not log-probabilities, words and lexicon do not come together,
            or there is something to fuse and no beam.
    """
    if options.method == "beam":
        return n_best(
            log_probs,
            options,
            blank_id=blank_id,
            count=1,
            lexicon=lexicon,
            fusion=fusion,
            implementation=implementation,
        )[0]
    check_parts(options, lexicon, fusion)
    return greedy_decode(log_probs, blank_id=blank_id)


def n_best(
    log_probs: npt.ArrayLike,
    options: DecodingOptions,
    *,
    blank_id: int,
    count: int,
    lexicon: Lexicon | None = None,
    fusion: Fusion | None = None,
    implementation: Implementation = "compiled",
) -> list[Hypothesis]:
    """Finds the best texts of one utterance, each once, the best first.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        options: The method, which is `beam`, and its settings.
        blank_id: Token id of the CTC blank.
        count: How many, at most `options.beam_width`; fewer if the beam holds fewer.
        lexicon: As in `decode`.
        fusion: As in `decode`.
        implementation: As in `decode`.

    Raises:
        DecodingError: As in `decode`; or the method is not `beam`, or `count` is not from 1 to the
            beam's width.
    """
    check_parts(options, lexicon, fusion)
    if options.method != "beam":
        raise DecodingError(f"expected method 'beam' for several texts, received {options.method}")
    check_count(count, options)
    search = fast_beam.beam_search if implementation == "compiled" else prefix_beam.beam_search
    return search(
        log_probs,
        blank_id=blank_id,
        beam_width=options.beam_width,
        min_token_log_prob=options.min_token_log_prob,
        lexicon=lexicon,
        fusion=fusion,
        count=count,
        recombine=count == 1,  # several texts may differ in what was said long before
    )


def check_count(count: int, options: DecodingOptions) -> None:
    """Refuses to look for more texts than the beam holds prefixes.

    Raises:
        DecodingError: The count is not from 1 to the beam's width.
    """
    if not 1 <= count <= options.beam_width:
        raise DecodingError(
            f"expected a count from 1 to the beam's {options.beam_width}, received {count}"
        )


def check_parts(options: DecodingOptions, lexicon: Lexicon | None, fusion: Fusion | None) -> None:
    """Refuses settings and parts that do not belong together.

    Raises:
        DecodingError: Some do not.
    """
    if bool(options.words) != (lexicon is not None):
        raise DecodingError(
            f"expected a lexicon with the options' words and none without, received "
            f"{len(options.words)} words {'without' if lexicon is None else 'with'} a lexicon"
        )
    if fusion is not None and options.method != "beam":
        raise DecodingError(
            f"expected method 'beam' with a language model or hotwords, received {options.method!r}"
        )
    if options.closed_vocabulary and (fusion is None or fusion.language_model is None):
        raise DecodingError("expected a language model with closed_vocabulary, received none")
