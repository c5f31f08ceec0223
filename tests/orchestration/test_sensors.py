"""Sensors and the schedule, on a real instance and a real data folder, ticks evaluated directly."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from sedi_dagster.cli import main
from sedi_dagster.definitions import defs
from sedi_dagster.orchestration import runs, state
from sedi_dagster.orchestration.checking import BLOCKING
from sedi_dagster.orchestration.due import RETRY_POLICIES
from sedi_dagster.orchestration.evaluating import evaluation_fingerprint
from sedi_dagster.orchestration.ownership import driver_lock
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.planning import BY_SEDI_RUN, BY_SENSOR, needs_preparation, next_plan, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import PROCESS, close_dead_runs
from sedi_dagster.orchestration.schedules import nightly_regeneration
from sedi_dagster.orchestration.sensors import round_ready_sensor, weak_category_sensor
from sedi_dagster.records import CategoryOutcome, RoundOutcome, RoundPlan
from sedi_dagster.teacher import owners

JOBS_BY_NAME = {name: defs().resolve_job_def(name) for name in ("prepare", "generate_batch", "train_round")}
FRAME = pl.DataFrame({"candidate_id": ["a"]})


@pytest.fixture
def sedi(project: Path) -> SediResource:
    return SediResource()


def opened(sedi: SediResource, instance: dg.DagsterInstance, trigger: str) -> RoundPlan:
    plan = next_plan(sedi, trigger)
    assert isinstance(plan, RoundPlan)
    start_round(sedi, instance, plan)
    return plan


def passed(sedi: SediResource, *place: str, passes: bool = True) -> None:
    """Write down what a partition's blocking checks found."""
    marker = sedi.store().tables_marker(*place)
    assert marker is not None
    for name in BLOCKING.get(place[0], ()):
        verdict = {"data_version": marker["data_version"], "passed": passes}
        sedi.store().write_json(verdict, "checks", *place, f"{name}.json")


def prepared(sedi: SediResource) -> None:
    sedi.store().write_tables({"seeds": sedi.seeds()}, "seed_pool")
    origin = pl.DataFrame({"fingerprint": [evaluation_fingerprint(sedi)]})
    sedi.store().write_tables({"origin": origin}, "baseline_scores")
    for asset in ("seed_pool", "baseline_scores"):
        passed(sedi, asset)


def finished(sedi: SediResource, instance: dg.DagsterInstance, plan: RoundPlan, *weak: str) -> None:
    """Write down that a round came to its end, with its report."""
    outcomes = tuple(
        CategoryOutcome(c, 6, 0, 0.0, 0.4, 0.9, 0.001, 0.001, "weak", "as planted")
        if c in weak
        else CategoryOutcome(c, 6, 6, 0.6, 1.0, 0.9, 1.0, 1.0, "fine", "as planted")
        for c in plan.category_ids
    )
    outcome = RoundOutcome(plan.round, 3, 4, 100, 0.0, True, outcomes)
    sedi.store().write_json({"outcome": outcome.to_json()}, "manifests", f"{plan.round}.json")
    for asset in ("lineage_manifest", "round_report"):
        sedi.store().write_tables({"rows": FRAME}, asset, plan.round)


def tick(
    sensor: dg.SensorDefinition, sedi: SediResource, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"sedi": sedi})
    result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def requests(result: dg.SensorResult | dg.SkipReason) -> list[tuple[str | None, str | None]]:
    assert isinstance(result, dg.SensorResult)
    return [(r.job_name, str(r.partition_key) if r.partition_key else None) for r in result.run_requests or []]


def generated(sedi: SediResource, plan: RoundPlan, *categories: str, passes: bool = True) -> None:
    """Write a category's batch, and what its blocking checks found."""
    for category in categories:
        place = ("generated_batches", plan.round, category)
        sedi.store().write_tables({"candidates": FRAME}, *place)
        passed(sedi, *place, passes=passes)


def said(result: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def submitted(
    result: dg.SensorResult | dg.SkipReason, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> list[dg.DagsterRun]:
    """What the daemon makes of a tick: runs with their key and tags, here ended at once."""
    assert isinstance(result, dg.SensorResult)
    return [
        instance.create_run_for_job(
            JOBS_BY_NAME[str(request.job_name)],
            status=status,
            tags={
                **request.tags,
                "dagster/run_key": str(request.run_key),
                **({"dagster/partition": str(request.partition_key)} if request.partition_key else {}),
            },
        )
        for request in result.run_requests or []
    ]


def test_before_the_first_round_both_sensors_say_what_to_press(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    for sensor in (round_ready_sensor, weak_category_sensor):
        assert "open_round" in said(tick(sensor, sedi, instance))


def test_a_round_opened_by_a_person_is_prepared_then_generated_then_trained(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    plan = opened(sedi, instance, "person")
    assert requests(tick(round_ready_sensor, sedi, instance)) == [("prepare", None)]
    prepared(sedi)
    asked = requests(tick(round_ready_sensor, sedi, instance))
    assert asked == [("generate_batch", f"{c}|{plan.round}") for c in plan.category_ids]
    generated(sedi, plan, *plan.category_ids)
    ready = tick(round_ready_sensor, sedi, instance)
    assert requests(ready) == [("train_round", plan.round)]
    judged = {key.name for request in ready.run_requests or [] for key in request.asset_check_keys or []}
    assert {"the_manifest_agrees_with_the_data", *BLOCKING["filtered_batches"]} <= judged
    assert "the_data_folder_is_as_recorded" not in judged, "it reads the whole data folder, and has a job of its own"


def test_a_changed_student_or_item_asks_for_a_new_baseline(
    sedi: SediResource, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(sedi)
    assert needs_preparation(sedi) == []
    items = project / "items.jsonl"
    items.write_text(items.read_text().replace("colour number 3", "color number 3"), encoding="utf-8")
    assert needs_preparation(sedi) == ["baseline_scores"]
    prepared(sedi)
    monkeypatch.setenv("SEDI_TRAINING_STUDENT", "another")
    assert needs_preparation(sedi) == ["baseline_scores"]


def test_training_waits_for_the_last_batch(sedi: SediResource, instance: dg.DagsterInstance) -> None:
    prepared(sedi)
    plan = opened(sedi, instance, "person")
    generated(sedi, plan, plan.category_ids[0])
    assert requests(tick(round_ready_sensor, sedi, instance)) == [
        ("generate_batch", f"{plan.category_ids[1]}|{plan.round}")
    ]


@pytest.mark.parametrize("kind", ["failed", "of other data", "never ran"])
def test_training_does_not_start_on_a_batch_that_has_not_passed_its_blocking_check(
    sedi: SediResource, instance: dg.DagsterInstance, kind: str
) -> None:
    prepared(sedi)
    plan = opened(sedi, instance, "person")
    generated(sedi, plan, *plan.category_ids, passes=kind != "failed")
    for category in plan.category_ids:
        place = (plan.round, category)
        if kind == "of other data":
            sedi.store().write_tables({"candidates": FRAME.clear()}, "generated_batches", *place)
        if kind == "never ran":
            sedi.store().remove("checks", "generated_batches", *place)
    assert requests(tick(round_ready_sensor, sedi, instance)) == [
        ("generate_batch", f"{category}|{plan.round}") for category in plan.category_ids
    ]


def test_a_failed_run_is_asked_for_again_by_a_new_key_and_given_up_after_some(
    sedi: SediResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(sedi)
    opened(sedi, instance, "person")
    keys = []
    for hours in range(RETRY_POLICIES["lost"].attempts):
        monkeypatch.setattr(state, "time", SimpleNamespace(time=lambda now=time.time() + 3600 * hours: now))  # noqa: B008
        result = tick(round_ready_sensor, sedi, instance)
        keys += [run.tags["dagster/run_key"] for run in submitted(result, instance, dg.DagsterRunStatus.FAILURE)]
    assert len(set(keys)) == len(keys) == 2 * RETRY_POLICIES["lost"].attempts
    monkeypatch.setattr(state, "time", SimpleNamespace(time=lambda: time.time() + 1e6))
    assert "given up after" in said(tick(round_ready_sensor, sedi, instance))


def test_changed_settings_begin_the_count_of_attempts_anew(
    sedi: SediResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(sedi)
    plan = opened(sedi, instance, "person")
    submitted(tick(round_ready_sensor, sedi, instance), instance, dg.DagsterRunStatus.CANCELED)
    assert "was cancelled" in said(tick(round_ready_sensor, sedi, instance))
    monkeypatch.setenv("SEDI_TEACHER_API_KEY", "a-new-key")
    assert len(requests(tick(round_ready_sensor, sedi, instance))) == len(plan.category_ids)


@pytest.mark.parametrize("tags", [["partition"], ["asset_partition_range_start", "asset_partition_range_end"]])
def test_a_run_that_a_person_launched_for_the_partition_is_waited_for(
    sedi: SediResource, instance: dg.DagsterInstance, tags: list[str]
) -> None:
    prepared(sedi)
    plan = opened(sedi, instance, "person")
    generated(sedi, plan, *plan.category_ids[1:])
    instance.create_run_for_job(
        JOBS_BY_NAME["generate_batch"],
        status=dg.DagsterRunStatus.STARTED,
        tags={f"dagster/{tag}": f"{plan.category_ids[0]}|{plan.round}" for tag in tags},
    )
    assert "is in progress" in said(tick(round_ready_sensor, sedi, instance))


def test_a_reset_data_folder_does_not_run_into_spent_run_keys(
    sedi: SediResource, instance: dg.DagsterInstance, project: Path
) -> None:
    prepared(sedi)
    opened(sedi, instance, "person")
    first = tick(round_ready_sensor, sedi, instance)
    spent = {run.tags["dagster/run_key"] for run in submitted(first, instance, dg.DagsterRunStatus.SUCCESS)}
    shutil.rmtree(project / "data")
    prepared(sedi)
    time.sleep(1.1)  # plans tell when they were made, to the second
    opened(sedi, instance, "person")
    again = tick(round_ready_sensor, sedi, instance)
    assert isinstance(again, dg.SensorResult)
    assert not spent & {request.run_key for request in again.run_requests or []}


def test_the_sensors_leave_the_loop_to_a_sedi_run_that_is_at_work_and_take_it_up_after(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    opened(sedi, instance, BY_SEDI_RUN)
    with driver_lock(Path(instance.root_directory)):
        assert "`sedi run`" in said(tick(round_ready_sensor, sedi, instance))
    assert len(requests(tick(round_ready_sensor, sedi, instance))) == 2


def test_of_two_machines_on_one_data_folder_one_carries_the_loop_on_until_it_is_gone(
    sedi: SediResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(sedi)
    opened(sedi, instance, "person")
    assert len(requests(tick(round_ready_sensor, sedi, instance))) == 2
    with dg.DagsterInstance.ephemeral() as another:
        assert f"{instance.root_directory}) drives the loop" in said(tick(round_ready_sensor, sedi, another))
        with monkeypatch.context() as later:
            later.setattr(owners, "STALE_S", -1.0)
            assert len(requests(tick(round_ready_sensor, sedi, another))) == 2
        assert f"{another.root_directory}) drives the loop" in said(tick(round_ready_sensor, sedi, instance))


@pytest.mark.parametrize(("alone", "closed"), [(True, 1), (False, 0)])
def test_a_sedi_run_of_another_machine_is_gone_if_the_loop_is_ours(
    instance: dg.DagsterInstance, alone: bool, closed: int
) -> None:
    tags = {PROCESS: "another-machine:1"}
    instance.create_run_for_job(JOBS_BY_NAME["prepare"], status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert len(close_dead_runs(instance, alone=alone)) == closed


def test_a_run_that_was_never_handed_over_is_closed_after_a_while(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = instance.create_run_for_job(JOBS_BY_NAME["prepare"], status=dg.DagsterRunStatus.NOT_STARTED)
    assert close_dead_runs(instance, alone=True) == []
    later = time.time() + 600
    monkeypatch.setattr(runs, "time", SimpleNamespace(time=lambda: later))
    assert close_dead_runs(instance, alone=True) == [run.run_id]


def test_a_partition_deleted_in_the_ui_comes_back_and_one_that_is_no_round_goes(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    plan = opened(sedi, instance, "person")
    instance.delete_dynamic_partition(str(ROUNDS.name), plan.round)
    instance.add_dynamic_partitions(str(ROUNDS.name), ["banana"])
    assert len(requests(tick(round_ready_sensor, sedi, instance))) == len(plan.category_ids)
    assert instance.get_dynamic_partitions(str(ROUNDS.name)) == [plan.round]


def test_a_weak_category_opens_the_next_round_which_is_then_carried_on(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    assert "Opened round-0002: math" in said(tick(weak_category_sensor, sedi, instance))
    plan = sedi.plan("round-0002")
    assert (plan.trigger, plan.parent, plan.category_ids) == (BY_SENSOR, "round-0001", ["math"])
    assert instance.has_dynamic_partition(str(ROUNDS.name), "round-0002")
    assert requests(tick(round_ready_sensor, sedi, instance)) == [("generate_batch", "math|round-0002")]
    assert "round-0002 is open" in said(tick(weak_category_sensor, sedi, instance))
    assert len(sedi.history().plans) == 2


def test_a_category_that_the_round_does_not_ask_for_is_an_empty_partition_with_its_reason(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    tick(weak_category_sensor, sedi, instance)
    batches = dg.AssetKey("generated_batches")
    assert instance.get_materialized_partitions(batches) == {"open_qa|round-0002"}
    (record,) = instance.fetch_materializations(batches, limit=1).records
    event = record.event_log_entry.asset_materialization
    assert event is not None and "does not include open_qa (fine after round-0001" in str(event.description)


def test_of_two_who_open_the_same_round_the_first_ones_plan_holds(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    mine, theirs = next_plan(sedi, "me", ["math"]), next_plan(sedi, "they", ["open_qa"])
    assert isinstance(mine, RoundPlan) and isinstance(theirs, RoundPlan)
    assert start_round(sedi, instance, theirs) and not start_round(sedi, instance, mine)
    assert sedi.plan("round-0001").trigger == "they"


def test_the_loop_rests_at_every_tick_and_says_why_and_a_raised_budget_wakes_it(
    sedi: SediResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(sedi)
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS", "50")
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    for _ in range(2):
        assert "the budget is spent" in said(tick(weak_category_sensor, sedi, instance))
        assert "the budget is spent" in said(tick(round_ready_sensor, sedi, instance))
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS", "5000")
    assert "Opened round-0002" in said(tick(weak_category_sensor, sedi, instance))


def test_a_broken_seed_file_is_a_skip_reason_not_a_crash(
    sedi: SediResource, instance: dg.DagsterInstance, project: Path
) -> None:
    opened(sedi, instance, "person")
    (project / "seeds.jsonl").write_text('{"instruction": 3}\n', encoding="utf-8")
    result = tick(round_ready_sensor, sedi, instance)
    assert isinstance(result, dg.SkipReason)
    assert "seeds.jsonl has an unknown format (fields: instruction" in str(result.skip_message)


def test_the_schedule_opens_a_round_only_when_the_last_one_is_closed_and_the_planner_finds_one(
    sedi: SediResource, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_LOOP_NIGHTLY_TIMEZONE", "Asia/Tokyo")

    def night(day: int) -> dg.ScheduleEvaluationContext:
        at = datetime(2026, 11, day, 17, tzinfo=UTC)  # 02:00 on the next day in Tokyo
        return dg.build_schedule_context(instance=instance, resources={"sedi": sedi}, scheduled_execution_time=at)

    first, second = nightly_regeneration(night(25)), nightly_regeneration(night(26))
    assert isinstance(first, dg.RunRequest) and isinstance(second, dg.RunRequest)
    assert first.tags["sedi/night"] == "2026-11-26"
    assert first.run_key != second.run_key, "a run that failed one night does not keep the next one back"
    assert first.run_config["ops"]["plan_next_round"]["config"]["trigger"] == "nightly_regeneration"
    plan = opened(sedi, instance, "nightly_regeneration")
    still_open = nightly_regeneration(night(27))
    assert isinstance(still_open, dg.SkipReason) and plan.round in str(still_open.skip_message)
    finished(sedi, instance, plan)
    rested = nightly_regeneration(night(28))
    assert isinstance(rested, dg.SkipReason)
    assert "no category is weak" in str(rested.skip_message)


def test_sedi_plan_says_what_the_sensor_would_do_and_does_nothing(
    sedi: SediResource, instance: dg.DagsterInstance, project: Path
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    before = sorted(str(file) for file in (project / "data" / "plans").rglob("*"))
    result = CliRunner().invoke(main, ["plan"], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "Plan of round-0002" in result.output and "math" in result.output and "as planted" in result.output
    assert "tokens" in result.output, "what it would cost"
    assert sorted(str(file) for file in (project / "data" / "plans").rglob("*")) == before
    tick(weak_category_sensor, sedi, instance)
    assert sedi.plan("round-0002").category_ids == ["math"]


def test_a_stuck_category_is_told_to_a_person_by_the_sensor_and_by_sedi_plan(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"))
    outcome = sedi.history().finished[0]
    stuck = replace(outcome, categories=(replace(outcome.categories[0], decision="stuck"), *outcome.categories[1:]))
    sedi.store().write_json({"outcome": stuck.to_json()}, "manifests", f"{outcome.round}.json")
    output = CliRunner().invoke(main, ["plan"], catch_exceptions=False).output
    for text in (said(tick(weak_category_sensor, sedi, instance)), output):
        assert outcome.categories[0].category in text and "You need to act" in text
