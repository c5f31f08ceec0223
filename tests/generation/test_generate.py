"""Waves, over-asking, the mix of methods, what stops a category, and that the same job asks the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from plain_teacher import Reply, Rules, job, run, seeds, text_of, two_tasks

from sedi_dagster.errors import BudgetExceeded, SettingsError
from sedi_dagster.generation.candidates import CALL_SCHEMA, CANDIDATE_SCHEMA, NOT_ASKED
from sedi_dagster.generation.generate import DRY_WAVES, RESULT_SCHEMA
from sedi_dagster.generation.methods import METHODS, check_mix
from sedi_dagster.records import Rejection, TeacherRequest, derived_rng
from sedi_dagster.testing.simulated_writing import write

ALL = {name: 1 / len(METHODS) for name in METHODS}


def simulated(request: TeacherRequest) -> tuple[str, str, str]:
    """What the simulated teacher writes."""
    return write(text_of(request), derived_rng(text_of(request), request.seed)), "stop", ""


def passing(share: float) -> Callable[[str], Rejection | None]:
    """Lets about this share through, by chance."""
    rng = derived_rng(share)
    return lambda instruction: None if rng.random() < share else Rejection("near_duplicate", 0.9)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("instances", ["few_shot", "answer"])
def test_the_same_job_asks_the_same_and_gives_the_same(chat: bool, instances: str) -> None:
    chosen = job({"instances": instances}, chat=chat)
    first, teacher = run(chosen, simulated, mix=ALL)
    second, other = run(chosen, simulated, mix=ALL)
    assert teacher.requests == other.requests
    assert all(first[name].equals(second[name]) for name in first)
    assert set(first["candidates"]["method"]) == set(METHODS)


@pytest.mark.parametrize("change", [{"project_seed": 1}, {"round": "round-0002"}])
def test_another_seed_or_round_asks_for_something_else(change: dict[str, Any]) -> None:
    asked = {(text_of(request), request.seed) for request in run(job(), two_tasks)[1].of("instructions")}
    changed = {(text_of(request), request.seed) for request in run(job(**change), two_tasks)[1].of("instructions")}
    assert not asked & changed


@pytest.mark.parametrize("method", METHODS)
def test_every_candidate_of_every_method_is_a_row_in_exactly_one_state(method: str) -> None:
    tables, _ = run(job(), simulated, Rules(passing(0.7)), {method: 1.0})
    rows = tables["candidates"]
    assert rows.schema == pl.Schema(CANDIDATE_SCHEMA) and list(tables["calls"].columns) == list(CALL_SCHEMA)
    assert tables["result"].schema == pl.Schema(RESULT_SCHEMA)
    assert rows["position"].to_list() == list(range(rows.height))
    assert rows["candidate_id"].n_unique() == rows.height
    settled = pl.sum_horizontal(pl.col("problem", "rejection_rule").is_not_null().cast(int))
    assert rows.filter(settled > 1).is_empty()
    assert rows.filter((settled == 0) & pl.col("output").is_null()).is_empty()
    keys = {key for name in ("instruction_key", "answer_key") for key in rows[name].drop_nulls()}
    keys |= {key for keys in rows["further_keys"].to_list() for key in keys}
    assert keys <= set(tables["calls"]["request_key"])
    assert rows["prompt_version"].str.contains("@").all()


def test_as_many_calls_go_out_as_the_yield_asks_for() -> None:
    tables, teacher = run(job(), two_tasks)
    assert teacher.waves == [5, 10], "five calls of two tasks, then the ten answers"
    assert (tables["candidates"].height, tables["calls"].height) == (10, 15)
    assert tables["result"].row(0, named=True)["stopped"] == "allowed"


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_asking_goes_on_until_as_many_pass_as_are_wanted(share: float) -> None:
    tables, _ = run(job(wanted=20, candidates=400), two_tasks, Rules(passing(share)))
    result = tables["result"].row(0, named=True)
    assert result["stopped"] == "enough" and 20 <= result["passed"] <= 26
    assert result["well_formed"] <= 1.7 * result["passed"] / share + 10, "little more than needed is asked for"


def test_no_call_is_made_for_a_few_of_the_many_that_it_could_bring() -> None:
    def of_ten(whole: int) -> Reply:
        def reply(request: TeacherRequest) -> tuple[str, str, str]:
            row = {"input": "", "output": "5"}
            rows = [row | {"instruction": f"Add {request.seed} to {n}." if n < whole else ""} for n in range(10)]
            return json.dumps({"examples": rows}), "stop", ""

        return reply

    many = {"answers": "short", "max_example_tokens": 600}
    tables, teacher = run(job(many, candidates=10, chat=True), of_ten(9), mix={"single_call": 1.0})
    result = tables["result"].row(0, named=True)
    assert (teacher.waves, result["stopped"], result["passed"]) == ([1], "enough", 9)
    assert "a call for the 1 that is missing" in result["reason"]
    _, teacher = run(job(many, candidates=10, chat=True), of_ten(6), mix={"single_call": 1.0})
    assert len(teacher.waves) == 2, "four missing ones are worth a call"


def test_no_more_candidates_are_asked_for_than_allowed() -> None:
    tables, _ = run(job(wanted=50, candidates=30), two_tasks, Rules(passing(0.5)))
    result = tables["result"].row(0, named=True)
    assert result["stopped"] == "allowed" and 30 <= result["well_formed"] <= 32
    assert "of 50 wanted" in result["reason"]


@pytest.mark.parametrize("answer", ["", "Sum:"])
def test_a_category_that_no_longer_yields_is_given_up(answer: str) -> None:
    def dry(request: TeacherRequest) -> tuple[str, str, str]:
        return (answer, "stop", "") if request.purpose == "answer" else two_tasks(request)

    tables, _ = run(job(wanted=5, candidates=1000), dry)
    result = tables["result"].row(0, named=True)
    assert (result["stopped"], result["passed"], result["waves"]) == ("dry", 0, DRY_WAVES)


def test_a_teacher_that_writes_almost_nothing_useful_is_given_up_by_its_pieces() -> None:
    def scarce(request: TeacherRequest) -> tuple[str, str, str]:
        if request.purpose == "answer":
            return "42", "stop", ""
        return (f" Add {request.seed} and 1." if (request.seed or 0) % 5 == 0 else ""), "stop", ""

    tables, _ = run(job({"max_pieces_factor": 2.0}, candidates=50), scarce)
    result = tables["result"].row(0, named=True)
    assert result["stopped"] == "dry" and 0 < result["well_formed"] < 50 and result["candidates"] >= 100


@pytest.mark.parametrize("affords", [3, 7, 12])
def test_what_was_paid_before_the_budget_was_spent_stays(affords: int) -> None:
    tables, teacher = run(job(), two_tasks, affords=affords)
    rows, result = tables["candidates"], tables["result"].row(0, named=True)
    assert result["stopped"] == "budget" and "budget is spent" in result["reason"]
    assert tables["calls"].height == affords == len(teacher.requests)
    assert rows.height == min(affords, 5) * 2
    answered = max(0, affords - 5)
    assert rows["problem"].null_count() == answered
    assert set(rows["problem"].drop_nulls()) == {NOT_ASKED}


def test_a_budget_without_room_for_one_answer_is_an_error() -> None:
    with pytest.raises(BudgetExceeded):
        run(job(), two_tasks, affords=0)


def test_the_mix_shares_the_candidates_out() -> None:
    mix = {"self_instruct": 0.5, "single_call": 0.3, "evol_instruct": 0.2}
    one_instance = {"max_example_tokens": 400}  # what an instruction has room for, so that no method brings more
    tables, _ = run(job(one_instance, candidates=60), simulated, mix=mix)
    rows = tables["candidates"].filter(pl.col("problem").is_null())
    shares = dict(rows["method"].value_counts(normalize=True).iter_rows())
    assert all(abs(shares[name] - share) < 0.12 for name, share in mix.items())


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"self_instruct": 0.7, "backtranslation": 0.3}, "Unknown method of generation: backtranslation"),
        ({"self_instruct": 0.7, "single_call": 0.2}, "do not add up to 1"),
        ({"self_instruct": 1.5, "single_call": -0.5}, "do not add up to 1"),
        ({}, "do not add up to 1"),
    ],
)
def test_a_mix_that_cannot_be_is_one_clear_error(mix: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        check_mix(mix)
    assert "SEDI_GENERATION_METHODS" in raised.value.fix
    with pytest.raises(SettingsError):
        run(job(), two_tasks, mix=mix or {"none": 0.0})


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_the_plan_of_a_weak_category_shapes_its_prompts(method: str, chat: bool) -> None:
    plain = run(job(chat=chat), simulated, mix={method: 1.0})
    aimed = run(job(chat=chat, difficulty="hard", errors=("wrong number", "too long")), simulated, mix={method: 1.0})
    purpose = plain[1].requests[0].purpose
    for request in aimed[1].of(purpose):
        assert "hard" in text_of(request) and "wrong number, too long" in text_of(request)
    assert all("wrong number" not in text_of(request) for request in plain[1].of(purpose))
    versions = [set(tables["candidates"]["prompt_version"]) for tables, _ in (plain, aimed)]
    assert not versions[0] & versions[1]


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_the_calls_that_a_method_tells_beforehand_are_those_it_makes(method: str, chat: bool) -> None:
    chosen = job({"instances": "few_shot"}, chat=chat)
    _, teacher = run(chosen, simulated, mix={method: 1.0})
    shapes = {shape.purpose: shape for shape in METHODS[method].call_shapes(chosen.settings, chat)}
    assert {request.purpose for request in teacher.requests} <= shapes.keys()
    assert all(request.max_tokens <= shapes[request.purpose].max_tokens for request in teacher.requests)


def test_a_method_that_has_nothing_to_start_from_leaves_its_share_to_the_others() -> None:
    without = job(seeds=seeds(0, 0), candidates=10)
    tables, _ = run(without, simulated, mix={"self_instruct": 0.5, "evol_instruct": 0.5})
    assert set(tables["candidates"]["method"]) == {"self_instruct"}
    assert tables["result"]["stopped"].item() == "allowed"
    tables, teacher = run(without, simulated, mix={"evol_instruct": 1.0})
    assert tables["result"]["stopped"].item() == "nothing" and not teacher.requests
    assert tables["candidates"].schema == pl.Schema(CANDIDATE_SCHEMA) and tables["candidates"].is_empty()
