"""Identities are hashes of content, and what travels as JSON comes back equal."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.records import (
    CategoryOutcome,
    CategoryPlan,
    RoundOutcome,
    RoundPlan,
    SeedTask,
    TeacherAnswer,
    content_id,
    derived_rng,
    derived_seed,
    round_key,
    round_number,
    task_prompt,
    task_prompts,
)


def test_an_id_depends_on_the_content_and_on_nothing_else() -> None:
    assert content_id("cand", "a", 1) == content_id("cand", "a", 1)
    assert content_id("cand", {"x": 1, "y": 2}) == content_id("cand", {"y": 2, "x": 1})
    assert content_id("cand", "a", "bc") != content_id("cand", "ab", "c")
    assert content_id("cand", "1") != content_id("cand", 1)
    assert content_id("cand", "a").removeprefix("cand-").isalnum() and len(content_id("cand", "a")) == 21


def test_ids_do_not_change_between_versions() -> None:
    """They name examples in data that exists; a change here orphans it."""
    assert content_id("cand", "a", 1) == "cand-2204915fb477f654"
    assert SeedTask("Add.", "1 2", "3", "math").id == "seed-111c22d9fd370667"
    assert derived_seed(0, "round-0001", "math", "demonstrations") == 726007710


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.text())
def test_any_text_has_an_id(text: str) -> None:
    assert content_id("cand", text + "\ud83d").startswith("cand-")


def test_random_choices_derive_from_their_purpose() -> None:
    assert derived_rng(0, "round-0001", "a").random() == derived_rng(0, "round-0001", "a").random()
    assert derived_rng(0, "round-0001", "a").random() != derived_rng(0, "round-0001", "b").random()
    assert 0 <= derived_seed(0, "a") < 2**31


def test_round_keys_sort_as_they_count() -> None:
    keys = [round_key(number) for number in (1, 2, 10, 100, 9_999)]
    assert keys == sorted(keys) and [round_number(key) for key in keys] == [1, 2, 10, 100, 9_999]


@pytest.mark.parametrize(("text_input", "prompt"), [("", "Add."), ("1 2", "Add.\n\n1 2")])
def test_a_task_is_one_message(text_input: str, prompt: str) -> None:
    assert task_prompt("Add.", text_input) == prompt
    row = pl.DataFrame({"instruction": ["Add."], "input": [text_input]})
    assert row.select(task_prompts()).rows() == [(prompt,)]


def test_a_plan_comes_back_from_json_equal() -> None:
    plan = RoundPlan(
        "round-0002", "round-0001", "sensor", (CategoryPlan("math", 5, "weak"),), 3, max_tokens=9, created_at="now"
    )
    assert RoundPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert (plan.number, plan.category_ids) == (2, ["math"])


def test_an_outcome_comes_back_from_json_equal() -> None:
    math = CategoryOutcome("math", 20, 5, 0.1, 0.4, 0.5, 0.02, 0.04, "weak", "far below")
    outcome = RoundOutcome("round-0001", 10, 20, 3_000, 0.25, True, (math,))
    assert RoundOutcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    assert math.score == 0.25
    assert CategoryOutcome("math", 0, 0, 0.0, 1.0, 0.5, 1.0, 1.0, "fine", "").score == 0.0


def test_an_answer_counts_prompt_and_completion() -> None:
    assert TeacherAnswer("key", "text", "stop", 7, 5, cached=False).total_tokens == 12
