"""The best texts of a search that recombines: what it dropped on its way is taken up again.

A beam that keeps every text apart is soon full of those that differ in their last words alone. One
that keeps, of prefixes with the same future, the best only (`recombination_kernel`) has room for
what differs in what is to come, and finds a better best text; but all its texts begin alike. What
was dropped is not lost, though: whatever follows the prefix that won could follow the one that was
beaten as well, at a cost that is known (the word graphs of Ney and Aubert 1994). So the best texts
are found from the end: one that is found gives others, each with one stretch of its beginning in
exchange for a beaten one.
"""

import dataclasses
import heapq
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.decoding.fast_beam import Searched, beam_search, searched
from asr.decoding.fusion import Fusion
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.lexicon import Lexicon
from asr.decoding.prefix_beam import admitted, silence

Tokens = tuple[int, ...]
Chain = tuple[int, "Chain"] | None
"""Tokens, the first of them in front of the others."""

_EXPLORED = 200
"""Texts that are scored even where fewer are wanted: costs foretell the scores roughly, and
fewer are to be the first of more."""
_MOST_BEATEN = 8
"""Of one prefix's exchanges the best so many are tried: they lead to others."""


def best_texts(
    log_probs: npt.ArrayLike,
    *,
    blank_id: int,
    beam_width: int,
    min_token_log_prob: float = -math.inf,
    lexicon: Lexicon | None = None,
    fusion: Fusion | None = None,
    count: int,
) -> list[Hypothesis]:
    """Finds the best texts, which may differ anywhere.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.
        beam_width: Prefixes kept from one step to the next.
        min_token_log_prob: As in `beam_search`.
        lexicon: The only texts there are.
        fusion: What else has a say in which texts are best.
        count: How many.

    Returns:
        Up to `count` different texts, the one of the highest score first, without `frames`, which
        cost more than all else and are wanted of few. `log_probability` is that of all alignments.

    Raises:
        DecodingError: As `beam_search`.
    """
    from asr.decoding.forward_kernel import text_log_probs

    how: Any = {
        "blank_id": blank_id,
        "beam_width": beam_width,
        "min_token_log_prob": min_token_log_prob,
        "lexicon": lexicon,
        "fusion": fusion,
    }
    if fusion is None or fusion.language_model is None:  # nothing is recombined
        found = beam_search(log_probs, count=count, **how)
        return [dataclasses.replace(one, frames=()) for one in found]
    log_probs = np.ascontiguousarray(admitted(log_probs, blank_id, beam_width, lexicon, fusion))
    end = searched(log_probs, recombine=True, remember=True, **how)
    explored = max(count, _EXPLORED)
    texts = list(itertools.islice(_texts(end, explored), explored))
    if not texts:
        return [silence(log_probs, blank_id, fusion)]
    starts = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    tokens = np.fromiter(itertools.chain.from_iterable(texts), np.int32, int(starts[-1]))
    heard = text_log_probs(log_probs, tokens, starts, blank_id)
    found = []
    every = zip(texts, heard.tolist(), fusion.finished_all(texts), strict=True)
    for text, log_prob, added in every:
        found.append(
            Hypothesis(
                tokens=text,
                frames=(),
                log_probability=min(log_prob, 0.0),
                fusion_score=added.score,
                lm_log_probability=added.language,
            )
        )
    return sorted(found, key=lambda one: -one.score)[:count]


def _texts(end: Searched, count: int) -> Iterator[Tokens]:
    """Yields different texts, about in the order of their scores, by the costs of exchanges."""
    if not len(end.ends):
        return
    from asr.decoding.prefix_kernel import PARENT, TOKEN

    parents, tokens = end.nodes[:, PARENT].tolist(), end.nodes[:, TOKEN].tolist()
    exchanges = _Exchanges(end)
    scores = end.totals + end.added[:, 0]
    number = itertools.count()
    # Of a text: its cost, its first part's node, the last step of an exchange there, and its rest.
    last = len(end.nodes)
    waiting: list[tuple[float, int, int, int, Chain]] = [
        (cost, next(number), node, last, None)
        for cost, node in zip((scores[0] - scores).tolist(), end.ends.tolist(), strict=True)
    ]
    heapq.heapify(waiting)
    cheapest = _Cheapest(count, (cost for cost, *_ in waiting))
    seen = set()
    while waiting:
        cost, _, node, limit, rest = heapq.heappop(waiting)
        while parents[node] >= 0:
            for more, other, step in exchanges.of(node):
                if step <= limit and cheapest.admits(cost + more):
                    heapq.heappush(waiting, (cost + more, next(number), other, step, rest))
            node, rest = parents[node], (tokens[node], rest)
        text = _flat(rest)
        if text not in seen:
            seen.add(text)
            yield text


class _Exchanges:
    """What may stand in the place of a prefix, by its node."""

    def __init__(self, end: Searched) -> None:
        from asr.decoding.recombination_kernel import LOSER, STEP, WINNER

        order = np.lexsort((end.behind, end.beaten[:, WINNER]))
        self._winners = end.beaten[order, WINNER]
        self._losers, self._steps = end.beaten[order, LOSER], end.beaten[order, STEP]
        self._costs = np.maximum(end.behind[order], 0.0)
        self._known: dict[int, list[tuple[float, int, int]]] = {}

    def of(self, node: int) -> list[tuple[float, int, int]]:
        """Returns the cost, the node and the step of each, the cheapest first."""
        if node not in self._known:
            first, last = np.searchsorted(self._winners, (node, node + 1)).tolist()
            best: dict[int, tuple[float, int, int]] = {}
            rows = zip(
                self._costs[first:last].tolist(),
                self._losers[first:last].tolist(),
                self._steps[first:last].tolist(),
                strict=True,
            )
            for row in rows:
                best.setdefault(row[1], row)
                if len(best) == _MOST_BEATEN:
                    break
            self._known[node] = list(best.values())
        return self._known[node]


class _Cheapest:
    """The lowest of all costs so far, as many as texts are wanted: what costs more is not."""

    def __init__(self, count: int, costs: Iterator[float]) -> None:
        self._count = count
        self._costs: list[float] = []
        for cost in costs:
            self.admits(cost)

    def admits(self, cost: float) -> bool:
        if len(self._costs) < self._count:
            heapq.heappush(self._costs, -cost)
            return True
        if -cost <= self._costs[0]:
            return False
        heapq.heapreplace(self._costs, -cost)
        return True


def _flat(chain: Chain) -> Tokens:
    found = []
    while chain is not None:
        token, chain = chain
        found.append(token)
    return tuple(found)
