"""The best candidates so far for the next beam: a heap with the worst on top; compiled."""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled_borrowing
from asr.decoding.prefix_kernel import precedes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Heap = tuple[Floats, Ints]
"""float64 [beam_width, 2] and int32 [beam_width, 2]: of each candidate what it is ranked by and its
log-probability, and the node that it is, or grows from by a token (NONE where it is the node)."""

RANK, ACOUSTIC = range(2)


@compiled_borrowing
def offer(
    scores: Floats,
    sources: Ints,
    kept: int,
    nodes: Ints,
    rank: float,
    total: float,
    node: int,
    token: int,
) -> int:
    """Keeps a candidate if there is room or it beats the worst; returns how many are kept."""
    place = 0
    if kept < len(scores):
        place = kept
        kept += 1
    elif rank < scores[0, RANK] or (
        rank == scores[0, RANK]
        and not precedes(nodes, node, token, int(sources[0, 0]), int(sources[0, 1]))
    ):
        return kept
    scores[place, RANK] = rank
    scores[place, ACOUSTIC] = total
    sources[place, 0] = node
    sources[place, 1] = token
    if place == 0:
        sink(scores, sources, kept, nodes)
    while place > 0 and worse(scores, sources, nodes, place, (place - 1) // 2):
        swap(scores, sources, place, (place - 1) // 2)
        place = (place - 1) // 2
    return kept


@compiled_borrowing
def sort(scores: Floats, sources: Ints, kept: int, nodes: Ints) -> None:
    """Puts the candidates in order, the best first."""
    for place in range(kept - 1, 0, -1):
        swap(scores, sources, 0, place)
        sink(scores, sources, place, nodes)


@compiled_borrowing
def sink(scores: Floats, sources: Ints, kept: int, nodes: Ints) -> None:
    """Restores a heap whose top alone may be out of order."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= kept:
            return
        if child + 1 < kept and worse(scores, sources, nodes, child + 1, child):
            child += 1
        if not worse(scores, sources, nodes, child, place):
            return
        swap(scores, sources, place, child)
        place = child


@compiled_borrowing
def swap(scores: Floats, sources: Ints, a: int, b: int) -> None:
    """Exchanges two candidates."""
    for column in range(2):
        scores[a, column], scores[b, column] = scores[b, column], scores[a, column]
        sources[a, column], sources[b, column] = sources[b, column], sources[a, column]


@compiled_borrowing
def worse(scores: Floats, sources: Ints, nodes: Ints, a: int, b: int) -> bool:
    """Whether candidate a is to go before candidate b."""
    if scores[a, RANK] != scores[b, RANK]:
        return bool(scores[a, RANK] < scores[b, RANK])
    node, token = int(sources[a, 0]), int(sources[a, 1])
    return bool(precedes(nodes, int(sources[b, 0]), int(sources[b, 1]), node, token))
