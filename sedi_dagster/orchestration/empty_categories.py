"""Categories of a round without any result, and the reasons."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundPlan

_SHOWN = 3
_NO_TRY = ("refusal", "placeholder", "repeated_output")
_CUT = ("cut by length", "answer cut by length")  # too long, but a try


@dataclass(frozen=True)
class EmptyCategory:
    """A category that came to nothing. `is_fault`: not one of its answers was a try at a task."""

    round: str
    category: str
    why: str
    is_fault: bool

    def __str__(self) -> str:
        return f"{self.category} came to nothing in {self.round}: {self.why}"


def empty_categories(sedi: SediResource, plan: RoundPlan) -> list[EmptyCategory]:
    """The categories of a filtered round that nothing was kept of."""
    verdicts = sedi.store().read_table("verdicts", "filtered_batches", plan.round)
    found = []
    for category in plan.category_ids:
        mine = verdicts.filter(pl.col("category") == category)
        if not (mine["state"] == "kept").any():
            rejected = (pl.col("state") == "rejected") & ~pl.col("rule").is_in(_NO_TRY)
            tried = mine.filter(rejected | pl.col("rule").is_in(_CUT)).height
            why = f"{_reasons(mine)} {_generation(sedi, plan, category)}"
            found.append(EmptyCategory(plan.round, category, why, is_fault=not tried))
    return found


def check_something_was_kept(plan: RoundPlan, candidates: pl.DataFrame, verdicts: pl.DataFrame) -> None:
    """Make sure that there is something new to train on.

    Raises:
        SediError: nothing of the round was kept.
    """
    if (verdicts["state"] == "kept").any():
        return
    raise SediError(
        f"None of the {candidates.height} candidates of {plan.round} was kept, so there is nothing to train on. "
        f"{_reasons(verdicts)}",
        f"`sedi rejected` shows them. Fix the cause, then `sedi calls retry --round {plan.round}` and run again: what "
        "was no answer is asked for again.",
    )


def _reasons(verdicts: pl.DataFrame) -> str:
    """The most frequent reasons, in words."""
    name = pl.coalesce("rule", "state").str.replace(r"(?s)^(.{120}).+$", "$1...")
    counted = verdicts.group_by(name.alias("why")).len().sort("len", "why", descending=[True, False]).head(_SHOWN)
    return "; ".join(f"{why} ({count} of {verdicts.height})" for why, count in counted.iter_rows()) + "."


def _generation(sedi: SediResource, plan: RoundPlan, category: str) -> str:
    result = sedi.store().read_table("result", "generated_batches", plan.round, category)
    return f"Generation: {result['reason'][0]}." if result.height else ""
