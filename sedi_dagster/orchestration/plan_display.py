"""`sedi plan`: a preview of the planner's decision."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.deciding import person_needed
from sedi_dagster.orchestration.estimating import print_estimate
from sedi_dagster.orchestration.findings import command
from sedi_dagster.orchestration.planning import BY_SEDI_RUN, next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundPlan
from sedi_dagster.settings import Settings


def print_next_plan(settings: Settings, categories: Sequence[str] | None, candidates_per_category: int | None) -> None:
    """The same answer that a sensor, the schedule, the job `open_round` and `sedi run` get now.

    Raises:
        SediError: an unknown category was named, or a file cannot be read.
    """
    sedi, console = SediResource(), Console()
    decided = next_plan(sedi, BY_SEDI_RUN, categories, candidates_per_category)
    history = sedi.history()
    finished = history.finished
    if isinstance(decided, Stop):
        console.print(f"No round would be opened: {decided.reason}.", highlight=False, soft_wrap=True)
        if history.open_round is not None:
            console.print(
                "`sedi status` shows what it is waiting for; `sedi run --rounds 1` finishes it.", highlight=False
            )
        if finished and (needed := person_needed(list(finished[-1].categories))):
            console.print(needed, style="bold", highlight=False, soft_wrap=True)
        return
    console.print(_table(decided))
    for reason in _reasons(decided):
        console.print(f"  {reason}", highlight=False, soft_wrap=True)
    if decided.max_tokens is not None:
        console.print(f"At most {decided.max_tokens:,} teacher tokens, limited by the budget.", highlight=False)
    print_estimate(settings, sum(c.candidates for c in decided.categories))
    console.print(f"This is a preview. `{command('run --rounds 1', settings)}` runs it.", highlight=False)


def _table(plan: RoundPlan) -> Table:
    table = Table(title=f"Plan of {plan.round}", title_justify="left")
    for name in ("category", "kept wanted", "candidates", "difficulty", "errors seen"):
        table.add_column(name, justify="right" if name in ("kept wanted", "candidates") else "left", no_wrap=True)
    for c in plan.categories:
        wanted = "-" if c.wanted is None else str(c.wanted)
        table.add_row(c.category, wanted, str(c.candidates), c.difficulty or "any", ", ".join(c.errors[:2]))
    return table


def _reasons(plan: RoundPlan) -> list[str]:
    """The reason for each category; a reason shared by several is shown once."""
    by_reason: dict[str, list[str]] = {}
    for c in plan.categories:
        by_reason.setdefault(c.reason, []).append(c.category)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
