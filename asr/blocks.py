"""Arrays gone through in stretches that stay in the cache."""

from collections.abc import Iterator


def blocks(length: int, size: int) -> Iterator[slice]:
    """Yields the slices of at most `size` that make up a length."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
