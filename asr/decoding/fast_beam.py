"""CTC prefix beam search as `asr.decoding.prefix_beam` writes it out, a hundred times as fast."""

import math
from dataclasses import dataclass

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
    from asr.decoding.prefix_kernel import texts

    log_probs = admitted(log_probs, blank_id, beam_width, lexicon, fusion)
    is_merging = recombine and fusion is not None and fusion.language_model is not None
    end = searched(
        log_probs,
        blank_id=blank_id,
        beam_width=beam_width,
        min_token_log_prob=min_token_log_prob,
        lexicon=lexicon,
        fusion=fusion,
        recombine=is_merging,
    )
    tokens, starts = texts(end.nodes, end.ends[:count])
    found = []
    for number, row in enumerate(np.split(tokens, starts[1:-1]) if len(starts) > 1 else ()):
        frames, _ = place(log_probs, row, blank_id)
        found.append(
            Hypothesis(
                tokens=tuple(row.tolist()),
                frames=tuple(frames.tolist()),
                log_probability=float(end.totals[number]),
                fusion_score=float(end.added[number, 0]),
                lm_log_probability=float(end.added[number, 1]),
            )
        )
    return found or [silence(log_probs, blank_id, fusion)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """Where a search has ended.

    Attributes:
        nodes: All prefixes that were in the beam, int32 [num_nodes, ...] (`prefix_kernel`).
        ends: The nodes of those that end as texts, the one of the highest score first.
        totals: Their log-probabilities by the network.
        added: What is added to each [num_ends, 2]: all of it, and the language model's part.
        beaten: Prefixes that were dropped: what beat each, its node, and the step [num_beaten, 3].
        behind: By how much each was behind [num_beaten].
    """

    nodes: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    totals: npt.NDArray[np.float64]
    added: npt.NDArray[np.float64]
    beaten: npt.NDArray[np.int32]
    behind: npt.NDArray[np.float64]


def searched(
    log_probs: npt.NDArray[np.float64],
    *,
    blank_id: int,
    beam_width: int,
    min_token_log_prob: float,
    lexicon: Lexicon | None,
    fusion: Fusion | None,
    recombine: bool,
    remember: bool = False,
) -> Searched:
    """Searches; of prefixes that were dropped it tells if it is to remember them."""
    from asr.decoding.beam_kernel import search
    from asr.decoding.prefix_kernel import STATE

    nodes, beam, totals, added, beaten, behind = search(
        np.ascontiguousarray(log_probs),
        blank_id,
        beam_width,
        min_token_log_prob,
        _NO_WAYS if lexicon is None else lexicon.ways()[:3],
        fusion is not None,
        _NOT_FUSED if fusion is None else fusion.tables,
        np.empty(1 << (2 * beam_width).bit_length() if recombine else 0, np.int32),
        remember,
    )
    totals = np.minimum(totals, 0.0)  # a sum of probabilities may round to above 1
    is_text = added[:, 0] > -np.inf
    if lexicon is not None:
        is_text &= lexicon.ways().is_end[nodes[beam, STATE]] | (beam == 0)
    order = np.flatnonzero(is_text)
    order = order[np.argsort(-(totals + added[:, 0])[order], kind="stable")]
    return Searched(
        nodes=nodes,
        ends=beam[order],
        totals=totals[order],
        added=added[order],
        beaten=beaten,
        behind=behind[:, 0],
    )
