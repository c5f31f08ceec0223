"""Evaluation as the assets use it: asked only for what is not known, decided on with memory of earlier rounds."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.errors import ModelError, SediError, SettingsError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.deciding import attention_needed, decide, outcome_table, round_outcome, targets_in_words
from sedi_dagster.orchestration.evaluating import evaluate_reference, evaluate_student, evaluation_fingerprint
from sedi_dagster.orchestration.planning import next_plan
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.teaching import check_judge
from sedi_dagster.records import CategoryPlan, RoundOutcome, RoundPlan
from sedi_dagster.storage.rounds import save_plan

CONTEXT = dg.build_asset_context()


@pytest.fixture
def served(project: Path, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch) -> SediResource:
    """A project whose student is served behind an endpoint."""
    monkeypatch.setenv("SEDI_EVALUATION_BASE_URL", simulated_teacher.base_url)
    monkeypatch.setenv("SEDI_EVALUATION_MODEL", "simulated-teacher")
    return SediResource()


def test_a_served_student_answers_every_item_once_and_never_again(
    served: SediResource, project: Path, simulated_teacher: FaultyTeacher
) -> None:
    items = evaluate_student(CONTEXT, served, None)
    assert items.height == 12 and items["reference_loss"].null_count() == 12
    assert items["answer"].str.len_chars().min() and set(items["half"]) == {"A", "B"}  # type: ignore[operator]
    asked = simulated_teacher.meter.requests
    assert asked == 12
    assert evaluate_student(CONTEXT, served, None).equals(items)
    assert simulated_teacher.meter.requests == asked, "another process finds the rows on disk"

    file = project / "items.jsonl"
    file.write_text(file.read_text().replace("colour number 3 of math", "hue number 3 of math"), encoding="utf-8")
    again = evaluate_student(CONTEXT, served, None)
    assert simulated_teacher.meter.requests == asked + 1, "only the item that changed is asked"
    assert again.filter(pl.col("prompt").str.contains("hue")).height == 1


def test_rows_in_the_data_folder_serve_where_the_cache_is_lost(
    served: SediResource, project: Path, simulated_teacher: FaultyTeacher
) -> None:
    items = evaluate_student(CONTEXT, served, None)
    served.store().write_tables({"items": items}, "baseline_scores")
    for file in (project / "cache" / "evaluations").iterdir():
        file.unlink()
    asked = simulated_teacher.meter.requests
    assert evaluate_student(CONTEXT, served, None).equals(items)
    assert simulated_teacher.meter.requests == asked


def test_an_evaluation_that_was_cut_off_asks_only_for_the_rest(
    served: SediResource, project: Path, simulated_teacher: FaultyTeacher
) -> None:
    items = evaluate_student(CONTEXT, served, None)
    (results,) = (project / "cache" / "evaluations").iterdir()
    lines = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(lines[:7]) + lines[7][:40])
    asked = simulated_teacher.meter.requests
    assert evaluate_student(CONTEXT, served, None).select("item_id").equals(items.select("item_id"))
    assert simulated_teacher.meter.requests == asked + 5


def test_an_endpoint_that_is_down_is_told_in_one_clear_error(
    served: SediResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_EVALUATION_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SEDI_EVALUATION_API_KEY", "planted-key-4711")
    with pytest.raises(Exception, match="SEDI_EVALUATION_BASE_URL") as raised:
        evaluate_student(CONTEXT, served, None)
    assert "planted-key-4711" not in str(raised.value)


def test_a_served_student_is_asked_before_anything_is_spent(
    served: SediResource, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"(?s)answered by the same weights.*Put \{checkpoint\}"):
        preflight(served)
    monkeypatch.setenv("SEDI_EVALUATION_MODEL", "{checkpoint}")
    asked = simulated_teacher.meter.requests
    with pytest.raises(ModelError, match="also answers for 'no-such-checkpoint'"):  # as llama.cpp does
        preflight(served)
    assert simulated_teacher.meter.requests == asked + 2
    monkeypatch.setenv("SEDI_EVALUATION_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match=r"(?s)student 'untrained' at .* failed.*Serve it under this name"):
        preflight(served)


def test_items_that_run_code_need_a_machine_that_can_hold_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = {"verifier": "code_tests", "args": {"function": "one", "tests": ["assert one() == 1"]}}
    file = project / "items.jsonl"
    items = [json.loads(line) for line in file.read_text().splitlines()]
    monkeypatch.setattr(sys, "executable", "")  # the sandbox cannot start its processes
    preflight(SediResource())
    file.write_text(
        "\n".join(json.dumps(i) for i in [items[0] | {"verifier": "all", "args": {"of": [code]}}, *items[1:]])
    )
    with pytest.raises(SediError, match="items are judged by running code, and the sandbox does not work"):
        preflight(SediResource())


def test_another_endpoint_or_student_asks_for_a_new_baseline(
    served: SediResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluation_fingerprint(served)
    monkeypatch.setenv("SEDI_EVALUATION_MODEL", "another")
    assert evaluation_fingerprint(served) != first


def answered(sedi: SediResource, **passed_of: int) -> pl.DataFrame:
    """All items, of which so many passed in each category."""
    left = dict(passed_of)
    rows = []
    for item in sedi.items():
        left[item.category] = left.get(item.category, 0) - 1
        passed = left[item.category] >= 0
        rows.append(
            {
                "item_id": item.id,
                "category": item.category,
                "cluster": item.cluster,
                "difficulty": item.difficulty,
                "half": "AB"[len(rows) % 2],
                "passed": passed,
                "score": float(passed),
                "errors": [] if passed else ["wrong answer"],
                "reference_loss": 1.0,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"errors": pl.List(pl.String)})


def ended(sedi: SediResource, plan: RoundPlan, items: pl.DataFrame, before: pl.DataFrame) -> RoundOutcome:
    """Decide a round and write its outcome down, as the assets do."""
    save_plan(sedi.store(), plan)
    origin = pl.DataFrame({"student": [sedi.settings().training.student], "parent": [""]})
    sedi.store().write_tables({"origin": origin}, "sft_checkpoint", plan.round)
    decided = decide(sedi, plan, items, None, lambda checkpoint: before)
    verdicts = pl.DataFrame({"category": ["math", "math", "open_qa"], "state": ["kept", "rejected", "kept"]})
    calls = pl.DataFrame(
        {
            "category": ["math", "open_qa"],
            "prompt_tokens": [10, 20],
            "completion_tokens": [5, 5],
            "cost_usd": [0.1, 0.2],
        }
    )
    outcome = round_outcome(plan, verdicts, calls, items, outcome_table(decided.outcomes), decided.promoted)
    assert RoundOutcome.from_json(outcome.to_json()) == outcome
    sedi.store().write_json({"outcome": outcome.to_json()}, "manifests", f"{plan.round}.json")
    return outcome


def plan(number: int, *categories: str) -> RoundPlan:
    return RoundPlan(
        f"round-{number:04d}", None, "test", tuple(CategoryPlan(c, 4, "") for c in categories), number, None
    )


def test_a_round_knows_what_each_category_took_and_where_it_fails(project: Path) -> None:
    sedi = SediResource()
    nothing = answered(sedi)
    outcome = ended(sedi, plan(1, "math", "open_qa"), answered(sedi, open_qa=6), nothing)
    math, open_qa = outcome.of("math"), outcome.of("open_qa")
    assert math is not None and open_qa is not None
    assert (math.decision, open_qa.decision) == ("weak", "fine")
    assert (math.candidates, math.kept, math.tokens, outcome.cost_usd) == (2, 1, 15, pytest.approx(0.3))
    assert (math.errors, open_qa.errors, math.difficulty) == (("wrong answer",), (), "easy")


def test_a_category_that_two_rounds_asked_for_in_vain_is_stuck_and_a_person_is_told(project: Path) -> None:
    sedi = SediResource()
    nothing = answered(sedi)
    ended(sedi, plan(1, "math", "open_qa"), nothing, nothing)
    second = ended(sedi, plan(2, "math"), nothing, nothing)
    third = ended(sedi, plan(3, "math"), nothing, nothing)
    assert [o.of("math").decision for o in (second, third)] == ["weak", "stuck"]  # type: ignore[union-attr]
    assert third.of("open_qa").decision == "weak"  # type: ignore[union-attr]
    needed = attention_needed(list(third.categories))
    assert "math" in needed and "open_qa" not in needed and attention_needed([]) == ""


def test_a_relative_target_is_taken_from_the_same_items_and_told_wherever_it_goes(project: Path) -> None:
    file = project / "categories.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("0.9", "untrained + 0.5", 1).replace("0.9", "[0.9, best + 0.25]", 1), encoding="utf-8")
    sedi = SediResource()
    untrained, first = answered(sedi, math=1), answered(sedi, math=1, open_qa=3)
    done = ended(sedi, plan(1, "math", "open_qa"), first, untrained)
    assert [(o.category, round(o.target, 2)) for o in done.categories] == [("math", 0.67), ("open_qa", 0.25)]
    decided = decide(sedi, plan(2, "math"), first, None, lambda checkpoint: first if checkpoint else untrained)
    math, open_qa = decided.outcomes
    assert math.target_in_words == "67% (50 points above the untrained student's 1 of 6)"
    assert open_qa.target_in_words == "75% (25 points above the best checkpoint before's 3 of 6)"
    kept = RoundOutcome.from_json(done.to_json()).categories[1]
    assert "(25 points above the best checkpoint before's 0 of 6)" in kept.reason and kept.target == 0.25
    planned = next_plan(sedi, "test")
    message = planned.reason if isinstance(planned, Stop) else " ".join(c.reason for c in planned.categories)
    assert "untrained student's 1 of 6" in message, "the plan's reason has the target's"
    assert targets_in_words(sedi, done.categories) == [
        "Target 50 points above the untrained student: math 67%.",
        "Target 90%, or 25 points above the best checkpoint before if that is less: open_qa 25%.",
    ]


def test_rounds_of_another_student_are_not_compared_with(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sedi = SediResource()
    nothing = answered(sedi)
    ended(sedi, plan(1, "math", "open_qa"), nothing, nothing)
    monkeypatch.setenv("SEDI_TRAINING_STUDENT", "another")
    asked: list[str | None] = []
    decide(sedi, plan(2, "math"), nothing, None, lambda checkpoint: asked.append(checkpoint) or nothing)
    assert set(asked) == {None}


def test_a_drop_in_one_category_stops_promotion_whatever_the_others_gained(project: Path) -> None:
    sedi = SediResource()
    before, after = answered(sedi, math=6), answered(sedi, open_qa=6)
    decided = decide(sedi, plan(1, "math"), after, None, lambda checkpoint: before)
    assert not decided.promoted and "math dropped" in decided.promotion
    assert set(decided.comparisons["against"]) == {"untrained", "before", "best"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "no judge is configured"),
        ({"SEDI_EVALUATION_JUDGE_BASE_URL": "same", "SEDI_EVALUATION_JUDGE_MODEL": "same"}, "The judge is the teacher"),
    ],
)
def test_a_judge_must_be_named_and_must_not_be_the_teacher(
    project: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    sedi = SediResource()
    teacher = sedi.settings().teacher
    check_judge(sedi.settings())
    monkeypatch.setenv("SEDI_EVALUATION_JUDGE", "true")
    for name in variables:
        monkeypatch.setenv(name, str(teacher.base_url) if name.endswith("URL") else teacher.model)
    with pytest.raises(SettingsError, match=message):
        check_judge(sedi.settings())
    monkeypatch.setenv("SEDI_EVALUATION_JUDGE_BASE_URL", str(teacher.base_url))
    monkeypatch.setenv("SEDI_EVALUATION_JUDGE_MODEL", "another")
    check_judge(sedi.settings())


def test_outcomes_of_an_older_version_are_still_read(project: Path) -> None:
    sedi = SediResource()
    outcome = ended(sedi, plan(1, "math", "open_qa"), answered(sedi), answered(sedi))
    old = outcome.to_json()
    del old["cost_usd"]
    for category in old["categories"]:
        for name in ("difficulty", "since", "gain_p", "targeted", "cooling", "tokens", "errors"):
            del category[name]
    read = RoundOutcome.from_json(old)
    assert read.score == outcome.score and replace(read.categories[0], errors=()).targeted == 0


@pytest.mark.usefixtures("warm_worker")
def test_a_reference_model_answers_the_same_items_in_a_process_of_its_own_and_once(
    project: Path, tiny_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sedi = SediResource()
    found: list[Any] = []

    @dg.asset
    def measured(context: dg.AssetExecutionContext) -> dg.Output[int]:
        found.append(evaluate_reference(context, sedi))
        return dg.Output(len(found))

    dg.materialize([measured])
    assert found == [None], "the settings name none"
    monkeypatch.setenv("SEDI_EVALUATION_REFERENCE", str(tiny_student))
    work = project / "cache" / "work" / "evaluate-untrained"
    dg.materialize([measured])
    work.rename(project / "the-first-time")
    dg.materialize([measured])
    _, first, second = found
    assert first.height == 12 and first["reference_loss"].null_count() == 0 and first.equals(second)
    assert not work.exists(), "the second time nothing was started"
