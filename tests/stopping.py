"""A program stopped at a chosen place, as by kill -9."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest


class Stop(BaseException):
    """Stands for kill -9: nothing in the program may catch it."""


@contextlib.contextmanager
def stopped_at(target: Any, name: str, call: int) -> Iterator[None]:
    """Stops the program instead of the given call, counted from 1, of a function."""
    original = getattr(target, name)
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Stop
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, name, counted)
        yield
