"""Sensors: they submit what the engine says is due, and say in a skip reason why nothing is.

`round_ready_sensor` carries an open round to its report; `weak_category_sensor` opens the next one. Both look at the
state only (no cursor): a missed tick, a restart or a repeated one changes nothing.
"""

import os
from pathlib import Path

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.alerts import alert_on_failure
from sedi_dagster.orchestration.checking import checks_of
from sedi_dagster.orchestration.due import Launch, LoopState, Open, Rest, due, waiting
from sedi_dagster.orchestration.jobs import generate_batch, prepare, train_round
from sedi_dagster.orchestration.ownership import is_driven, who_else_drives
from sedi_dagster.orchestration.planning import BY_SENSOR, add_partitions, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import HOST, INPUTS, ROUND, WORK, close_dead_runs
from sedi_dagster.orchestration.state import look
from sedi_dagster.records import RoundPlan

SECONDS_BETWEEN_TICKS = 15


@dg.sensor(
    jobs=[prepare, generate_batch, train_round],
    minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
    description="Carries an open round on: preparation, its batches, then training, evaluation and report. Switch it "
    "on together with weak_category_sensor; without any round, launch the job open_round first.",
)
def round_ready_sensor(context: dg.SensorEvaluationContext, sedi: SediResource) -> dg.SensorResult | dg.SkipReason:
    """A run that failed is asked for again, by cause and with growing pauses; one that was cancelled is not.

    Partitions are kept in step with the plans: one deleted in the UI comes back, one that is no round goes.
    """
    try:
        elsewhere = _elsewhere(sedi, context.instance)
        close_dead_runs(context.instance, alone=not elsewhere)
        add_partitions(sedi, context.instance)
        state = look(sedi, context.instance, BY_SENSOR, elsewhere=elsewhere)
        steps = due(state)
        requests = [_run_request(state, step) for step in steps if isinstance(step, Launch)]
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason(_nothing_to_carry(sedi, state) or waiting(steps, state.now))
    except SediError as error:
        return dg.SkipReason(str(error))


@dg.sensor(
    jobs=[prepare, generate_batch, train_round],
    minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
    description="Opens the next round when an evaluation found weak categories and the budget allows it. Its batches "
    "are then asked for by round_ready_sensor. The first round is opened by a person: the job open_round.",
)
def weak_category_sensor(context: dg.SensorEvaluationContext, sedi: SediResource) -> dg.SkipReason:
    """Opens rounds and starts no run, so a tick always ends in a reason."""
    try:
        state = look(sedi, context.instance, BY_SENSOR, elsewhere=_elsewhere(sedi, context.instance))
        if state.open is not None:
            return dg.SkipReason(f"{state.open.round} is open; round_ready_sensor carries it on.")
        if not sedi.history().plans:
            return dg.SkipReason("No round yet: open the first one with the job open_round.")
        (step, *_) = steps = due(state)
        if not isinstance(step, Open):
            return dg.SkipReason(
                f"The loop rests: {step.why}." if isinstance(step, Rest) else waiting(steps, state.now)
            )
        if not start_round(sedi, context.instance, step.plan):
            return dg.SkipReason(f"{step.plan.round} was opened by somebody else meanwhile; their plan holds.")
        asked = ", ".join(f"{c.category} ({c.candidates})" for c in step.plan.categories)
        return dg.SkipReason(f"Opened {step.plan.round}: {asked}. round_ready_sensor carries it on.")
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


def _nothing_to_carry(sedi: SediResource, state: LoopState) -> str:
    """What to tell when no round is open; empty if one is."""
    if state.open is not None or state.pieces or state.elsewhere:
        return ""
    if not sedi.history().plans:
        return "No round yet: open the first one with the job open_round (Jobs, open_round, Launchpad, Launch Run)."
    if isinstance(state.next, RoundPlan):
        return f"No round is open. {state.next.round} is next: switch on weak_category_sensor, or launch open_round."
    return f"No round is open, and none is due: {state.next.reason}."


def _elsewhere(sedi: SediResource, instance: dg.DagsterInstance) -> str:
    home = Path(instance.root_directory)
    return "`sedi run`" if is_driven(home) else who_else_drives(sedi.settings(), home)


keep_pages_in_step = dg.AutomationConditionSensorDefinition(
    name="keep_pages_in_step",
    target=dg.AssetSelection.assets("round_report", "sft_dataset"),
    description="Makes a round's report and the dataset again when a person made the round's manifest again. Not "
    "needed for the loop itself, whose runs make them.",
)

SENSORS = [weak_category_sensor, round_ready_sensor, keep_pages_in_step, alert_on_failure]
