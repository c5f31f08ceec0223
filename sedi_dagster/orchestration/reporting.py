"""Facts for the report from Dagster and the planner: times of stages, and what comes next."""

from __future__ import annotations

from typing import Any

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.orchestration.partitions import batch_key
from sedi_dagster.orchestration.planning import next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundPlan
from sedi_dagster.reporting.background import Background, Spending, Stage
from sedi_dagster.storage.rounds import LoopHistory

_STAGES = ("filtered_batches", "sft_checkpoint", "seed_feedback", "evaluation_scores", "lineage_manifest")


def background(context: dg.AssetExecutionContext, sedi: SediResource, plan: RoundPlan) -> Background:
    """What stands on the page besides what the round came to."""
    settings, store, history = sedi.settings(), sedi.store(), sedi.history()
    manifest: dict[str, Any] = store.read_json("manifests", f"{plan.round}.json") or {}
    path = f"manifests/{plan.round}.json"
    run_id = str(manifest.get("run_id", ""))
    return Background(
        next=_what_comes_next(sedi, history, plan),
        run_id=run_id,
        run_url=f"/runs/{run_id}" if run_id else "",
        commit=str(manifest.get("code", {}).get("commit") or ""),
        manifest_sha256=file_hashes(store, [path])[path] or "",
        spending=spending(sedi, history, plan.round),
        stages=_stages(context.instance, plan),
        settings=manifest.get("settings", settings.public()),
        paths={
            "manifest": path,
            "tables": f"assets/*/{plan.round}/",
            "checkpoint": f"checkpoints/{plan.round}/",
            "dataset": "exports/",
        },
        alpha=settings.evaluation.alpha,
    )


def spending(sedi: SediResource, history: LoopHistory, up_to: str = "") -> Spending:
    """Of all finished rounds, or of those up to one."""
    settings = sedi.settings()
    rounds = [outcome for outcome in history.finished if not up_to or outcome.round <= up_to]
    costs = [outcome.cost_usd for outcome in rounds]
    known = [cost for cost in costs if cost is not None]
    return Spending(
        tokens=sum(outcome.tokens for outcome in rounds),
        usd=sum(known) if len(known) == len(costs) else None,
        tokens_cap=settings.loop.max_tokens,
        usd_cap=settings.budget.max_usd,
    )


def _what_comes_next(sedi: SediResource, history: LoopHistory, plan: RoundPlan) -> str:
    """The plan that followed; of the newest round, what the planner says now."""
    later = [other for other in history.plans if other.round > plan.round]
    if later:
        asked = ", ".join(f"{c.category} ({c.candidates})" for c in later[0].categories)
        return f"{later[0].round} followed, with {asked}."
    try:
        decided = next_plan(sedi, "report")
    except SediError as error:
        return f"The planner cannot decide: {error.problem}"
    if isinstance(decided, Stop):
        return f"The loop stops: {decided.reason}."
    asked = ", ".join(f"{c.category} ({c.candidates})" for c in decided.categories)
    return f"The next round would generate {asked}."


def _stages(instance: dg.DagsterInstance, plan: RoundPlan) -> tuple[Stage, ...]:
    """How long the step of each asset took in the run that materialized it last; generation is summed over runs."""
    generated = [_seconds(instance, "generated_batches", str(batch_key(c, plan.round))) for c in plan.category_ids]
    known = [seconds for seconds in generated if seconds is not None]
    stages = [Stage("generated_batches", sum(known) if known else None)]
    return (*stages, *(Stage(asset, _seconds(instance, asset, plan.round)) for asset in _STAGES))


def _seconds(instance: dg.DagsterInstance, asset: str, partition: str) -> float | None:
    query = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
    records = instance.fetch_materializations(query, limit=1).records
    if not records or not records[0].run_id:
        return None
    for step in instance.get_run_step_stats(records[0].run_id, [asset]):
        if step.start_time is not None and step.end_time is not None:
            return float(step.end_time - step.start_time)
    return None
