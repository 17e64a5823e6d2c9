"""The most probable alignment of a text, compiled; `asr.decoding.alignment` says what it does."""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

NEVER = -np.inf


@compiled
def place(log_probs: Floats, tokens: Ints, blank_id: int) -> tuple[Ints, bool]:
    """Returns the step of every token, int32 [num_tokens], and whether there is any alignment."""
    num_steps = len(log_probs)
    num_states = 2 * len(tokens) + 1
    frames = np.empty(len(tokens), np.int32)
    best = np.empty(num_states)
    for state in range(num_states):
        best[state] = 0.0 if state == 0 else NEVER
    moves = np.empty((num_steps, num_states), np.int8)
    for step in range(num_steps):
        row = log_probs[step]
        # Downwards: the states before are still those of the step before.
        for state in range(min(num_states, 2 * step + 2) - 1, -1, -1):
            number = state >> 1
            reached, move = best[state], 0
            if state > 0 and best[state - 1] > reached:
                reached, move = best[state - 1], 1
            # A token may follow another without a blank between only if the two differ.
            may_skip = state & 1 and state > 1 and tokens[number] != tokens[number - 1]
            if may_skip and best[state - 2] > reached:
                reached, move = best[state - 2], 2
            moves[step, state] = move
            best[state] = reached + row[tokens[number] if state & 1 else blank_id]
    state = num_states - 1
    if num_states > 1 and best[state - 1] > best[state]:
        state -= 1
    if best[state] == NEVER:
        return frames, False
    seen = -1
    for step in range(num_steps - 1, -1, -1):
        if state % 2:
            number = state // 2
            token = tokens[number]
            # The first of equals: it is met last.
            if state != seen or log_probs[step, token] >= log_probs[frames[number], token]:
                frames[number] = step
            seen = state
        state -= moves[step, state]
    return frames, True
