"""Planning and opening rounds, in the same way from all entry points; what must be prepared first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.generation.methods import candidates_per_call
from sedi_dagster.orchestration.checking import not_passed
from sedi_dagster.orchestration.evaluating import evaluation_fingerprint
from sedi_dagster.orchestration.partitions import ROUNDS, batch_key
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import starting_checkpoint
from sedi_dagster.records import RoundPlan, is_round_key, round_key
from sedi_dagster.storage.rounds import save_plan, table_of
from sedi_dagster.storage.store import tables_version

BY_SEDI_RUN = "sedi run"
BY_NIGHT = "nightly_regeneration"
BY_SENSOR = "weak_category_sensor"


def next_plan(
    sedi: SediResource,
    trigger: str,
    categories: Sequence[str] | None = None,
    candidates_per_category: int | None = None,
    target_round: int = 0,
) -> RoundPlan | Stop:
    """Return the next round plan, not saved yet, or the reason why there is none.

    Raises:
        SediError: `categories` contains an unknown one.
    """
    check_categories(sedi, categories)
    settings, history, known = sedi.settings(), sedi.history(), list(sedi.categories())
    request = PlanRequest(
        trigger=trigger,
        categories=tuple(categories) if categories else None,
        candidates_per_category=candidates_per_category or settings.generation.candidates_per_category,
        target_round=target_round,
        max_rounds=settings.loop.max_rounds,
        max_tokens=settings.loop.max_tokens,
        max_tokens_per_round=settings.loop.max_tokens_per_round,
        max_usd=settings.budget.max_usd,
        max_usd_per_round=settings.budget.max_usd_per_round,
        plateau_rounds=settings.loop.plateau_rounds,
        allocation=settings.loop.allocation,
        goal=settings.loop.goal,
        floor_share=settings.loop.floor_share,
        most_per_category=settings.loop.most_per_category,
        per_call=candidates_per_call(settings.generation.methods, settings.generation, settings.teacher.asks_in_chat),
    )
    decided = plan_round(request, known, history.plans, history.finished, starting_scores(sedi))
    if isinstance(decided, Stop):
        return decided
    return replace(decided, created_at=datetime.now(UTC).isoformat(timespec="seconds"))


def starting_scores(sedi: SediResource) -> dict[str, float]:
    """Return the student's pass rate by category before the first round; empty if it was not measured yet."""
    items = sedi.store().find_table(*table_of(starting_checkpoint(sedi), "items"))
    return {} if items is None else dict(items.group_by("category").agg(pl.mean("passed")).iter_rows())


def check_categories(sedi: SediResource, categories: Sequence[str] | None) -> None:
    """Raise `SediError` if a category is not in categories.yaml."""
    known = list(sedi.categories())
    unknown = sorted(set(categories or ()) - set(known))
    if unknown:
        raise SediError(f"Unknown category: {', '.join(unknown)}.", f"Choose from {', '.join(known)}.")


def describe_plan(plan: RoundPlan) -> str:
    """Return the categories of a plan with their numbers of candidates, such as `math (20), coding (12)`."""
    return ", ".join(f"{c.category} ({c.candidates})" for c in plan.categories)


def start_round(sedi: SediResource, instance: dg.DagsterInstance, plan: RoundPlan) -> bool:
    """Save the plan and add the round's partition.

    Returns:
        False if another process opened the round in the meantime; its plan is kept.
    """
    saved = save_plan(sedi.store(), plan)
    add_partitions(sedi, instance)
    record_unplanned(sedi, instance, plan.round)
    return saved


def record_unplanned(sedi: SediResource, instance: dg.DagsterInstance, round_key: str) -> None:
    """Record the categories that are not in a round's plan as empty partitions, each with its reason.

    Otherwise the UI would show them as missing forever.
    """
    plan, before = sedi.plan(round_key), sedi.history().before(round_key)
    materialized = instance.get_materialized_partitions(dg.AssetKey("generated_batches"))
    for category in sedi.categories():
        if category in plan.category_ids or str(batch_key(category, round_key)) in materialized:
            continue
        outcome = before[-1].of(category) if before else None
        reason = f" ({outcome.decision} after {before[-1].round}: {outcome.reason})." if outcome else "."
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                "generated_batches",
                partition=batch_key(category, round_key),
                description=f"{round_key} does not include {category}{reason}",
                metadata={"candidates": 0, "asked_for": ", ".join(plan.category_ids)},
                tags={"dagster/data_version": "empty"},
            )
        )


def add_partitions(sedi: SediResource, instance: dg.DagsterInstance) -> None:
    """Synchronise Dagster's round partitions with the plans.

    Planned rounds that are missing (new, or deleted in the UI) are added. Before there is any plan, the first round is
    added, so that the UI shows its partitions as missing. Partitions with invalid names, added by a user, are deleted.
    """
    name = str(ROUNDS.name)
    planned = [plan.round for plan in sedi.history().plans] or [round_key(1)]
    known = set(instance.get_dynamic_partitions(name))
    if not known.issuperset(planned):
        instance.add_dynamic_partitions(name, planned)
    for key in known.difference(planned):
        if not is_round_key(key):
            instance.delete_dynamic_partition(name, key)


def needs_preparation(sedi: SediResource) -> list[str]:
    """Return which of `seed_pool` and `baseline_scores` are missing or out of date with the files and settings."""
    store = sedi.store()
    stale = []
    seeds = tables_version({"seeds": sedi.seeds()})
    marker = store.tables_marker("seed_pool")
    if marker is None or marker["data_version"] != seeds or not_passed(store, "seed_pool"):
        stale.append("seed_pool")
    origin = store.find_table("origin", "baseline_scores")
    measured = None if origin is None else origin["fingerprint"][0]
    if measured != evaluation_fingerprint(sedi) or not_passed(store, "baseline_scores"):
        stale.append("baseline_scores")
    return stale
