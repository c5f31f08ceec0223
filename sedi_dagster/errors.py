"""Errors that a user can act on: the problem and its fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sedi_dagster.records import TeacherAnswer


class SediError(Exception):
    """A problem that the user can fix (a file, setting or endpoint), not a defect of the program.

    Shown as text without a traceback; `sedi` exits with code 2.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}\n  Fix: {fix}" if fix else problem)


class SettingsError(SediError):
    """A setting is unknown, of the wrong type or impossible."""


class InputFileError(SediError):
    """A user's file (seed tasks, categories, evaluation items) is missing or invalid."""


class ModelError(SediError):
    """A model (wheel, folder, weights) is missing or unusable."""


class StorageError(SediError):
    """The data folder cannot be read or written."""


class StorageUnavailable(StorageError):
    """The data folder or the ledger is temporarily unavailable."""


class StorageFull(StorageError):
    """The disk is full."""


class TeacherError(SediError):
    """The teacher endpoint cannot be used: down, wrong key, unknown model, quota exhausted."""


class TeacherUnavailable(TeacherError):
    """The teacher endpoint is temporarily unavailable: it cannot be reached, or does not answer."""


class BudgetExceeded(SediError):
    """The worst case of the next call exceeds what is left of a budget.

    Attributes:
        answers: answers to the requests of the same batch, which are paid for; None for requests beyond the budget.
        cap: the limit that was reached: account, tokens, nano-dollars (`Cap.text`).
    """

    cap = ""
    answers: Sequence[TeacherAnswer | None] = ()


class WorkloadError(SediError):
    """A workload (training, evaluation, embedding) failed in its process."""


class ComputeUnavailable(WorkloadError):
    """The cluster for workloads is temporarily unavailable."""


class WorkloadDied(WorkloadError):
    """The process of a workload ended without an error message: it was killed, or ran out of memory."""
