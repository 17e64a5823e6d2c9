"""From settings to a decoder."""

from typing import Literal

import numpy.typing as npt

from asr.decoding import fast_beam, prefix_beam
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
    implementation: Implementation = "compiled",
) -> Hypothesis:
    """Decodes one utterance as the options say.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        options: The method and its settings.
        blank_id: Token id of the CTC blank.
        lexicon: The options' words as tokens, which only their vocabulary can make of them; None
            if they have none.
        implementation: `plain` takes the beam search that is written to be read.

    Returns:
        The best text found.

    Raises:
        DecodingError: The input is not log-probabilities, or words and lexicon do not come
            together.
    """
    if bool(options.words) != (lexicon is not None):
        raise DecodingError(
            f"expected a lexicon with the options' words and none without, received "
            f"{len(options.words)} words {'without' if lexicon is None else 'with'} a lexicon"
        )
    if options.method == "greedy":
        return greedy_decode(log_probs, blank_id=blank_id)
    search = fast_beam.beam_search if implementation == "compiled" else prefix_beam.beam_search
    return search(
        log_probs,
        blank_id=blank_id,
        beam_width=options.beam_width,
        min_token_log_prob=options.min_token_log_prob,
        lexicon=lexicon,
        count=1,
    )[0]
