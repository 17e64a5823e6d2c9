"""Many calls at once, and results as if they had come one after another."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from asr.side_by_side import side_by_side


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@given(st.lists(st.integers(), max_size=90), st.integers(1, 4))
def test_results_are_those_of_map_in_its_order(items: list[int], num_threads: int) -> None:
    assert list(side_by_side(str, items, num_threads=num_threads)) == [*map(str, items)]


def test_items_are_taken_while_those_before_are_worked_on() -> None:
    taken = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        yield 1
        taken.set()
        yield 2

    def wait(item: int) -> bool:
        return item > 0 or taken.wait(10)

    assert list(side_by_side(wait, items(), num_threads=2)) == [True, True, True]


def test_no_more_than_32_a_thread_wait() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = side_by_side(lambda item: item, items(), num_threads=2)
    assert next(results) == 0
    assert len(taken) <= 2 * 32 + 1
    results.close()


def test_a_fault_comes_in_its_turn_and_ends_the_rest() -> None:
    def work(item: int) -> int:
        if item == 1:
            raise ValueError("one")
        time.sleep(0.01)
        return item

    results = side_by_side(work, range(500), num_threads=2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)
    assert not [one for one in threading.enumerate() if one.name.startswith("side-by-side")]


def test_products_of_matrices_are_left_to_the_calling_threads() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    within = [*side_by_side(lambda _: blas_threads(), range(3), num_threads=2)]
    assert before
    assert within == [{1}] * 3
    assert blas_threads() == before


def test_blas_has_its_threads_back_when_the_last_of_several_is_done() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    first, second = (side_by_side(str, range(90), num_threads=2) for _ in range(2))
    assert next(first) == next(second) == "0"
    first.close()
    assert blas_threads() == {1}
    second.close()
    assert blas_threads() == before
