"""Padding: the only place in the house where rows of different length become one array."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def pad(
    rows: Sequence[npt.NDArray[np.generic]], *, multiple: int = 1
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int32]]:
    """Stacks rows into one zero-padded array that travels with its lengths.

    Args:
        rows: B arrays [T_b, ...] of one type, alike in all axes but the first.
        multiple: The padded length is a multiple of this, for backends that compile a program for
            every shape they meet.

    Returns:
        The array [B, T, ...] with T ≥ max T_b, and lengths int32 [B]. Masks come from the lengths,
        never from the zeros.

    Raises:
        ValueError: There are no rows.
    """
    if not rows:
        raise ValueError("expected at least one row to pad, received none")
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    width = -(-int(lengths.max()) // multiple) * multiple
    padded = np.zeros((len(rows), width, *rows[0].shape[1:]), dtype=rows[0].dtype)
    for row, target in zip(rows, padded, strict=True):
        target[: len(row)] = row
    return padded, lengths


def batches_by_length(lengths: Sequence[int], *, max_padded: int) -> list[list[int]]:
    """Groups rows of like length so that little is padded.

    Args:
        lengths: The length of every row, in any unit.
        max_padded: Most that rows times longest row of one batch may come to, in the same unit; a
            longer row is a batch by itself.

    Returns:
        Positions in `lengths`, batch by batch, from short to long; each appears exactly once.
    """
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda position: lengths[position]):
        # Sorted, so the newcomer is the longest of its batch.
        if batches and (len(batches[-1]) + 1) * lengths[position] <= max_padded:
            batches[-1].append(position)
        else:
            batches.append([position])
    return batches
