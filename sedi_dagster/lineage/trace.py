"""The trace of one example: from the seeds its prompt showed to the step that trained on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.rounds import LoopHistory
from sedi_dagster.store import Store


def trace_example(store: Store, history: LoopHistory, example_id: str) -> dict[str, Any]:
    """Everything recorded about a candidate, by its id (or an unambiguous beginning of it).

    Raises:
        SediError: no candidate, or more than one, has that id.
    """
    found = [
        (round_key, category, row)
        for round_key, category, row in _candidates(store, history)
        if row["candidate_id"].startswith(example_id)
    ]
    if len({row["candidate_id"] for _, _, row in found}) != 1:
        raise SediError(
            f"{len(found)} candidates have an id that begins with {example_id!r}.",
            "Take an id from the exported dataset (column example_id) or from a round's report.",
        )
    round_key, category, candidate = found[0]
    trace: dict[str, Any] = {"candidate": candidate, "round": round_key, "category": category}
    calls = store.read_tables("generated_batches", round_key, category)["calls"]
    keys = [candidate["instruction_key"], candidate["answer_key"], *candidate["further_keys"]]
    trace["teacher_calls"] = calls.filter(pl.col("request_key").is_in(keys)).to_dicts()
    trace["shown_seeds"] = _seeds(store, candidate["demonstration_ids"], history, round_key)
    trace["evolved_from"] = _ancestors(store, candidate["parent_id"], history, round_key)
    if store.tables_marker("filtered_batches", round_key):
        tables = store.read_tables("filtered_batches", round_key)
        judged = tables["verdicts"].filter(pl.col("candidate_id") == candidate["candidate_id"]).to_dicts()
        trace["verdict"] = judged[0] if judged else None  # none if it was written after its round was filtered
        trace["training_rows"] = tables["batches"].filter(pl.col("example_id") == candidate["candidate_id"]).to_dicts()
    if store.tables_marker("sft_checkpoint", round_key):
        told = store.read_tables("sft_checkpoint", round_key)
        steps = told["steps"]
        trace["training_steps"] = (
            steps.filter(pl.col("example_ids").list.contains(candidate["candidate_id"])).drop("example_ids").to_dicts()
        )
        if "examples" in told:  # rounds of earlier versions have none
            measured = told["examples"].filter(pl.col("example_id") == candidate["candidate_id"])
            trace["training_losses"] = measured.drop("example_id", "category", "origin").to_dicts()
    if store.tables_marker("seed_feedback", round_key):
        feedback = store.read_tables("seed_feedback", round_key)
        changes = feedback["changes"]
        if "considered" in feedback:
            considered = feedback["considered"].filter(pl.col("example_id") == candidate["candidate_id"])
            trace["promotion"] = considered.drop("example_id", "category").to_dicts()
        trace["seed_changes"] = changes.filter(pl.col("seed_id") == candidate["candidate_id"]).to_dicts()
    return trace


def _candidates(store: Store, history: LoopHistory) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Round, category and row of every candidate."""
    for plan in history.plans:
        for category in plan.category_ids:
            if store.tables_marker("generated_batches", plan.round, category):
                rows = store.read_tables("generated_batches", plan.round, category)["candidates"]
                yield from ((plan.round, category, row) for row in rows.iter_rows(named=True))


def _ancestors(store: Store, parent_id: str | None, history: LoopHistory, round_key: str) -> list[dict[str, Any]]:
    """What an example was evolved from, nearest first, back to a seed."""
    rows = {row["candidate_id"]: row for _, _, row in _candidates(store, history)} if parent_id else {}
    found: list[dict[str, Any]] = []
    while parent_id in rows:
        row = rows[parent_id]
        found.append({name: row[name] for name in ("candidate_id", "round", "method", "instruction")})
        parent_id = row["parent_id"]
    return found + (_seeds(store, [parent_id], history, round_key) if parent_id else [])


def _seeds(store: Store, seed_ids: list[str], history: LoopHistory, round_key: str) -> list[dict[str, Any]]:
    known = [store.read_tables("seed_pool")["seeds"].select("seed_id", "origin", "instruction")]
    for outcome in history.before(round_key):
        if store.tables_marker("seed_feedback", outcome.round):
            known.append(
                store.read_tables("seed_feedback", outcome.round)["seeds"].select("seed_id", "origin", "instruction")
            )
    return pl.concat(known).unique("seed_id").filter(pl.col("seed_id").is_in(seed_ids)).sort("seed_id").to_dicts()
