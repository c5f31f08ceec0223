"""Errors that the user can act on as failures of a step, and back: their own text, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


def step_failures(instance: dg.DagsterInstance, run_id: str) -> Iterator[Any]:
    """Data of the steps of a run that failed by themselves, first to last."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if entry.dagster_event is not None:
            yield entry.dagster_event.step_failure_data


def user_error(failure: Any) -> tuple[str, SediError] | None:
    """The `SediError` that failed a step, with the name of its class; None for any other error."""
    data = failure.user_failure_data
    if data is None or USER_ERROR not in data.metadata:
        return None
    kind, problem, fix = (str(data.metadata[name].value) for name in (USER_ERROR, "problem", "fix"))
    return kind, SediError(problem, fix)
