"""CTC prefix beam search as `asr.decoding.prefix_beam` writes it out, a hundred times as fast."""

import math

import numpy as np
import numpy.typing as npt

from asr.decoding.fusion import Fusion
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.lexicon import Lexicon
from asr.decoding.prefix_beam import admitted, silence

_NO_WAYS = (np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32))
_NOT_FUSED = Fusion(()).tables


def beam_search(
    log_probs: npt.ArrayLike,
    *,
    blank_id: int,
    beam_width: int,
    min_token_log_prob: float = -math.inf,
    lexicon: Lexicon | None = None,
    fusion: Fusion | None = None,
    count: int | None = None,
    recombine: bool = False,
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
        fusion: What else has a say in which texts are best.
        count: How many texts are returned at most; None for all that are left.
        recombine: Of prefixes that have the same future only the best is kept, where a language
            model is fused.

    Returns:
        What `asr.decoding.prefix_beam.beam_search` returns.

    Raises:
        DecodingError: As there.
    """
    from asr.decoding.align_kernel import place
    from asr.decoding.beam_kernel import search
    from asr.decoding.prefix_kernel import STATE, texts

    log_probs = admitted(log_probs, blank_id, beam_width, lexicon, fusion)
    ways = _NO_WAYS if lexicon is None else lexicon.ways()[:3]
    tables = _NOT_FUSED if fusion is None else fusion.tables
    is_merging = recombine and fusion is not None and fusion.language_model is not None
    room = 1 << (2 * beam_width).bit_length() if is_merging else 0
    nodes, beam, totals, ends = search(
        np.ascontiguousarray(log_probs),
        blank_id,
        beam_width,
        min_token_log_prob,
        ways,
        fusion is not None,
        tables,
        np.empty(room, np.int32),
    )
    totals = np.minimum(totals, 0.0)  # a sum of probabilities may round to above 1
    is_text = ends[:, 0] > -np.inf
    if lexicon is not None:
        is_text &= lexicon.ways().is_end[nodes[beam, STATE]] | (beam == 0)
    order = np.flatnonzero(is_text)
    order = order[np.argsort(-(totals + ends[:, 0])[order], kind="stable")][:count]
    tokens, starts = texts(nodes, beam[order])
    found = []
    for number, row in zip(order, np.split(tokens, starts[1:-1]), strict=False):
        frames, _ = place(log_probs, row, blank_id)
        found.append(
            Hypothesis(
                tokens=tuple(row.tolist()),
                frames=tuple(frames.tolist()),
                log_probability=float(totals[number]),
                fusion_score=float(ends[number, 0]),
                lm_log_probability=float(ends[number, 1]),
            )
        )
    return found or [silence(log_probs, blank_id, fusion)]
