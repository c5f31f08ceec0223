"""Errors that a user can act on: the problem and its fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sedi_dagster.records import TeacherAnswer


class SediError(Exception):
    """A problem with what the user gave us (file, setting, endpoint), not a defect of the program.

    Shown as text without a traceback; `sedi` exits with code 2.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}\n  Fix: {fix}" if fix else problem)


class SettingsError(SediError):
    """A setting is unknown, of the wrong type or impossible."""


class InputFileError(SediError):
    """A file of the user's (seed tasks, categories, evaluation items) is not as expected."""


class ModelError(SediError):
    """A model (wheel, folder, weights) is missing or not usable."""


class StorageError(SediError):
    """The data folder cannot be read or written."""


class StorageUnavailable(StorageError):
    """The data folder, or the database of calls, cannot be reached for now: an outage, which passes."""


class TeacherError(SediError):
    """The teacher endpoint cannot be used: down, wrong key, unknown model, quota exhausted."""


class TeacherUnavailable(TeacherError):
    """The endpoint cannot be reached for now, or answers nothing: an outage, which passes."""


class BudgetExceeded(SediError):
    """The next call's worst case does not fit into what is left of a budget.

    `answers` are those that came in the same request for answers, None where there was no room: they are paid for.
    `cap` is the limit that stopped it: account, tokens, nano-dollars (`Cap.text`).
    """

    cap = ""
    answers: Sequence[TeacherAnswer | None] = ()


class WorkloadError(SediError):
    """Training or evaluation failed in its own process."""


class ComputeUnavailable(WorkloadError):
    """The cluster that workloads run on cannot be reached for now: an outage, which passes."""


class WorkloadDied(WorkloadError):
    """The process of training or evaluation ended without a word: killed, or out of memory."""
