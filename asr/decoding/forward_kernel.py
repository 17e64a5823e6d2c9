"""How probable given texts are, compiled; `asr.decoding.ctc_score` says what is computed."""

import numpy as np
import numpy.typing as npt

from asr.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

NEVER = -np.inf


@compiled
def text_log_probs(log_probs: Floats, tokens: Ints, starts: Ints, blank_id: int) -> Floats:
    """Sums the alignments of many texts.

    At every step the sums are divided by the largest, so that they stay numbers; what is more than
    300 orders of magnitude below that counts for nothing.

    Args:
        log_probs: float64 [num_steps, vocab_size].
        tokens: Of all texts in one row.
        starts: Where each one's begin, and where the last one's end [num_texts + 1].
        blank_id: Token id of the CTC blank.

    Returns:
        The natural log-probability of each, [num_texts].
    """
    num_steps = len(log_probs)
    probs = np.exp(log_probs)
    found = np.empty(len(starts) - 1)
    for text in range(len(found)):
        first, num_tokens = starts[text], starts[text + 1] - starts[text]
        num_states = 2 * num_tokens + 1
        sums = np.zeros(num_states)
        sums[0] = 1.0
        total = 0.0
        for step in range(num_steps):
            row, largest = probs[step], 0.0
            # Downwards: the states before are still those of the step before. States from which
            # the end is out of reach by then are left out, and so are those not yet reached.
            low = max(0, num_states - 2 * (num_steps - step) - 1)
            for state in range(min(num_states, 2 * step + 2) - 1, low - 1, -1):
                number = first + (state >> 1)
                reached = sums[state]
                if state > 0:
                    reached += sums[state - 1]
                # A token may follow another without a blank between only if the two differ.
                if state & 1 and state > 1 and tokens[number] != tokens[number - 1]:
                    reached += sums[state - 2]
                reached *= row[tokens[number]] if state & 1 else row[blank_id]
                sums[state] = reached
                largest = max(largest, reached)
            if largest == 0.0:
                total = NEVER
                break
            for state in range(low):
                sums[state] = 0.0
            for state in range(low, min(num_states, 2 * step + 2)):
                sums[state] /= largest
            total += np.log(largest)
        if total > NEVER:
            ending = sums[num_states - 1] + (sums[num_states - 2] if num_states > 1 else 0.0)
            total = total + np.log(ending) if ending > 0.0 else NEVER
        found[text] = total
    return found
