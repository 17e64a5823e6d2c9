"""Functions of numbers compiled by numba: fast, without the GIL, and compiled once for a machine.

Importing numba takes most of a second. A module with compiled functions is therefore imported
inside the function that needs it, never at another module's top; its own name ends in `kernel`.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles a function when it is first called, or loads what another process compiled.

    The machine code is kept where numba can write: in `NUMBA_CACHE_DIR` if that is set, beside the
    module, or in the user's cache folder; where none of them can be written it is made anew in
    every process.
    """
    import numba

    # numba notices a change of the function's own file, but not one of the files of the compiled
    # functions it calls: their content becomes part of the name that the machine code is kept by.
    sources = {Path(function.__code__.co_filename)}
    for value in function.__globals__.values():
        sources |= getattr(value, "compiled_from", frozenset())
    function.__qualname__ += f"_{_digest(sources)}"
    try:
        dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # "cannot cache function": there is no place to write
        dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    dispatcher.compiled_from = frozenset(sources)
    result: Function = dispatcher
    return result


def _digest(sources: set[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
