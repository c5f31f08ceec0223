"""Sensors and the schedule, on a real instance and a real data folder, ticks evaluated directly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from sedi_dagster.cli import main
from sedi_dagster.orchestration.evaluating import evaluation_fingerprint
from sedi_dagster.orchestration.planning import BY_SEDI_RUN, BY_SENSOR, needs_preparation, next_plan, open_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.schedules import nightly_regeneration
from sedi_dagster.orchestration.sensors import round_ready_sensor, weak_category_sensor
from sedi_dagster.records import CategoryOutcome, RoundOutcome, RoundPlan

FRAME = pl.DataFrame({"candidate_id": ["a"]})


@pytest.fixture
def sedi(project: Path) -> SediResource:
    return SediResource()


def opened(sedi: SediResource, instance: dg.DagsterInstance, trigger: str) -> RoundPlan:
    plan = next_plan(sedi, trigger)
    assert isinstance(plan, RoundPlan)
    open_round(sedi, instance, plan)
    return plan


def prepared(sedi: SediResource) -> None:
    sedi.store().write_tables({"seeds": sedi.seeds()}, "seed_pool")
    origin = pl.DataFrame({"fingerprint": [evaluation_fingerprint(sedi)]})
    sedi.store().write_tables({"origin": origin}, "baseline_scores")


def finished(sedi: SediResource, instance: dg.DagsterInstance, plan: RoundPlan, *weak: str) -> None:
    """Write down that a round came to its end, as lineage_manifest and evaluation_scores do."""
    outcomes = tuple(
        CategoryOutcome(c, 6, 0, 0.0, 0.4, 0.9, 0.001, 0.001, "weak" if c in weak else "fine", "as planted")
        for c in plan.category_ids
    )
    outcome = RoundOutcome(plan.round, 3, 4, 100, 0.0, True, outcomes)
    sedi.store().write_json({"outcome": outcome.to_json()}, "manifests", f"{plan.round}.json")
    instance.report_runless_asset_event(dg.AssetMaterialization("evaluation_scores", partition=plan.round))


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


def test_nothing_is_started_while_no_round_is_open(sedi: SediResource, instance: dg.DagsterInstance) -> None:
    assert isinstance(tick(round_ready_sensor, sedi, instance), dg.SkipReason)
    assert isinstance(tick(weak_category_sensor, sedi, instance), dg.SkipReason)


def test_a_round_opened_by_a_person_is_prepared_then_generated_then_trained(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    plan = opened(sedi, instance, "person")
    assert requests(tick(round_ready_sensor, sedi, instance)) == [("prepare", None)]
    prepared(sedi)
    asked = requests(tick(round_ready_sensor, sedi, instance))
    assert asked == [("generate_batch", f"{c}|{plan.round}") for c in plan.category_ids]
    for category in plan.category_ids:
        sedi.store().write_tables({"candidates": FRAME}, "generated_batches", plan.round, category)
    assert requests(tick(round_ready_sensor, sedi, instance)) == [("train_round", plan.round)]


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
    sedi.store().write_tables({"candidates": FRAME}, "generated_batches", plan.round, plan.category_ids[0])
    assert requests(tick(round_ready_sensor, sedi, instance)) == [
        ("generate_batch", f"{plan.category_ids[1]}|{plan.round}")
    ]


def test_training_does_not_start_on_a_batch_whose_run_failed(sedi: SediResource, instance: dg.DagsterInstance) -> None:
    prepared(sedi)
    plan = opened(sedi, instance, "person")
    for category in plan.category_ids:
        sedi.store().write_tables({"candidates": FRAME}, "generated_batches", plan.round, category)
    tags = {"dagster/partition": f"{plan.category_ids[0]}|{plan.round}"}
    instance.add_run(
        dg.DagsterRun(job_name="generate_batch", run_id="f" * 8, tags=tags, status=dg.DagsterRunStatus.FAILURE)
    )
    asked = requests(tick(round_ready_sensor, sedi, instance))
    assert asked == [("generate_batch", f"{plan.category_ids[0]}|{plan.round}")]


def test_a_round_of_sedi_run_is_left_to_it(sedi: SediResource, instance: dg.DagsterInstance) -> None:
    opened(sedi, instance, BY_SEDI_RUN)
    result = tick(round_ready_sensor, sedi, instance)
    assert isinstance(result, dg.SkipReason)
    assert "sedi run" in str(result.skip_message)


def test_a_weak_category_opens_the_next_round_with_its_partition_and_batches(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    result = tick(weak_category_sensor, sedi, instance)
    assert requests(result) == [("generate_batch", "math|round-0002")]
    assert isinstance(result, dg.SensorResult)
    added = [key for request in result.dynamic_partitions_requests or [] for key in request.partition_keys]
    assert added == ["round-0002"]
    plan = sedi.plan("round-0002")
    assert (plan.trigger, plan.parent, plan.category_ids) == (BY_SENSOR, "round-0001", ["math"])


def test_a_repeated_tick_asks_for_the_same_runs_by_the_same_keys(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    first, again = tick(weak_category_sensor, sedi, instance), tick(weak_category_sensor, sedi, instance)
    assert isinstance(first, dg.SensorResult)
    assert isinstance(again, dg.SensorResult)
    assert [r.run_key for r in first.run_requests or []] == [r.run_key for r in again.run_requests or []]
    assert len(sedi.history().plans) == 2


def test_the_loop_rests_and_says_why_when_no_category_is_weak(sedi: SediResource, instance: dg.DagsterInstance) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"))
    result = tick(weak_category_sensor, sedi, instance)
    assert isinstance(result, dg.SensorResult)
    assert "no category is weak" in str(result.skip_reason)
    assert isinstance(tick(weak_category_sensor, sedi, instance, cursor=result.cursor), dg.SkipReason)


def test_an_evaluation_that_was_acted_on_opens_no_second_round(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    result = tick(weak_category_sensor, sedi, instance)
    assert isinstance(result, dg.SensorResult)
    sedi.store().write_json(
        {"outcome": RoundOutcome("round-0002", 1, 1, 1, 0.0, True).to_json()}, "manifests", "round-0002.json"
    )
    assert isinstance(tick(weak_category_sensor, sedi, instance, cursor=result.cursor), dg.SkipReason)


def test_a_broken_seed_file_is_a_skip_reason_not_a_crash(
    sedi: SediResource, instance: dg.DagsterInstance, project: Path
) -> None:
    opened(sedi, instance, "person")
    (project / "seeds.jsonl").write_text('{"instruction": 3}\n', encoding="utf-8")
    result = tick(round_ready_sensor, sedi, instance)
    assert isinstance(result, dg.SkipReason)
    assert "line 1, field 'instruction'" in str(result.skip_message)


def test_the_schedule_opens_a_round_only_when_the_planner_finds_one(
    sedi: SediResource, instance: dg.DagsterInstance
) -> None:
    context = dg.build_schedule_context(instance=instance, resources={"sedi": sedi})
    first = nightly_regeneration(context)
    assert isinstance(first, dg.RunRequest)
    assert first.run_config["ops"]["plan_next_round"]["config"]["trigger"] == "nightly_regeneration"
    finished(sedi, instance, opened(sedi, instance, "nightly_regeneration"))
    rested = nightly_regeneration(context)
    assert isinstance(rested, dg.SkipReason)
    assert "no category is weak" in str(rested.skip_message)


def test_sedi_plan_says_what_the_sensor_would_do_and_does_nothing(
    sedi: SediResource, instance: dg.DagsterInstance, project: Path
) -> None:
    prepared(sedi)
    finished(sedi, instance, opened(sedi, instance, "person"), "math")
    before = sorted(str(file) for file in (project / "data" / "plans").rglob("*"))
    told = CliRunner().invoke(main, ["plan"], catch_exceptions=False, env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert "round-0002 would ask for" in told.output and "math" in told.output and "as planted" in told.output
    assert "tokens" in told.output, "what it would cost"
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
    result = tick(weak_category_sensor, sedi, instance)
    assert isinstance(result, dg.SensorResult)
    told = CliRunner().invoke(main, ["plan"], catch_exceptions=False).output
    for text in (str(result.skip_reason), told):
        assert outcome.categories[0].category in text and "person is needed" in text
