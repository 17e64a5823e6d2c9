"""Where words and their characters begin and end, from where a network was sure of their tokens.

CTC says that a token was heard, not when: its network is sure of it for a step or two somewhere
within the sound, and blank for the rest. So between two words that follow closely the edge is put
half way between their tokens; where there is room between them, the sound itself decides: a word
reaches as far as its energy does.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asr.transcript import Character, Word

Span = tuple[float, float]

_FRAME_S = 0.01
_CLOSE_S = 0.15
"""Tokens nearer than this leave no room for a pause between them."""
_REACH_S = 0.6
"""No sound reaches further from its token: the longest of a slow speaker's syllables."""
_BRIDGED_S = 0.08
"""A stop consonant is silent before it bursts: so much quiet does not end a word."""
_THRESHOLD = 0.25
"""Of the way, in decibels, from the quietest of the neighbourhood to the word's own level."""
_LEAST_RANGE_DB = 10.0
"""Where the word stands out less than this from its neighbourhood, energy decides nothing."""
_UNHEARD_S = 0.06
"""How far a word is taken to reach beyond its tokens where energy decides nothing."""
_FLOOR = 1e-10


def to_edges(
    words: Sequence[Word], samples: npt.NDArray[np.float32], *, sample_rate: int
) -> tuple[Word, ...]:
    """Returns the words with the times of their sound in place of those of their tokens.

    Args:
        words: As read from a network's steps, in order.
        samples: float32 [num_samples], -1 to 1, of the whole recording.
        sample_rate: In Hz.
    """
    tokens = [(word.start_s, word.end_s) for word in words]
    edges = word_edges(tokens, samples, sample_rate=sample_rate)
    return tuple(_moved(word, edge) for word, edge in zip(words, edges, strict=True))


def word_edges(
    tokens: Sequence[Span], samples: npt.NDArray[np.float32], *, sample_rate: int
) -> list[Span]:
    """Returns when each word begins and ends.

    Args:
        tokens: For every word the seconds from its first token's step to the end of its last's, in
            order, none reaching into the next.
        samples: float32 [num_samples], -1 to 1, of the whole recording.
        sample_rate: In Hz.

    Returns:
        Seconds from the recording's start: within it, in order, none reaching into the next, and
        each holding the word's tokens as far as these lie in the recording.
    """
    duration_s = len(samples) / sample_rate
    levels = _levels_db(samples, sample_rate)
    inside = [(min(start, duration_s), min(end, duration_s)) for start, end in tokens]
    limits = [0.0, *_middles(inside), duration_s]
    return [
        (
            _edge(levels, span, limits[index], is_close=index > 0 and _close(inside, index)),
            _edge(
                levels,
                span,
                limits[index + 1],
                is_close=index + 1 < len(inside) and _close(inside, index + 1),
            ),
        )
        for index, span in enumerate(inside)
    ]


def _moved(word: Word, edge: Span) -> Word:
    """Returns the word between new edges, its characters filling it without gaps."""
    inner = _middles([(char.start_s, char.end_s) for char in word.characters])
    bounds = [edge[0], *(min(max(bound, edge[0]), edge[1]) for bound in inner), edge[1]]
    characters = tuple(
        Character(text=char.text, start_s=start_s, end_s=end_s)
        for char, (start_s, end_s) in zip(word.characters, itertools.pairwise(bounds), strict=True)
    )
    return dataclasses.replace(word, start_s=edge[0], end_s=edge[1], characters=characters)


def _middles(spans: Sequence[Span]) -> list[float]:
    return [(a[1] + b[0]) / 2 for a, b in itertools.pairwise(spans)]


def _close(spans: Sequence[Span], index: int) -> bool:
    """Whether a word follows the one before it without room for a pause."""
    return spans[index][0] - spans[index - 1][1] < _CLOSE_S


def _edge(levels: npt.NDArray[np.float64], span: Span, limit: float, *, is_close: bool) -> float:
    """Returns how far a word reaches towards a limit, which lies before it or behind it."""
    if is_close:
        return limit
    is_start = limit <= span[0]
    token = span[0] if is_start else span[1]
    way = -1 if is_start else 1
    room = min(abs(limit - token), _REACH_S)
    num_frames = int(room / _FRAME_S)
    first = min(int(token / _FRAME_S), len(levels) - 1)
    if num_frames < 1:
        return limit
    path = levels[max(0, first - num_frames) : first + 1][::-1] if is_start else levels[first:]
    reached = _reach(path[: num_frames + 1], _level_of(levels, span))
    far = token + way * reached * _FRAME_S
    return max(far, limit) if is_start else min(far, limit)


def _reach(levels: npt.NDArray[np.float64], own_db: float) -> float:
    """Returns how many frames along a path the word's sound goes on."""
    quiet_db = float(levels.min())
    if own_db - quiet_db < _LEAST_RANGE_DB:
        return _UNHEARD_S / _FRAME_S
    loud = levels > quiet_db + _THRESHOLD * (own_db - quiet_db)
    bridge = round(_BRIDGED_S / _FRAME_S)
    last = -1
    for frame in np.flatnonzero(loud).tolist():
        if frame - last > bridge:
            break
        last = frame
    return last + 1


def _level_of(levels: npt.NDArray[np.float64], span: Span) -> float:
    """Returns the level of the loudest frame among a word's tokens, in decibels."""
    start = min(int(span[0] / _FRAME_S), len(levels) - 1)
    end = max(int(np.ceil(span[1] / _FRAME_S)), start + 1)
    return float(levels[start:end].max())


def _levels_db(samples: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float64]:
    """Returns the level of every 10 ms, in decibels; at least one."""
    size = round(_FRAME_S * sample_rate)
    frames = np.zeros((max(1, -(-len(samples) // size)), size))
    frames.reshape(-1)[: len(samples)] = samples
    energies = np.einsum("ij,ij->i", frames, frames) / size
    return np.asarray(10 * np.log10(np.maximum(energies, _FLOOR)))
