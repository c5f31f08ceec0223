"""Facts from Dagster and the planner for the round report and the morning page."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.orchestration.due import due
from sedi_dagster.orchestration.jobs import JOB_ASSETS
from sedi_dagster.orchestration.partitions import batch_key
from sedi_dagster.orchestration.planning import BY_SENSOR, describe_plan, next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import WORK, end_cause
from sedi_dagster.orchestration.state import read_state
from sedi_dagster.orchestration.status import describe_step
from sedi_dagster.records import RoundPlan
from sedi_dagster.reporting.costs import ReportFacts, Spending, Stage
from sedi_dagster.reporting.morning import Night, NightRun
from sedi_dagster.storage.rounds import LoopHistory
from sedi_dagster.storage.store import Store

_STAGES = ("filtered_batches", "sft_checkpoint", "seed_feedback", "evaluation_scores", "lineage_manifest")
_SPAN = timedelta(days=1)
_MAX_RUNS = 1000


def report_facts(context: dg.AssetExecutionContext, sedi: SediResource, plan: RoundPlan) -> ReportFacts:
    """Collect the facts for a round's report that are not its results: costs, paths, settings, what comes next."""
    settings, store, history = sedi.settings(), sedi.store(), sedi.history()
    manifest: dict[str, Any] = store.read_json("manifests", f"{plan.round}.json") or {}
    path = f"manifests/{plan.round}.json"
    run_id = str(manifest.get("run_id", ""))
    return ReportFacts(
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
    """Sum the spending of all finished rounds, or of those up to and including `up_to`."""
    settings = sedi.settings()
    rounds = [outcome for outcome in history.finished if not up_to or outcome.round <= up_to]
    costs = [outcome.cost_usd for outcome in rounds]
    return Spending(
        tokens=sum(outcome.tokens for outcome in rounds),
        usd=None if None in costs else sum(filter(None, costs)),
        tokens_cap=settings.loop.max_tokens,
        usd_cap=settings.budget.max_usd,
    )


def _what_comes_next(sedi: SediResource, history: LoopHistory, plan: RoundPlan) -> str:
    """The next round's plan; after the newest round, the planner's current decision."""
    following = next((other for other in history.plans if other.round > plan.round), None)
    if following is not None:
        return f"{following.round} followed, with {describe_plan(following)}."
    try:
        decided = next_plan(sedi, "report")
    except SediError as error:
        return f"The planner cannot decide: {error.problem}"
    if isinstance(decided, Stop):
        return f"The loop stops: {decided.reason}."
    return f"The next round would generate {describe_plan(decided)}."


def _stages(instance: dg.DagsterInstance, plan: RoundPlan) -> tuple[Stage, ...]:
    """The duration of each asset's latest step; for generation, the sum over all categories."""
    generated = [_seconds(instance, "generated_batches", str(batch_key(c, plan.round))) for c in plan.category_ids]
    stages = [Stage("generated_batches", sum(filter(None, generated)) or None)]
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


def last_night(sedi: SediResource, instance: dg.DagsterInstance, now: datetime | None = None) -> Night:
    """Collect the facts for the morning page on the 24 hours before `now` (default: the current time)."""
    settings, store, history = sedi.settings(), sedi.store(), sedi.history()
    now = (now or datetime.now(UTC)).astimezone(ZoneInfo(settings.loop.nightly_timezone))
    began = now - _SPAN
    scores_before = [None, *(done.score for done in history.finished)]
    with_score_before = zip(history.finished, scores_before, strict=False)
    rounds = [(done, before) for done, before in with_score_before if _finished_at(store, done.round) >= began]
    return Night(
        began=f"{began:%A, %d %B, %H:%M %Z}",
        ended=f"{now:%A, %d %B %Y}",
        runs=tuple(_runs(instance, began)),
        rounds=tuple(rounds),
        warnings=tuple(warning for outcome, _ in rounds for warning in _warnings(store, outcome.round)),
        spending=spending(sedi, history),
        next_steps=tuple(_next_steps(sedi, instance)),
        simulated=settings.teacher.is_simulated,
    )


def _finished_at(store: Store, round_key: str) -> datetime:
    manifest = store.read_json("manifests", f"{round_key}.json") or {}
    return datetime.fromisoformat(manifest.get("created_at", "1970-01-01T00:00:00+00:00"))


def _runs(instance: dg.DagsterInstance, began: datetime) -> Iterator[NightRun]:
    """The runs since `began`, oldest first."""
    records = instance.get_run_records(dg.RunsFilter(created_after=began), limit=_MAX_RUNS)
    for record in reversed(records):
        run = record.dagster_run
        message = end_cause(instance, run)[1] if run.status == dg.DagsterRunStatus.FAILURE else ""
        yield NightRun(run.run_id, _describe_run(run), run.status.value, message)


def _describe_run(run: dg.DagsterRun) -> str:
    """The work of a run launched by the loop; otherwise its job, or the assets that a user chose."""
    if WORK in run.tags:
        return run.tags[WORK].replace("|", " ")
    assets = sorted(key.path[-1] for key in run.asset_selection or ())
    return run.job_name if run.job_name in JOB_ASSETS or not assets else ", ".join(assets)


def _warnings(store: Store, round_key: str) -> Iterator[str]:
    """The checks of a round's data that did not pass, with their messages."""
    for path in store.files("checks"):
        parts = path.split("/")
        verdict = store.read_json(*parts) if round_key in parts else None
        if verdict is not None and not verdict["passed"]:
            yield f"{'/'.join(parts[1:-1])}: {parts[-1].removesuffix('.json')}. {verdict['said']}".strip()


def _next_steps(sedi: SediResource, instance: dg.DagsterInstance) -> Iterator[str]:
    try:
        for step in due(read_state(sedi, instance, BY_SENSOR)):
            yield describe_step(step, time.time())
    except SediError as error:
        yield error.problem
