"""Who becomes a seed, who rests, who comes back; human seeds always stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from sedi_dagster.feedback.gate import GateRules
from sedi_dagster.feedback.retirement import RestRules
from sedi_dagster.feedback.seed_statistics import STATISTICS_SCHEMA
from sedi_dagster.feedback.seed_update import (
    CHANGE_SCHEMA,
    CONSIDERED_SCHEMA,
    SEED_SET_SCHEMA,
    Updated,
    change_table,
    prompting,
    seed_set,
    seed_table,
    update_seeds,
)
from sedi_dagster.feedback.signals import SCORE_SCHEMA
from sedi_dagster.filtering.novelty import near_duplicates
from sedi_dagster.filtering.shared_instructions import SharedInstructions

TASK: dict[str, Any] = {"category": "math", "input": "", "output": "3", "is_classification": False}
GATE = GateRules(max_ifd=1.0, max_depth=3, per_category=2, in_all=9, duplicate_threshold=0.7)
REST = RestRules(20, 0.05, 3, max_leaving=5, min_human_per_category=2, max_machine_per_category=3)
ROUND = "round-0005"


def seeds(**changed: dict[str, Any]) -> pl.DataFrame:
    """Seeds by id; those whose id begins with h are human."""
    rows = []
    for seed_id, given in changed.items():
        origin = "human" if seed_id.startswith("h") else "machine"
        rows.append(
            {
                **TASK,
                **{name: 0 for name in STATISTICS_SCHEMA if name != "seed_id"},
                "seed_id": seed_id,
                "instruction": f"A task about {seed_id} and {seed_id[::-1]} alone.",
                "origin": origin,
                "since_round": None if origin == "human" else "round-0002",
                "depth": 0 if origin == "human" else 1,
                "weight": 1.0,
                **given,
            }
        )
    return pl.DataFrame(rows, schema=SEED_SET_SCHEMA)


def examples(**changed: dict[str, Any]) -> pl.DataFrame:
    rows = [
        {
            **TASK,
            "example_id": i,
            "instruction": f"{i}1 {i}2 {i}3 {i}4 {i}5.",  # nothing alike
            "depth": 1,
            "ifd": None,
            "kept": True,
            **given,
        }
        for i, given in changed.items()
    ]
    types = {"ifd": pl.Float64, "depth": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=types) if rows else pl.DataFrame(schema={"example_id": pl.String})


def update(
    before: pl.DataFrame,
    kept: pl.DataFrame | None = None,
    signal: dict[str, float] | None = None,
    statistics: pl.DataFrame | None = None,
    gate: GateRules = GATE,
    rules: RestRules = REST,
) -> Updated:
    scores = pl.DataFrame(
        [(i, value, f"signal {value}") for i, value in (signal or {}).items()], schema=SCORE_SCHEMA, orient="row"
    )
    statistics = pl.DataFrame(schema=STATISTICS_SCHEMA) if statistics is None else statistics
    kept = examples(none={}) if kept is None else kept
    return update_seeds(ROUND, before, kept, scores, statistics, gate, rules, near_duplicates)


def ids(frame: pl.DataFrame, change: str | None = None) -> list[str]:
    return (frame if change is None else frame.filter(pl.col("change") == change))["seed_id"].to_list()


def refused(updated: Updated) -> dict[str, str | None]:
    return dict(updated.considered.select("example_id", "refused").iter_rows())


HUMANS = seeds(h1={}, h2={}, h3={})


def test_examples_enter_by_signal_up_to_the_caps_and_every_one_considered_is_told_why() -> None:
    kept = examples(a={}, b={}, c={}, d={"category": "coding"}, e={"category": "coding"}, unseen={})
    signal = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 0.5, "e": 0.4}
    updated = update(HUMANS, kept, signal, gate=GateRules(1.0, 3, 2, 3, 0.7))
    assert ids(updated.changes, "promoted") == ["b", "c", "d"]
    assert ids(updated.seeds) == ["h1", "h2", "h3", "b", "c", "d"]
    assert refused(updated) == {
        "b": None,
        "c": None,
        "a": "2 of math were promoted already",
        "d": None,
        "e": "3 were promoted already",
    }
    promoted = updated.seeds.filter(pl.col("seed_id") == "b").row(0, named=True)
    assert (promoted["origin"], promoted["since_round"], promoted["signal"], promoted["weight"]) == (
        "machine",
        ROUND,
        3.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("flaw", "why"),
    [
        ({"kept": False}, "not kept by the filters"),
        ({"ifd": 1.2}, "IFD 1.20 is above 1"),
        ({"depth": 4}, "4 generations from a human seed, more than 3"),
        ({"instruction": "A task about h1 and 1h alone!"}, "near duplicate of seed h1 (ROUGE-L 1.00)"),
    ],
)
def test_the_gate_stops_an_example_with_a_flaw_whatever_its_signal(flaw: dict[str, Any], why: str) -> None:
    updated = update(HUMANS, examples(a=flaw, b={}), {"a": 9.0, "b": 1.0})
    assert refused(updated) == {"a": why, "b": None}
    assert ids(updated.changes) == ["b"]


def test_of_two_near_equal_examples_the_one_with_the_higher_signal_is_promoted() -> None:
    twin = {"instruction": "Add the two numbers that follow here."}
    updated = update(HUMANS, examples(a=twin, b=twin), {"a": 1.0, "b": 2.0})
    assert refused(updated) == {"b": None, "a": "near duplicate of seed b (ROUGE-L 1.00)"}


def test_examples_of_a_shared_instruction_are_compared_by_their_input() -> None:
    tasks = {"a": "The invoice is wrong.", "b": "My parcel never came.", "c": "My parcel never came!"}
    twins = {name: {"instruction": "Which team answers?", "input": text} for name, text in tasks.items()}
    shared = SharedInstructions([("Which team answers?", "A crack."), ("Which team answers?", "A voucher.")])
    gate = replace(GATE, compared=shared.compared)
    humans = seeds(h1={"instruction": "The invoice is wrong."}, h2={}, h3={})  # another task with that text
    updated = update(humans, examples(**twins), {"a": 3.0, "b": 2.0, "c": 1.0}, gate=gate)
    assert refused(updated) == {"a": None, "b": None, "c": "near duplicate of seed b (ROUGE-L 1.00)"}
    assert list(refused(update(HUMANS, examples(**twins), {"a": 3.0, "b": 2.0})).values())[1] is not None


def test_a_full_category_makes_room_by_resting_the_seed_that_pays_least_then_the_oldest() -> None:
    before = pl.concat([HUMANS, seeds(m1={"since_round": "round-0001"}, m2={}, m3={"since_round": "round-0003"})])
    updated = update(before, examples(a={}), {"a": 1.0})
    assert ids(updated.changes, "retired") == ["m1"] and ids(updated.changes, "promoted") == ["a"]
    assert ids(prompting(updated.seeds)) == ["h1", "h2", "h3", "m2", "m3", "a"]
    assert "m1" in ids(updated.seeds), "it rests; nothing is deleted"


def test_no_more_leave_than_may_and_then_nobody_enters_a_full_category() -> None:
    before = pl.concat([HUMANS, seeds(m1={}, m2={}, m3={})])
    rules = RestRules(20, 0.05, 3, max_leaving=1, min_human_per_category=2, max_machine_per_category=3)
    updated = update(before, examples(a={}, b={}), {"a": 2.0, "b": 1.0}, rules=rules)
    assert ids(updated.changes, "retired") == ["m1"]
    assert refused(updated) == {"a": None, "b": "no room: 3 machine-made seeds in math"}


def test_a_seed_whose_children_are_seldom_kept_rests_with_the_numbers_that_decided_it() -> None:
    before = seeds(
        h1={"children": 100, "kept": 90},
        h2={"children": 100, "kept": 88},
        h3={"children": 15, "kept": 3},
        h4={"children": 10, "kept": 0},
    )
    now = pl.DataFrame([("h3", 25, 5, 5, 2.0, 900.0)], schema=STATISTICS_SCHEMA, orient="row")
    updated = update(before, statistics=now)
    assert ids(updated.changes, "retired") == ["h3"], "h4 has too few children to be judged by"
    reason = updated.changes["reason"][0]
    assert "8 of 40 children kept, loss drop 0.40 each, 112 tokens a kept child" in reason and "adjusted p" in reason
    rests = updated.seeds.filter(pl.col("seed_id") == "h3").row(0, named=True)
    assert (rests["weight"], rests["rested_since"], rests["children"]) == (0.0, ROUND, 40)


def test_a_seed_whose_children_teach_nothing_rests() -> None:
    before = seeds(h1={"children": 50, "kept": 40}, h2={}, h3={"children": 50, "kept": 40, "measured": 40})
    updated = update(before)
    assert ids(updated.changes, "retired") == ["h3"]
    assert "did not lower their loss" in updated.changes["reason"][0]


def test_enough_human_seeds_stay_in_the_prompts_of_every_category() -> None:
    bad = {"children": 50, "kept": 0}
    before = seeds(h1={"children": 300, "kept": 300}, h2=bad, h3=bad, h4=bad, h5=bad)
    updated = update(before)
    assert prompting(updated.seeds).height == REST.min_human_per_category
    assert updated.seeds.height == before.height


def test_chance_alone_rests_almost_nobody() -> None:
    import random

    rng = random.Random(0)
    before = seeds(**{f"h{n}": {"children": 30, "kept": sum(rng.random() < 0.6 for _ in range(30))} for n in range(60)})
    assert len(ids(update(before).changes, "retired")) <= 1


def test_a_seed_comes_back_after_its_rest_with_a_fresh_account() -> None:
    resting = {"weight": 0.0, "children": 50, "kept": 1, "tokens": 9.0}
    before = seeds(
        h1={}, h2={}, h3=resting | {"rested_since": "round-0002"}, h4=resting | {"rested_since": "round-0003"}
    )
    updated = update(before)
    assert ids(updated.changes, "returned") == ["h3"]
    back, rests = (updated.seeds.filter(pl.col("seed_id") == i).row(0, named=True) for i in ("h3", "h4"))
    assert (back["weight"], back["children"], back["rested_since"]) == (1.0, 0, None)
    assert (rests["weight"], rests["children"]) == (0.0, 50)


def test_a_machine_made_seed_comes_back_only_where_there_is_room() -> None:
    before = pl.concat([HUMANS, seeds(m1={}, m2={}, m3={}, m4={"weight": 0.0, "rested_since": "round-0001"})])
    assert ids(update(before).changes) == []
    assert ids(update(before.filter(pl.col("seed_id") != "m2")).changes, "returned") == ["m4"]


def test_seeds_whose_children_are_kept_more_often_weigh_more() -> None:
    updated = update(seeds(h1={"children": 40, "kept": 36}, h2={"children": 40, "kept": 33}, h3={}))
    weight = dict(updated.seeds.select("seed_id", "weight").iter_rows())
    assert weight["h3"] == pytest.approx(1.0)
    assert 2.0 >= weight["h1"] > 1.0 > weight["h2"] >= 0.5


def test_updating_is_deterministic_and_a_round_without_anything_changes_nothing() -> None:
    updated = update(HUMANS)
    assert updated.seeds.equals(HUMANS) and updated.changes.is_empty() and updated.considered.is_empty()
    again = update(HUMANS, examples(a={}, b={}), {"a": 1.0, "b": 1.0})
    assert again.seeds.equals(update(HUMANS, examples(b={}, a={}), {"b": 1.0, "a": 1.0}).seeds)
    assert (again.changes.schema, again.considered.schema) == (pl.Schema(CHANGE_SCHEMA), pl.Schema(CONSIDERED_SCHEMA))


def test_the_set_of_a_round_is_every_human_seed_with_its_account_and_the_machine_made_ones() -> None:
    pool = HUMANS.select("seed_id", "category", "instruction", "input", "output", "is_classification", "origin")
    earlier = pl.concat([seeds(h1={"weight": 0.0, "kept": 4}, gone={"origin": "human"}), seeds(m1={})])
    first = seed_set(pool, None)
    assert ids(first) == ["h1", "h2", "h3"] and first["weight"].to_list() == [1.0] * 3
    later = seed_set(pool, earlier)
    assert ids(later) == ["h1", "h2", "h3", "m1"], "a human seed that left the files leaves the set"
    assert later.schema == first.schema == pl.Schema(SEED_SET_SCHEMA)
    assert later.row(0, named=True)["kept"] == 4 and ids(prompting(later)) == ["h2", "h3", "m1"]


def test_what_came_and_went_and_the_set_are_shown_as_tables() -> None:
    before = pl.concat([HUMANS, seeds(m1={"weight": 0.0})])
    updated = update(before, examples(a={"instruction": "Count a|b\nand so on."}), {"a": 1.0})
    assert "| promoted | math | machine | Count a\\|b and so on. | signal 1.0 |" in change_table(updated.changes)
    assert "| math | 3 | 0 | 1 | 1 |" in seed_table(updated.seeds)
    assert change_table(updated.changes.clear()) == "No changes."
