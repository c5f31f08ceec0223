"""The asset `generated_batches` with a simulated teacher behind real HTTP: methods, foreign seeds, a spent budget."""

from __future__ import annotations

import json
import math
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.generated_batches import generated_batches
from assets.seed_pool import seed_pool
from sedi_dagster.generation.candidates import NOT_ASKED
from sedi_dagster.generation.methods import METHODS
from sedi_dagster.orchestration.checks import every_candidate_has_its_call
from sedi_dagster.orchestration.estimating import estimate_round, round_allowance
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.partitions import batch_key
from sedi_dagster.orchestration.planning import next_plan, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.state import missing_batches
from sedi_dagster.records import RoundPlan, Tables
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.rounds import cut_short
from sedi_dagster.teacher.budget import Budget, today
from sedi_dagster.teacher.open import open_ledger
from sedi_dagster.workloads import progress

pytestmark = pytest.mark.usefixtures("project")


def opened(instance: dg.DagsterInstance, candidates: int = 6) -> RoundPlan:
    plan = next_plan(SediResource(), "a test", None, candidates)
    assert isinstance(plan, RoundPlan)
    start_round(SediResource(), instance, plan)
    return plan


def generated(
    instance: dg.DagsterInstance, plan: RoundPlan, category: str = "math", tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    """Materialize the batch. `tags`: of the run, where they name its partition."""
    resources = {"sedi": SediResource(), "io_manager": TablesIOManager(sedi=SediResource())}
    dg.materialize([seed_pool], instance=instance, resources=resources)
    return dg.materialize(
        [seed_pool, generated_batches, every_candidate_has_its_call],
        selection=dg.AssetSelection.assets("generated_batches"),
        instance=instance,
        resources=resources,
        partition_key=None if tags else batch_key(category, plan.round),
        tags=tags,
        raise_on_error=False,
    )


def tables(plan: RoundPlan, category: str = "math") -> Tables:
    return SediResource().store().read_tables("generated_batches", plan.round, category)


def test_a_mix_of_all_methods_fills_a_category(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = {"self_instruct": 0.5, "single_call": 0.3, "evol_instruct": 0.2}
    monkeypatch.setenv("SEDI_GENERATION_METHODS", json.dumps(mix))
    plan = opened(instance, 10)
    before = estimate_round(load_settings(), 10)
    assert generated(instance, plan).success
    found = tables(plan)
    assert set(found["candidates"]["method"]) == set(mix)
    evolved = found["candidates"].filter(pl.col("method") == "evol_instruct")
    assert evolved["parent_id"].null_count() == 0
    after = estimate_round(load_settings(), 10)
    assert list(after) == list(mix) and not any(e.measured for e in before.values())
    assert all(e.measured and e.tokens < before[name].tokens for name, e in after.items())


def test_a_backfill_names_the_partition_of_a_run_as_a_range_of_one(instance: dg.DagsterInstance) -> None:
    plan = opened(instance, 2)
    ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    result = generated(instance, plan, tags=dict.fromkeys(ends, f"math|{plan.round}"))
    assert result.success and all(check.passed for check in result.get_asset_check_evaluations())
    assert tables(plan)["candidates"].height


def test_the_log_has_a_line_of_progress_now_and_then_and_the_last_one_whatever_the_number_of_waves(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL_S", math.inf)
    monkeypatch.setenv("SEDI_GENERATION_METHODS", json.dumps({"self_instruct": 1.0}))
    result = generated(instance, opened(instance, 10))
    logged = [progress.parse_progress(entry.user_message) for entry in instance.all_logs(result.run_id)]
    (line,) = [line for line in logged if line is not None]
    assert line.stage == "generate" and line.done == line.total > 0 < line.figures["tokens"]


@pytest.mark.parametrize("method", METHODS)
def test_seeds_in_self_instructs_own_format_run_through_every_method(
    method: str, instance: dg.DagsterInstance, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "id": f"seed_task_{n}",
            "name": f"{category}_{n}",
            "category": category,
            "instruction": f"Tell in a few words what {category} says about {thing}.",
            "instances": [{"input": "", "output": f"It counts {thing}."}, {"input": "more", "output": "Little."}],
            "is_classification": False,
        }
        for category in ("math", "open_qa")
        for n, thing in enumerate(("hedges", "copper wire", "tall stairs"), 10 * (category == "math"))
    ]
    (project / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setenv("SEDI_GENERATION_METHODS", json.dumps({method: 1.0}))
    plan = opened(instance)
    assert generated(instance, plan).success
    assert tables(plan)["candidates"]["problem"].null_count() > 0


def test_a_round_whose_budget_is_spent_midway_keeps_what_was_paid(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS_PER_ROUND", "3000")
    plan = opened(instance, 40)
    ended = generated(instance, plan)
    assert ended.success, [event.step_failure_data for event in ended.all_events if event.is_step_failure]
    metadata = ended.asset_materializations_for_node("generated_batches")[0].metadata
    assert metadata["stopped"].value == "budget"
    assert tables(plan)["result"]["stopped"].to_list() == ["budget"]
    found = tables(plan)
    assert NOT_ASKED in found["candidates"]["problem"].to_list()
    assert 0 < found["calls"].select("prompt_tokens", "completion_tokens").to_numpy().sum() <= 3000


def test_no_round_takes_more_than_the_estimate_s_bound_and_a_raised_limit_has_it_gone_on_with(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS_PER_ROUND", "3000")
    sedi = SediResource()
    bound = round_allowance(load_settings())
    plan = opened(instance, 40)
    assert generated(instance, plan).success
    with open_ledger(load_settings()) as ledger:
        account = ledger.account(f"round:{plan.round}")
    assert bound.tokens == 3000 and bound.settings == ("SEDI_LOOP_MAX_TOKENS_PER_ROUND",)
    assert 0 < account.spent_tokens <= bound.tokens and not account.reserved_tokens

    def due() -> bool:
        caps = Budget.from_settings(load_settings()).caps(plan.round, today())
        return "math" in missing_batches(sedi.store(), plan, caps)

    first = tables(plan)
    assert cut_short(sedi.store(), plan.round, "math") and not due()
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS_PER_ROUND", "2500")
    assert not due()
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS_PER_ROUND", "500000")
    assert due()
    assert generated(instance, plan).success
    whole = tables(plan)
    assert not cut_short(sedi.store(), plan.round, "math") and not due()
    assert NOT_ASKED not in whole["candidates"]["problem"].to_list()
    assert set(first["calls"]["request_key"]) <= set(whole["calls"]["request_key"])


def test_a_mix_that_cannot_be_ends_the_step_before_anything_is_asked(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_GENERATION_METHODS", '{"self_instruct": 0.7}')
    ended = generated(instance, opened(instance))
    assert not ended.success
    text = next(event for event in ended.all_events if event.is_step_failure)
    assert "do not add up to 1" in str(text.step_failure_data)


def test_what_further_samples_of_an_answer_cost_shows_in_the_materialization(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_GENERATION_METHODS", '{"single_call": 1.0}')
    monkeypatch.setenv("SEDI_GENERATION_ANSWER_SAMPLES", "3")
    plan = opened(instance)
    ended = generated(instance, plan)
    text = str(ended.asset_materializations_for_node("generated_batches")[0].metadata["calls_by_purpose"].value)
    calls = tables(plan)["calls"]
    counted = calls.filter(pl.col("purpose") == "answer_sample").height
    assert counted > 0 and f"| answer_sample | {counted} |" in text
    estimate = estimate_round(load_settings(), 6)["single_call"].calls
    monkeypatch.setenv("SEDI_GENERATION_ANSWER_SAMPLES", "1")
    assert estimate > estimate_round(load_settings(), 6)["single_call"].calls
