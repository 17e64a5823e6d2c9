"""CTC prefix beam search, written to be read: the oracle of any faster one.

After Graves, Supervised Sequence Labelling with Recurrent Neural Networks (2012), section 7.5,
and Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
Recurrent DNNs (2014), algorithm 1.
"""

import dataclasses
import functools
import heapq
import math
from collections.abc import Callable, Hashable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from asr.decoding.alignment import align_tokens
from asr.decoding.fusion import Fused, Fusion
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.lexicon import Lexicon, State
from asr.decoding.posteriors import check_tokens, checked
from asr.errors import DecodingError

Prefix = tuple[int, ...]
WaysOn = Callable[[State], Iterable[tuple[int, State]]]
"""Where a prefix stands → the tokens that may begin there at this step, and where each leads."""

ROUNDING = 1e-4
"""More than sums of the same log-probabilities in another order, in single precision, differ by."""
_NEVER = -math.inf


class _Alignments:
    """All alignments kept of one prefix, which stands at `state` of the lexicon if there is one.

    `blank` and `token` are the log-probabilities of those that end in a blank and of those that
    end in the prefix's last token.
    """

    __slots__ = ("blank", "state", "token")

    def __init__(self, state: State) -> None:
        self.state = state
        self.blank = _NEVER
        self.token = _NEVER

    @property
    def total(self) -> float:
        return _log_add(self.blank, self.token)


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

    At every step each prefix kept may go on by a blank, by its last token held, or by a new token;
    alignments that come to spell the same prefix are added up, and the `beam_width` most probable
    prefixes are kept (the lexicographically first of equals). The sum is a lower bound of the
    text's probability, and the probability itself when the beam is wide enough to drop nothing.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.
        beam_width: Prefixes kept from one step to the next.
        min_token_log_prob: A token less probable than this at a step begins nothing new there,
            unless it is the step's best. Blanks and held tokens are always followed. The default
            considers every token at every step.
        lexicon: The only texts there are: a prefix is kept only while it may still become one of
            them. A step's best token is then, for each prefix, the best that it may go on with, so
            that no word is lost because the network would rather write another.
        fusion: What else has a say in which prefixes and texts are best: the search ranks them by
            log-probability and what is added to it.
        count: How many texts are returned at most; None for all that are left.
        recombine: Of prefixes that have the same future only the best is kept, where a language
            model is fused: those that end in the same token, after the same words as far back as
            it looks. What the beam has room for then differs in what is to come, not in what was
            said long before (as in the decoder of Collobert et al., "Wav2Letter", 2016).

    Returns:
        Up to `count` different texts, best first; at least one. `log_probability` is that of
        the text over the alignments kept; `frames` are those of its best alignment. With a lexicon
        prefixes that end within a word are no texts; if no others are left, the empty text is
        returned.

    Raises:
        DecodingError: The input is not log-probabilities, `beam_width` is below 1, or the lexicon
            holds the blank or tokens outside the vocabulary.
    """
    log_probs = admitted(log_probs, blank_id, beam_width, lexicon, fusion)
    beam: dict[Prefix, _Alignments]
    beam = {(): _Alignments(lexicon.start if lexicon is not None else ())}
    beam[()].blank = 0.0
    for row in log_probs:
        ways_on = _ways_on(row, blank_id, min_token_log_prob, lexicon)
        grown = _step(beam, row.tolist(), ways_on, blank_id)
        beam = _keep_best(grown, beam_width, fusion)
        if recombine and fusion is not None and fusion.language_model is not None:
            beam = _recombined(beam, fusion)
    found = [
        _hypothesis(prefix, kept.total, fusion)
        for prefix, kept in beam.items()
        if lexicon is None or not prefix or lexicon.is_end(kept.state)
    ]
    found = [hypothesis for hypothesis in found if hypothesis.fusion_score > _NEVER]
    found.sort(key=lambda hypothesis: -hypothesis.score)  # equals keep their order
    found = found or [silence(log_probs, blank_id, fusion)]
    return [aligned(hypothesis, log_probs, blank_id) for hypothesis in found[:count]]


def admitted(
    log_probs: npt.ArrayLike,
    blank_id: int,
    beam_width: int,
    lexicon: Lexicon | None,
    fusion: Fusion | None,
) -> npt.NDArray[np.float64]:
    """Returns the log-probabilities that a beam search may begin with, or refuses its input.

    Raises:
        DecodingError: As `beam_search`.
    """
    if beam_width < 1:
        raise DecodingError(f"expected beam_width of at least 1, received {beam_width}")
    log_probs = checked(log_probs, blank_id=blank_id)
    if lexicon is not None:
        check_tokens(lexicon.tokens, log_probs.shape[1], blank_id=blank_id)
    if fusion is not None and len(fusion.pieces) != log_probs.shape[1]:
        raise DecodingError(
            f"expected log-probabilities of the {len(fusion.pieces)} tokens whose texts are fused, "
            f"received {log_probs.shape[1]}"
        )
    return log_probs


def _ways_on(
    row: npt.NDArray[np.float64], blank_id: int, floor: float, lexicon: Lexicon | None
) -> WaysOn:
    """Returns which tokens are probable enough at a step to begin there."""
    if lexicon is not None:
        return functools.partial(_ways_within, lexicon, row.tolist(), floor)
    probable = np.flatnonzero(row >= min(floor, row.max())).tolist()
    free: list[tuple[int, State]] = [(token, ()) for token in probable if token != blank_id]
    return lambda _: free


def _ways_within(
    lexicon: Lexicon, row: list[float], floor: float, state: State
) -> list[tuple[int, State]]:
    allowed = lexicon.ways_on(state)
    floor = min(floor, max((row[token] for token in allowed), default=_NEVER))
    return [way for way in allowed.items() if row[way[0]] >= floor]


def _step(
    beam: dict[Prefix, _Alignments], row: list[float], ways_on: WaysOn, blank_id: int
) -> dict[Prefix, _Alignments]:
    """Lets every prefix of the beam go on by one step in every way."""
    grown: dict[Prefix, _Alignments] = {}

    def at(prefix: Prefix, state: State) -> _Alignments:
        if prefix not in grown:
            grown[prefix] = _Alignments(state)
        return grown[prefix]

    for prefix, kept in beam.items():
        last = prefix[-1] if prefix else blank_id
        here = at(prefix, kept.state)
        here.blank = _log_add(here.blank, kept.total + row[blank_id])
        if prefix:
            here.token = _log_add(here.token, kept.token + row[last])
        for token, state in ways_on(kept.state):
            # The same letter twice needs a blank between; without one it is the letter held.
            mass = kept.blank if token == last else kept.total
            there = at((*prefix, token), state)
            there.token = _log_add(there.token, mass + row[token])
    return grown


def _keep_best(
    grown: dict[Prefix, _Alignments], beam_width: int, fusion: Fusion | None
) -> dict[Prefix, _Alignments]:
    ranked = heapq.nsmallest(beam_width, _ranked(grown, fusion))
    return {prefix: grown[prefix] for _, prefix in ranked}


def _recombined(beam: dict[Prefix, _Alignments], fusion: Fusion) -> dict[Prefix, _Alignments]:
    """Drops every prefix, best first, that gains what one before it gains and is no likelier."""
    firsts: dict[Hashable, Prefix] = {}
    kept = {}
    for prefix, alignments in beam.items():
        future = prefix[-1:], alignments.state, fusion.future(prefix)
        first = firsts.setdefault(future, prefix)
        ahead = fusion.earned(first) - fusion.earned(prefix) + ROUNDING
        if first is prefix or not (
            beam[first].blank + ahead >= alignments.blank
            and beam[first].token + ahead >= alignments.token
        ):
            kept[prefix] = alignments
    return kept


def _ranked(
    grown: dict[Prefix, _Alignments], fusion: Fusion | None
) -> Iterator[tuple[float, Prefix]]:
    for prefix, kept in grown.items():
        rank = kept.total + (fusion.so_far(prefix) if fusion is not None else 0.0)
        if rank > _NEVER:
            yield -rank, prefix


def _hypothesis(prefix: Prefix, total: float, fusion: Fusion | None) -> Hypothesis:
    added = fusion.finished(prefix) if fusion is not None else Fused(0.0, 0.0)
    return Hypothesis(
        tokens=prefix,
        frames=(),
        log_probability=min(total, 0.0),  # a sum of probabilities may round to a hair above 1
        fusion_score=added.score,
        lm_log_probability=added.language,
    )


def silence(log_probs: npt.NDArray[np.float64], blank_id: int, fusion: Fusion | None) -> Hypothesis:
    """Returns the empty text, which blanks alone spell."""
    return _hypothesis((), float(log_probs[:, blank_id].sum()), fusion)


def aligned(hypothesis: Hypothesis, log_probs: npt.ArrayLike, blank_id: int) -> Hypothesis:
    """Returns a hypothesis with the frames of its best alignment."""
    if not hypothesis.tokens:
        return hypothesis
    best = align_tokens(log_probs, hypothesis.tokens, blank_id=blank_id)
    return dataclasses.replace(hypothesis, frames=best.frames)


def _log_add(a: float, b: float) -> float:
    """Returns log(exp(a) + exp(b)) without leaving the logarithm."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))
