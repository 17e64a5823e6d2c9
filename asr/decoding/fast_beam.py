"""CTC prefix beam search as `asr.decoding.prefix_beam` writes it out, a hundred times as fast."""

import math

import numpy as np
import numpy.typing as npt

from asr.decoding.hypothesis import Hypothesis
from asr.decoding.lexicon import Lexicon
from asr.decoding.posteriors import check_tokens, checked
from asr.errors import DecodingError

_NO_WAYS = (np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32))


def beam_search(
    log_probs: npt.ArrayLike,
    *,
    blank_id: int,
    beam_width: int,
    min_token_log_prob: float = -math.inf,
    lexicon: Lexicon | None = None,
    count: int | None = None,
) -> list[Hypothesis]:
    """Finds the most probable texts, each with the sum over its alignments.

    The GIL is released meanwhile. The first call on a machine compiles for some seconds.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.
        beam_width: Prefixes kept from one step to the next.
        min_token_log_prob: A token less probable than this at a step begins nothing new there,
            unless it is the step's best.
        lexicon: The only texts there are.
        count: How many texts are returned at most; None for all that are left.

    Returns:
        What `asr.decoding.prefix_beam.beam_search` returns.

    Raises:
        DecodingError: As there.
    """
    from asr.decoding.align_kernel import place
    from asr.decoding.beam_kernel import STATE, TOTAL, search, texts

    if beam_width < 1:
        raise DecodingError(f"expected beam_width of at least 1, received {beam_width}")
    log_probs = checked(log_probs, blank_id=blank_id)
    if lexicon is not None:
        check_tokens(lexicon.tokens, log_probs.shape[1], blank_id=blank_id)
    ways = _NO_WAYS if lexicon is None else lexicon.ways()[:3]
    nodes, beam, scores = search(log_probs, blank_id, beam_width, min_token_log_prob, ways)
    totals = np.minimum(scores[:, TOTAL], 0.0)  # a sum of probabilities may round to above 1
    if lexicon is not None:
        is_text = lexicon.ways().is_end[nodes[beam, STATE]] | (beam == 0)
        beam, totals = beam[is_text], totals[is_text]
    tokens, starts = texts(nodes, beam[:count])
    found = []
    for row, total in zip(np.split(tokens, starts[1:-1]), totals.tolist(), strict=False):
        frames, _ = place(log_probs, row, blank_id)
        found.append(
            Hypothesis(
                tokens=tuple(row.tolist()), frames=tuple(frames.tolist()), log_probability=total
            )
        )
    # Where a lexicon allows nothing that was kept, blanks alone are left.
    silence = float(log_probs[:, blank_id].sum())
    return found or [Hypothesis(tokens=(), frames=(), log_probability=silence)]
