"""Time derivatives of features, as `librosa.feature.delta` gives them."""

import functools
import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_WIDTH = 9  # librosa.feature.delta's default
_HALF = _WIDTH // 2
_BLOCK_FRAMES = 256


def add_deltas(coefficients: npt.ArrayLike, *, order: int) -> Array:
    """Appends time derivatives: `librosa.feature.delta` of width 9 and mode "nearest".

    Order 1 is the slope of a line, order 2 the second derivative of a parabola, fitted to nine
    frames by least squares (Savitzky and Golay, 1964). Beyond the edges the first and last frame
    are repeated, so any number of frames will do.

    Args:
        coefficients: float [num_frames, n].
        order: 0, 1 or 2: the highest derivative appended.

    Returns:
        float32 [num_frames, n * (order + 1)], the derivatives after the coefficients.
    """
    static = np.asarray(coefficients, np.float32)
    num_frames, n = static.shape
    if order == 0 or not num_frames:
        return np.tile(static, order + 1)
    padded = np.concatenate([static[:1].repeat(_HALF, 0), static, static[-1:].repeat(_HALF, 0)])
    found = np.empty((num_frames, n * (order + 1)), np.float32)
    found[:, :n] = static
    for start in range(0, num_frames, _BLOCK_FRAMES):
        rows = found[start : start + _BLOCK_FRAMES]
        around = padded[start : start + len(rows) + 2 * _HALF]
        for derivative in range(1, order + 1):
            rows[:, n * derivative : n * (derivative + 1)] = _derive(around, derivative)
    return found


def _derive(around: Array, order: int) -> Array:
    """Returns the derivative in the middle of every nine successive frames of [num_frames + 8, n].

    The frames at equal distances to either side have equal weights, or opposite ones.
    """
    count = len(around) - 2 * _HALF
    weights = _weights(order)
    combine = np.add if order == 2 else np.subtract
    total: Array = around[_HALF : _HALF + count] * weights[_HALF]
    term = np.empty_like(total)
    for distance in range(1, _HALF + 1):
        later = around[_HALF + distance : _HALF + distance + count]
        earlier = around[_HALF - distance : _HALF - distance + count]
        combine(later, earlier, out=term)
        term *= weights[_HALF + distance]
        total += term
    return total


@functools.cache
def _weights(order: int) -> Array:
    """Returns the weights that differentiate a least-squares polynomial in its middle, [9]."""
    distances = np.arange(-_HALF, _HALF + 1.0)
    # Orthogonal to the lower powers, so that its coefficient is a projection.
    power = distances**order - np.mean(distances**order)
    return np.asarray(math.factorial(order) * power / np.sum(power**2), np.float32)
