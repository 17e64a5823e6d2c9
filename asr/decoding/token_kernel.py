"""Which tokens are probable enough to begin at a step, compiled."""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled, compiled_borrowing
from asr.decoding.prefix_kernel import STATE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Lexicon = tuple[Ints, Ints, Ints]  # `Lexicon.ways`; of no state, if any text is allowed

NEVER = -np.inf


@compiled
def probable_tokens(row: Floats, blank_id: int, floor: float) -> Ints:
    """Returns the tokens that may begin at a step, the most probable first."""
    floor = min(floor, largest(row))
    tokens = np.empty(len(row), np.int32)
    count = 0
    for token in range(len(row)):
        if row[token] >= floor and token != blank_id:
            place = count
            while place > 0 and row[tokens[place - 1]] < row[token]:
                tokens[place] = tokens[place - 1]
                place -= 1
            tokens[place] = token
            count += 1
    return tokens[:count]


@compiled_borrowing
def largest(row: Floats) -> float:
    """Returns the largest of some numbers; numba takes a second to compile NumPy's."""
    best = NEVER
    for value in row:
        best = max(best, value)
    return best


@compiled_borrowing
def set_floors(
    floors: Floats,
    nodes: Ints,
    beam: Ints,
    row: Floats,
    floor: float,
    lexicon: Lexicon,
) -> None:
    """Finds the least log-probability with which a token may begin behind each prefix."""
    first, token, _ = lexicon
    lowest = min(floor, largest(row))
    for place in range(len(beam)):
        floors[place] = lowest
        if len(first) > 1:
            state = nodes[beam[place], STATE]
            best = NEVER
            for way in range(first[state], first[state + 1]):
                best = max(best, row[token[way]])
            floors[place] = min(floor, best)
