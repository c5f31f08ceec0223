"""Turns an error that the user can act on into a step failure with its own text, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sedi_dagster.errors import SediError

USER_ERROR = "user_error"


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Raise a `SediError` of the block as `dg.Failure`, with the problem and the fix as metadata."""
    try:
        yield
    except SediError as error:
        metadata = {"problem": error.problem, "fix": error.fix, USER_ERROR: type(error).__name__}
        raise dg.Failure(description=str(error), metadata=metadata) from None
