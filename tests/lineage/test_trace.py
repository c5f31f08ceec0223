"""The trace of an example names everything that was recorded about it, as far as its round has come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.seed_update import CHANGE_SCHEMA, SEED_SET_SCHEMA
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.generation.candidates import CALL_SCHEMA, CANDIDATE_SCHEMA
from sedi_dagster.lineage.trace import trace_example
from sedi_dagster.records import CategoryPlan, RoundPlan
from sedi_dagster.rounds import load_history, save_plan
from sedi_dagster.store import Store

ROUND = "round-0001"


def frame(schema: dict[str, Any], *rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=schema)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A round of which two candidates were written, by one call for both and one answer each."""
    made = Store(str(tmp_path))
    save_plan(made, RoundPlan(ROUND, None, "test", (CategoryPlan("math", 2, ""), CategoryPlan("coding", 2, "")), 1))
    made.write_tables(
        {"seeds": frame(SEED_SET_SCHEMA, *({"seed_id": f"seed-{i}", "origin": "human"} for i in range(3)))}, "seed_pool"
    )
    candidates = frame(
        CANDIDATE_SCHEMA,
        *(
            {"candidate_id": f"cand-{i}0", "instruction_key": "call-i", "answer_key": f"call-{i}",
             "further_keys": [], "demonstration_ids": ["seed-2", "seed-0"],
             "parent_id": {1: "seed-1", 2: "cand-10"}[i], "instruction": f"Task {i}."}
            for i in (1, 2)
        ),
    )  # fmt: skip
    calls = frame(CALL_SCHEMA, *({"request_key": key, "purpose": "any"} for key in ("call-i", "call-1", "call-2")))
    made.write_tables({"candidates": candidates, "calls": calls}, "generated_batches", ROUND, "math")
    return made


def filtered(store: Store, *judged: str) -> None:
    verdicts = frame(VERDICT_SCHEMA, *({"candidate_id": i, "state": "kept"} for i in judged))
    batches = pl.DataFrame({"batch": [0, 0], "position": [0, 1], "example_id": ["cand-10", "seed-1"]})
    store.write_tables({"verdicts": verdicts, "batches": batches}, "filtered_batches", ROUND)


def test_a_fresh_candidate_has_its_calls_and_the_seeds_it_was_shown(store: Store) -> None:
    trace = trace_example(store, load_history(store), "cand-10")
    assert (trace["round"], trace["category"], trace["candidate"]["candidate_id"]) == (ROUND, "math", "cand-10")
    assert [call["request_key"] for call in trace["teacher_calls"]] == ["call-i", "call-1"]
    assert [seed["seed_id"] for seed in trace["shown_seeds"]] == ["seed-0", "seed-2"]
    assert "verdict" not in trace and "training_steps" not in trace


def test_an_evolved_example_is_followed_back_to_its_seed(store: Store) -> None:
    evolved_from = trace_example(store, load_history(store), "cand-20")["evolved_from"]
    assert [parent["instruction"] for parent in evolved_from[:1]] == ["Task 1."]
    assert [parent["seed_id"] for parent in evolved_from[1:]] == ["seed-1"]


def test_a_trained_example_has_its_verdict_batch_steps_and_promotion(store: Store) -> None:
    filtered(store, "cand-10", "cand-20")
    steps = pl.DataFrame({"step": [1, 2], "loss": [2.0, 1.0], "example_ids": [["cand-10", "seed-1"], ["cand-20"]]})
    store.write_tables({"steps": steps}, "sft_checkpoint", ROUND)
    changes = frame(CHANGE_SCHEMA, {"seed_id": "cand-10", "change": "promoted"})
    store.write_tables({"seeds": frame(SEED_SET_SCHEMA), "changes": changes}, "seed_feedback", ROUND)
    trace = trace_example(store, load_history(store), "cand-10")
    assert trace["verdict"]["state"] == "kept" and [row["position"] for row in trace["training_rows"]] == [0]
    assert trace["training_steps"] == [{"step": 1, "loss": 2.0}]
    assert [change["change"] for change in trace["seed_changes"]] == ["promoted"]


def test_a_candidate_written_after_its_round_was_filtered_has_no_verdict(store: Store) -> None:
    filtered(store, "cand-20")
    assert trace_example(store, load_history(store), "cand-10")["verdict"] is None


def test_an_unambiguous_beginning_is_enough(store: Store) -> None:
    assert trace_example(store, load_history(store), "cand-2")["candidate"]["candidate_id"] == "cand-20"


@pytest.mark.parametrize(("example_id", "told"), [("cand-", "2 candidates"), ("cand-9", "0 candidates")])
def test_an_ambiguous_or_unknown_id_is_told(store: Store, example_id: str, told: str) -> None:
    with pytest.raises(SediError, match=told):
        trace_example(store, load_history(store), example_id)
