"""Sensors that submit the runs that are due, or skip with the reason why none is.

`round_ready_sensor` runs an open round to its report; `weak_category_sensor` opens the next one. Both depend only on
the state (they have no cursor), so missed or repeated ticks and restarts do no harm.
"""

import os
from pathlib import Path

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.alerts import alert_on_failure
from sedi_dagster.orchestration.checking import checks_of
from sedi_dagster.orchestration.due import Launch, LoopState, describe_waits, due
from sedi_dagster.orchestration.jobs import generate_batch, prepare, train_round
from sedi_dagster.orchestration.ownership import claim_loop, driver_is_running
from sedi_dagster.orchestration.planning import BY_SENSOR, add_partitions, describe_plan, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import HOST, INPUTS, ROUND, WORK, close_dead_runs
from sedi_dagster.orchestration.state import read_state
from sedi_dagster.records import RoundPlan

SECONDS_BETWEEN_TICKS = 5
"""As short as the daemon allows, because each round waits for two ticks: after it is opened and before training."""
SECONDS_BETWEEN_PLANS = 15


@dg.sensor(
    jobs=[prepare, generate_batch, train_round],
    minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
    description="Runs an open round: preparation, generation, then training, evaluation and report. Turn it on "
    "together with weak_category_sensor, and launch the job open_round to start the first round.",
)
def round_ready_sensor(context: dg.SensorEvaluationContext, sedi: SediResource) -> dg.SensorResult | dg.SkipReason:
    """Launch the work that is due. Failed runs are retried by cause, with backoff; cancelled ones are not.

    Round partitions are synchronised with the plans: deleted ones are restored, invalid ones removed.
    """
    try:
        other_driver = _other_driver(sedi, context.instance)
        close_dead_runs(context.instance, alone=not other_driver)
        add_partitions(sedi, context.instance)
        state = read_state(sedi, context.instance, BY_SENSOR, other_driver=other_driver)
        steps = due(state)
        requests = [_run_request(state, step) for step in steps if isinstance(step, Launch)]
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason(_why_no_round_is_open(sedi, state) or describe_waits(steps, state.now))
    except SediError as error:
        return dg.SkipReason(str(error))


@dg.sensor(
    jobs=[prepare, generate_batch, train_round],
    minimum_interval_seconds=SECONDS_BETWEEN_PLANS,
    description="Opens the next round when another one is worth its cost and within the budget; round_ready_sensor "
    "then runs it. The first round must be opened with the job open_round.",
)
def weak_category_sensor(context: dg.SensorEvaluationContext, sedi: SediResource) -> dg.SkipReason:
    """Open the next round if it is due. No run is launched, so a tick always ends with a skip reason."""
    try:
        state = read_state(sedi, context.instance, BY_SENSOR, other_driver=_other_driver(sedi, context.instance))
        if state.open is not None:
            return dg.SkipReason(f"{state.open.round} is open; round_ready_sensor runs it.")
        if not sedi.history().plans:
            return dg.SkipReason("No round yet: open the first one with the job open_round.")
        (step, *_) = steps = due(state)
        if isinstance(step, Stop):
            return dg.SkipReason(f"The loop has stopped: {step.reason}.")
        if not isinstance(step, RoundPlan):
            return dg.SkipReason(describe_waits(steps, state.now))
        if not start_round(sedi, context.instance, step):
            return dg.SkipReason(f"{step.round} was opened by another process in the meantime; its plan is kept.")
        return dg.SkipReason(f"Opened {step.round}: {describe_plan(step)}. round_ready_sensor runs it.")
    except SediError as error:
        return dg.SkipReason(str(error))


def _run_request(state: LoopState, step: Launch) -> dg.RunRequest:
    work = step.work
    return dg.RunRequest(
        run_key=step.run_key,
        job_name=work.job,
        partition_key=work.partition,
        asset_selection=[dg.AssetKey(asset) for asset in work.assets] or None,
        asset_check_keys=checks_of(work.assets) if work.assets else None,
        tags={WORK: work.key, ROUND: work.round, INPUTS: state.inputs, HOST: os.uname().nodename},
    )


def _why_no_round_is_open(sedi: SediResource, state: LoopState) -> str:
    """The skip reason when no round is open; empty if one is."""
    if state.open is not None or state.pending or state.other_driver:
        return ""
    if not sedi.history().plans:
        return "No round yet: open the first one with the job open_round (Jobs, open_round, Launchpad, Launch Run)."
    if isinstance(state.next, RoundPlan):
        return f"No round is open. {state.next.round} is next: turn on weak_category_sensor, or launch open_round."
    return f"No round is open, and none is due: {state.next.reason}."


def _other_driver(sedi: SediResource, instance: dg.DagsterInstance) -> str:
    home = Path(instance.root_directory)
    return "`sedi run`" if driver_is_running(home) else claim_loop(sedi.settings(), home)


keep_pages_in_step = dg.AutomationConditionSensorDefinition(
    name="keep_pages_in_step",
    target=dg.AssetSelection.assets("round_report", "sft_dataset"),
    description="Rebuilds a round's report and the dataset after a user rebuilt the round's manifest. The loop itself "
    "does not need it.",
)

SENSORS = [weak_category_sensor, round_ready_sensor, keep_pages_in_step, alert_on_failure]
