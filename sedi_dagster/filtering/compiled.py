"""How the inner loops are compiled: to machine code at their first call, kept beside the source for the next process.

numba, because it is one prebuilt wheel and the loops stay readable Python; the same loops as array expressions over
NumPy or Polars need several times the time and the memory. Modules that use this decorator import numba, so they are
imported inside functions only: loading the code location must not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Machine code that runs without the interpreter's lock, so threads may share the work."""
    try:
        made: Function = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the install nor the user's cache folder can be written: compile in each process
        made = numba.njit(nogil=True)(function)
    return made
