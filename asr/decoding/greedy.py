"""Best-path decoding."""

import numpy as np
import numpy.typing as npt

from asr.decoding.hypothesis import Hypothesis
from asr.decoding.posteriors import checked


def greedy_decode(log_probs: npt.ArrayLike, *, blank_id: int) -> Hypothesis:
    """Spells the most probable alignment (Graves et al. 2006, section 3.2, best path decoding).

    The best token of every step is taken (the lowest id of equals), runs of one token are
    collapsed, blanks are dropped. A token's frame is the step of its run where it is most probable.

    Args:
        log_probs: Natural log-probabilities, float [num_steps, vocab_size].
        blank_id: Token id of the CTC blank.

    Returns:
        The text; its `log_probability` is that of the one best alignment, and so at most that of
        the text, which other alignments spell too.

    Raises:
        DecodingError: The input is not log-probabilities.
    """
    log_probs = checked(log_probs, blank_id=blank_id)
    path = log_probs.argmax(axis=1)
    best = log_probs.max(axis=1)
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    ends = np.append(starts, len(path))[1:]
    runs = [(int(path[s]), int(s + best[s:e].argmax())) for s, e in zip(starts, ends, strict=True)]
    spoken = [(token, frame) for token, frame in runs if token != blank_id]
    return Hypothesis(
        tokens=tuple(token for token, _ in spoken),
        frames=tuple(frame for _, frame in spoken),
        log_probability=float(best.sum()),
    )
