"""Checks the trace of an example against the raw files: Parquet, JSON and SQLite, read without the code under test."""

from __future__ import annotations

import json
import sqlite3
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl


class RawFiles:
    """What lies under a data folder, read with nothing but Polars, json and sqlite3."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._tables: dict[Path, pl.DataFrame | None] = {}
        self.rounds = sorted(file.stem for file in (data / "plans").glob("round-*.json"))
        self.candidates = self._all("generated_batches/*/*/candidates.parquet", "candidate_id")
        self.calls = self._all("generated_batches/*/*/calls.parquet", "request_key")
        self.verdicts = self._all("filtered_batches/*/verdicts.parquet", "candidate_id")
        self.seeds = self._all("seed_feedback/*/seeds.parquet", "seed_id") | self._all(
            "seed_pool/seeds.parquet", "seed_id"
        )

    @property
    def examples(self) -> list[str]:
        return sorted(key for key, row in self.verdicts.items() if row["state"] == "kept")

    def _all(self, pattern: str, key: str) -> dict[str, dict[str, Any]]:
        found = {}
        for file in sorted((self.data / "assets").glob(pattern)):
            found |= {row[key]: row for row in pl.read_parquet(file).iter_rows(named=True)}
        return found

    def table(self, asset: str, round_key: str, name: str) -> pl.DataFrame | None:
        file = self.data / "assets" / asset / round_key / f"{name}.parquet"
        if file not in self._tables:
            self._tables[file] = pl.read_parquet(file) if file.exists() else None
        return self._tables[file]

    @cached_property
    def ledger(self) -> dict[str, tuple[Any, ...]]:
        with sqlite3.connect(f"file:{self.data / 'ledger.sqlite'}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT key, model, prompt_tokens, completion_tokens, nanousd FROM calls")
            return {row[0]: row[1:] for row in rows}


def check_trace(raw: RawFiles, node: dict[str, Any]) -> None:
    """Assert that a trace (as JSON) of an example has every link that the raw files have, and no other."""
    id_ = node["id"]
    candidate, verdict = raw.candidates[id_], raw.verdicts[id_]
    assert node["kind"] == "example" and node["text"] == candidate["instruction"]
    assert node["facts"]["state"] == verdict["state"] == "kept"
    assert node["facts"]["round"] == candidate["round"]
    _check_origin(raw, node, candidate)
    _check_training(raw, node, id_)
    _check_children(raw, node, id_)
    promoted = [
        key for key in raw.rounds
        if (changes := raw.table("seed_feedback", key, "changes")) is not None and id_ in changes["seed_id"].to_list()
    ]  # fmt: skip
    assert [one["id"] for one in _nodes(node, "led_to", "as a seed")] == [f"seed_feedback/{key}" for key in promoted]


def _check_origin(raw: RawFiles, node: dict[str, Any], candidate: dict[str, Any]) -> None:
    shown = _nodes(node, "came_from", "shown in its prompt")
    assert [seed["id"] for seed in shown] == sorted(candidate["demonstration_ids"])
    for seed in shown:
        assert seed["text"] == raw.seeds[seed["id"]]["instruction"]
    parents = [one["id"] for one in _nodes(node, "came_from", "evolved from")]
    assert parents == [candidate["parent_id"]] * bool(candidate["parent_id"])
    keys = {candidate["instruction_key"], candidate["answer_key"], *candidate["further_keys"]} - {None}
    calls = _nodes(node, "came_from", "written by")
    assert {call["id"] for call in calls} == keys
    for call in calls:
        model, prompt, completion, nanousd = raw.ledger[call["id"]]
        facts = call["facts"]
        assert (facts["model"], facts.get("prompt tokens", 0), facts.get("completion tokens", 0)) == (
            model, prompt, completion)  # fmt: skip
        assert facts["cost usd"] == ("no price known" if nanousd is None else nanousd / 1e9)
        assert call["id"] in raw.calls


def _check_training(raw: RawFiles, node: dict[str, Any], id_: str) -> None:
    """Every round that trained on it: its batch and companions, the steps with that very batch, weights, scores."""
    trained = _nodes(node, "led_to", "trained on")
    expected = []
    for key in raw.rounds:
        rows = raw.table("filtered_batches", key, "batches")
        if rows is not None:
            expected += [(key, n) for n in rows.filter(pl.col("example_id") == id_)["batch"].to_list()]
    assert [one["id"] for one in trained] == [f"{key}/batch-{n:04d}" for key, n in expected] != []
    for batch, (key, number) in zip(trained, expected, strict=True):
        rows = raw.table("filtered_batches", key, "batches")
        ids = rows.filter(pl.col("batch") == number).sort("position")["example_id"].to_list()
        assert [one["id"] for one in _nodes(batch, "came_from", "companions")] == [one for one in ids if one != id_]
        steps = raw.table("sft_checkpoint", key, "steps")
        mine = [row for row in steps.iter_rows(named=True) if id_ in row["example_ids"]]
        text = _nodes(batch, "led_to", "trained in")
        assert [one["id"] for one in text] == [f"{key}/step-{row['step']:04d}" for row in mine] != []
        assert [one["facts"]["loss"] for one in text] == [row["loss"] for row in mine]
        assert [one["facts"]["grad norm"] for one in text] == [row["grad_norm"] for row in mine]
        (checkpoint,) = _nodes(batch, "led_to", "checkpoint")
        files = dict(raw.table("sft_checkpoint", key, "files").iter_rows())
        assert checkpoint["facts"]["adapter_model.safetensors"] == f"sha256 {files['adapter_model.safetensors']}"
        items = raw.table("evaluation_scores", key, "items")
        assert checkpoint["facts"]["score"] == f"{items['passed'].sum()} of {items.height}"
        promoted = raw.table("evaluation_scores", key, "promotion")["promoted"][0]
        assert checkpoint["facts"]["promoted"] is promoted


def _check_children(raw: RawFiles, node: dict[str, Any], id_: str) -> None:
    for label, column in (("shown to the teacher for", "demonstration_ids"), ("evolved into", "parent_id")):
        expected = [key for key, row in raw.candidates.items() if id_ in (row[column] or ())]
        assert _total(node, label) == len(expected)
        assert {one["id"] for one in _nodes(node, "led_to", label)} <= set(expected)
    near = [key for key, row in raw.verdicts.items() if row["neighbour_id"] == id_]
    assert _total(node, "kept out as too near") == len(near)


def _nodes(node: dict[str, Any], direction: str, relation: str) -> list[dict[str, Any]]:
    return [one for link in node.get(direction, ()) if link["relation"] == relation for one in link["nodes"]]


def _total(node: dict[str, Any], relation: str) -> int:
    return sum(link["total"] for link in node.get("led_to", ()) if link["relation"] == relation)


def read_json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
