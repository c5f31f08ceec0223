"""Calling the teacher from an asset, with progress in the Dagster log."""

import time
from collections.abc import Awaitable, Callable, Sequence

import dagster as dg

from sedi_dagster.orchestration.planning import BY_NIGHT
from sedi_dagster.records import AskTeacher, RoundPlan, Tables, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Settings
from sedi_dagster.teacher.open import open_teacher
from sedi_dagster.workloads.progress import format_progress

SECONDS_BETWEEN_LINES = 2.0


async def ask_teacher(
    context: dg.AssetExecutionContext,
    settings: Settings,
    plan: RoundPlan,
    work: Callable[[AskTeacher], Awaitable[Tables]],
) -> tuple[Tables, dict[str, int | float | str]]:
    """Run `work` with a teacher; its calls share the round's budget.

    Returns:
        The tables, and as metadata who the teacher was and what it did, in numbers.
    """
    nightly = plan.trigger == BY_NIGHT
    async with open_teacher(
        settings, run=context.run_id, max_tokens_per_round=plan.max_tokens, nightly=nightly
    ) as teacher:
        pace = _Pace(context)

        async def ask(requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
            pace.expect(requests)
            return await teacher.ask(requests, on_answer=pace.count)

        tables = await work(ask)
        pace.tell()
        for note in teacher.usage.notes:
            context.log.warning(note)
        notes: dict[str, str] = {"teacher_notes": " ".join(teacher.usage.notes)} if teacher.usage.notes else {}
        return tables, {"teacher": settings.teacher.shown, **notes, **teacher.usage.metadata()}


class _Pace:
    """Counts answers and tokens; writes a progress line now and then."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._done = self._total = self._tokens = self._reused = 0
        self._printed_at = 0.0

    def expect(self, requests: Sequence[TeacherRequest]) -> None:
        self._total += len(requests)

    def count(self, _: int, answer: TeacherAnswer) -> None:
        self._done += 1
        self._tokens += answer.total_tokens
        self._reused += answer.cached
        if time.monotonic() - self._printed_at > SECONDS_BETWEEN_LINES:
            self.tell()

    def tell(self) -> None:
        self._printed_at = time.monotonic()
        figures = {"tokens": self._tokens, "reused": self._reused}
        self._context.log.info(format_progress("generate", self._done, self._total, figures))
