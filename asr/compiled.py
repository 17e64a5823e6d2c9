"""Functions of numbers compiled by numba: fast, without the GIL, and compiled once for a machine.

Importing numba takes most of a second. A module with compiled functions is therefore imported
inside the function that needs it, never at another module's top; its own name ends in `kernel`.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_told: list[Callable[[], None]] = []


def when_compiling(tell: Callable[[], None]) -> None:
    """Has a function called when something is about to be compiled for the first time.

    Once in a process, and not for what is loaded because another process compiled it: whoever
    waits for it should know why.
    """
    _told[:] = [tell]


def compiled(function: Function) -> Function:
    """Compiles a function when it is first called, or loads what another process compiled.

    The machine code is kept where numba can write: in `NUMBA_CACHE_DIR` if that is set, beside the
    module, or in the user's cache folder; where none of them can be written it is made anew in
    every process.
    """
    return _compile(function)


def compiled_borrowing(function: Function) -> Function:
    """Compiles a function that makes no arrays and returns none: it only borrows its caller's.

    References to them are then not counted at every call, which takes a third off a search made of
    small functions. numba refuses to compile one that makes arrays.
    """
    from numba.core.cpu import CPUTargetOptions

    # No public name promises the option: a numba without it counts references, and is slower.
    options = {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else {}
    return _compile(function, **options)


def _compile(function: Function, **options: bool) -> Function:
    import numba

    _listen()
    digest = _digest(function)
    function.__qualname__ += f"_{digest}"
    settings = {"nogil": True, "error_model": "numpy", **options}
    try:
        dispatcher = numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # "cannot cache function": there is no place to write
        dispatcher = numba.njit(**settings)(function)
    dispatcher.compiled_digest = digest
    result: Function = dispatcher
    return result


@functools.cache
def _listen() -> None:
    """Has numba say when it compiles."""
    from numba.core import event

    class Listener(event.Listener):  # type: ignore[misc, unused-ignore]
        def on_start(self, event: object) -> None:  # noqa: ARG002  numba's signature
            if _told:
                _told.pop()()

        def on_end(self, event: object) -> None:
            pass

    event.register("numba:compile", Listener())


def _digest(function: Callable[..., Any]) -> str:
    """Tells apart what a function may be compiled to; part of the name that it is kept by.

    numba notices a change of the function's own file, but not one of the compiled functions of
    other files that it calls, or of the numbers that it takes from them.
    """
    digest = hashlib.sha256(Path(function.__code__.co_filename).read_bytes())
    for name, value in sorted(function.__globals__.items(), key=lambda item: item[0]):
        if isinstance(value, int | float):
            digest.update(f"{name}={value!r}\n".encode())
        digest.update(getattr(value, "compiled_digest", "").encode())
    return digest.hexdigest()[:12]
