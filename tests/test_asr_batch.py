"""The one place that pads: nothing is lost, nothing is added but zeros, lengths travel along."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.batch import batches_by_length, pad

lengths_of_rows = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@given(lengths=lengths_of_rows, multiple=st.integers(1, 16), width=st.integers(0, 3))
def test_rows_come_back_and_the_rest_is_zero(lengths: list[int], multiple: int, width: int) -> None:
    rng = np.random.default_rng(0)
    shape = (width,) if width else ()
    rows = [rng.uniform(1, 2, (length, *shape)).astype(np.float32) for length in lengths]
    padded, received = pad(rows, multiple=multiple)
    assert received.tolist() == lengths
    assert received.dtype == np.int32
    assert padded.dtype == np.float32
    assert padded.shape[1] % multiple == 0
    assert max(lengths) <= padded.shape[1] < max(lengths) + multiple
    for row, target in zip(rows, padded, strict=True):
        np.testing.assert_array_equal(target[: len(row)], row)
        assert not target[len(row) :].any()


def test_the_rows_type_is_kept() -> None:
    padded, _ = pad([np.array([1, 2], np.int32), np.array([3], np.int32)])
    assert padded.dtype == np.int32
    assert padded.tolist() == [[1, 2], [3, 0]]


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        pad([])


@given(lengths=st.lists(st.integers(0, 50)), max_padded=st.integers(1, 200))
def test_grouping_uses_each_row_once_within_the_budget(lengths: list[int], max_padded: int) -> None:
    batches = batches_by_length(lengths, max_padded=max_padded)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert len(batch) == 1 or len(batch) * longest <= max_padded
    flat = [lengths[position] for batch in batches for position in batch]
    assert flat == sorted(lengths)


def test_batches_are_filled_while_there_is_room() -> None:
    assert batches_by_length([3, 1, 2, 9, 2], max_padded=6) == [[1, 2, 4], [0], [3]]
    assert batches_by_length([5, 5, 5], max_padded=10) == [[0, 1], [2]]
