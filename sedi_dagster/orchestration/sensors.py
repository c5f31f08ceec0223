"""Sensors: they read plans, markers and run records only, and say in a skip reason why nothing is started.

`weak_category_sensor` opens the next round when an evaluation found weak categories. `round_ready_sensor` carries an
open round on. A round that `sedi run` drives is left to it.
"""

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.jobs import generate_batch, prepare, train_round
from sedi_dagster.orchestration.partitions import ROUNDS, batch_key
from sedi_dagster.orchestration.planning import (
    BY_SEDI_RUN,
    BY_SENSOR,
    missing_batches,
    needs_preparation,
    next_plan,
)
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundPlan
from sedi_dagster.rounds import save_plan

RETRIES = {"dagster/max_retries": "2"}
EVALUATIONS_A_TICK = 100


@dg.sensor(jobs=[generate_batch], minimum_interval_seconds=15)
def weak_category_sensor(context: dg.SensorEvaluationContext, sedi: SediResource) -> dg.SensorResult | dg.SkipReason:
    """Opens the next round and asks for its batches when an evaluation found weak categories.

    The cursor is the storage id of the last evaluation that was acted on; it stays while a round is open, so a tick
    that was interrupted is repeated, and the run keys make the repetition harmless.
    """
    try:
        plan = sedi.history().open_round
        if plan is not None:
            if plan.trigger != BY_SENSOR:
                return dg.SkipReason(f"{plan.round} is open, started by {plan.trigger}.")
            missing = missing_batches(sedi, context.instance, plan)
            return (
                _ask_for(plan, missing) if missing else dg.SkipReason(f"{plan.round} is open and has all its batches.")
            )
        events = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey("evaluation_scores"),
                after_storage_id=int(context.cursor) if context.cursor else None,
            ),
            limit=EVALUATIONS_A_TICK,
            ascending=True,
        ).records
        if not events:
            return dg.SkipReason("No evaluation since the last one that was acted on.")
        decided = next_plan(sedi, BY_SENSOR)
        cursor = str(events[-1].storage_id)
        if isinstance(decided, Stop):
            return dg.SensorResult(skip_reason=f"The loop rests: {decided.reason}.", cursor=cursor)
        save_plan(sedi.store(), decided)
        return _ask_for(decided, decided.category_ids, cursor)
    except SediError as error:
        return dg.SkipReason(str(error))


def _ask_for(plan: RoundPlan, categories: list[str], cursor: str | None = None) -> dg.SensorResult:
    return dg.SensorResult(
        run_requests=[_batch_request(plan, category) for category in categories],
        dynamic_partitions_requests=[ROUNDS.build_add_request([plan.round])],
        cursor=cursor,
    )


def _batch_request(plan: RoundPlan, category: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{plan.round}|{category}",
        job_name=generate_batch.name,
        partition_key=batch_key(category, plan.round),
        tags={**RETRIES, "sedi/round": plan.round},
    )


@dg.sensor(jobs=[prepare, generate_batch, train_round], minimum_interval_seconds=15)
def round_ready_sensor(context: dg.SensorEvaluationContext, sedi: SediResource) -> dg.SensorResult | dg.SkipReason:
    """Carries an open round on: preparation, its batches (unless the other sensor asks for them), then training.

    Training starts when every planned batch is there and the run that made it, blocking checks included, succeeded.
    """
    try:
        plan = sedi.history().open_round
        if plan is None:
            return dg.SkipReason("No round is open.")
        if plan.trigger == BY_SEDI_RUN:
            return dg.SkipReason(f"{plan.round} is driven by `sedi run`; run it again to finish the round.")
        stale = needs_preparation(sedi)
        if stale:
            request = dg.RunRequest(run_key=f"prepare|{plan.round}", job_name=prepare.name, tags=RETRIES)
            return dg.SensorResult(run_requests=[request])
        missing = missing_batches(sedi, context.instance, plan)
        if missing and plan.trigger != BY_SENSOR:
            return _ask_for(plan, missing)
        if missing:
            return dg.SkipReason(f"{plan.round} waits for {', '.join(missing)}.")
        request = dg.RunRequest(
            run_key=f"train|{plan.round}",
            job_name=train_round.name,
            partition_key=plan.round,
            tags={**RETRIES, "sedi/round": plan.round},
        )
        return dg.SensorResult(run_requests=[request])
    except SediError as error:
        return dg.SkipReason(str(error))


SENSORS = [weak_category_sensor, round_ready_sensor]
