"""Batches and checkpoints in a trace."""

from __future__ import annotations

from typing import Any

import polars as pl

from sedi_dagster.lineage.trace.archive import MOST_SHOWN, Archive
from sedi_dagster.lineage.trace.node import Node
from sedi_dagster.lineage.trace.texts import brief, brief_candidate
from sedi_dagster.storage.rounds import SEED_TASKS

_BASELINES = "baseline_scores"

ROW_FACTS = {"machine": "of this round", "earlier": "replayed from an earlier round", "human": "human seed task"}


def batch_id(round_key: str, number: int) -> str:
    """The id of a training batch of the round."""
    return f"{round_key}/batch-{number:04d}"


def batch_node(archive: Archive, round_key: str, number: int, of: str = "") -> Node | None:
    """A batch with the rows in it, its steps and its checkpoint; None if the round has no such batch.

    Args:
        of: the id to describe; the checkpoint's score in its category is included.
    """
    rows = archive.table(f"filtered_batches/{round_key}", "batches")
    rows = rows.filter(pl.col("batch") == number) if rows.width else rows
    if rows.is_empty():
        return None
    ids = rows.sort("position")["example_id"].to_list()
    node = Node("batch", batch_id(round_key, number), facts={"round": round_key, "rows": len(ids)})
    node.link_from("companions" if of else "rows", [brief(archive, id_) for id_ in ids if id_ != of])
    node.link_to("trained in", [_step_node(round_key, step) for step in _steps(archive, round_key, ids)])
    mine = rows.filter(pl.col("example_id") == of) if of else rows
    checkpoint = checkpoint_brief(archive, round_key, mine["category"].unique().sort().to_list())
    if checkpoint is not None:
        node.link_to("checkpoint", [checkpoint])
    return node


def training_of(archive: Archive, example_id: str) -> list[Node]:
    """Every batch of every round that trained on an example or a seed task, with its loss before and after."""
    found = []
    for mention in archive.mentions(example_id, "row"):
        for row in archive.rows(mention.partition, "batches", "example_id", example_id):
            node = batch_node(archive, mention.round, row["batch"], of=example_id)
            if node is not None:
                node.facts["trained as"] = ROW_FACTS.get(row["origin"], row["origin"])
                node.facts["position"] = row["position"] + 1
                measured = archive.row(f"sft_checkpoint/{mention.round}", "examples", "example_id", example_id) or {}
                losses = {f"its {name.replace('_', ' ')} the round": measured.get(name) for name in _LOSSES}
                node.facts |= {name: loss for name, loss in losses.items() if loss is not None}
                found.append(node)
    return found


_LOSSES = ("loss_before", "loss_after")


def checkpoint_brief(archive: Archive, round_key: str, categories: list[str] | None = None) -> Node | None:
    """The checkpoint of a round without links: parent, weights, score; None if it was not trained.

    Args:
        round_key: or `SEED_TASKS`, the one that was trained on the human seed tasks before any round.
        categories: those whose score is included as well.
    """
    if round_key == SEED_TASKS:
        return _seed_tasks_brief(archive, categories)
    partition = f"sft_checkpoint/{round_key}"
    files = archive.table(partition, "files")
    if files.is_empty():
        return None
    origin = archive.table(partition, "origin").row(0, named=True)
    facts: dict[str, Any] = {"student": origin["student"], "trained from": origin["parent"] or "the untrained student"}
    facts |= {file: f"sha256 {sha}" for file, sha in files.iter_rows() if file.endswith(".safetensors")}
    there = archive.store.exists("checkpoints", round_key)
    facts["files"] = f"checkpoints/{round_key}" if there else "pruned (older than SEDI_TRAINING_KEEP_CHECKPOINTS)"
    return Node("checkpoint", f"checkpoints/{round_key}", facts=facts | _scores(archive, round_key, categories))


def _seed_tasks_brief(archive: Archive, categories: list[str] | None) -> Node | None:
    files, items = (archive.table(_BASELINES, name) for name in ("seed_files", "seed_items"))
    if files.is_empty():
        return None
    facts: dict[str, Any] = {"trained from": "the untrained student", "trained on": "the human seed tasks alone"}
    facts |= {file: f"sha256 {sha}" for file, sha in files.iter_rows() if file.endswith(".safetensors")}
    facts |= {"files": f"checkpoints/{SEED_TASKS}", "score": _passed(items)}
    facts["score before"] = _passed(archive.table(_BASELINES, "items"))
    for category in categories or ():
        facts[f"score in {category}"] = _passed(items.filter(pl.col("category") == category))
    return Node("checkpoint", f"checkpoints/{SEED_TASKS}", facts=facts)


def _seed_tasks_node(archive: Archive) -> Node | None:
    items = archive.table(_BASELINES, "seed_items")
    node = checkpoint_brief(archive, SEED_TASKS, items["category"].unique().sort().to_list() if items.width else None)
    if node is None:
        return None
    seeds = archive.table(_BASELINES, "seed_steps")["example_ids"].explode().unique().sort().to_list()
    node.link_from("human seed tasks", [brief(archive, id_) for id_ in seeds[:MOST_SHOWN]], len(seeds))
    _add_built_on(archive, node, SEED_TASKS)
    return node


def checkpoint_node(archive: Archive, round_key: str) -> Node | None:
    """The checkpoint of a round: its plan, its parent, its batches, what was built on it."""
    if round_key == SEED_TASKS:
        return _seed_tasks_node(archive)
    node = checkpoint_brief(archive, round_key, _measured_categories(archive, round_key))
    if node is None:
        return None
    manifest = archive.manifest(round_key)
    plan = manifest.get("plan") or archive.store.read_json("plans", f"{round_key}.json") or {}
    node.facts["opened by"] = plan.get("trigger", "unknown")
    node.facts["asked for"] = {c["category"]: c["candidates"] for c in plan.get("categories", [])}
    if manifest:
        node.facts["run"] = manifest["run_id"]
        node.facts["code"] = manifest["code"].get("commit") or manifest["code"].get("sedi_dagster")
    parent = archive.table(f"sft_checkpoint/{round_key}", "origin")["parent"][0]
    if parent:
        node.link_from("trained from", [n for n in [checkpoint_brief(archive, parent)] if n])
    rows = archive.table(f"filtered_batches/{round_key}", "batches")
    numbers = rows["batch"].unique().sort().to_list() if rows.width else []
    batches = [Node("batch", batch_id(round_key, n), facts=_batch_facts(rows, n)) for n in numbers[:MOST_SHOWN]]
    node.link_from("batches", batches, len(numbers))
    _add_built_on(archive, node, round_key)
    changes = archive.table(f"seed_feedback/{round_key}", "changes")
    if changes.width:
        came = changes.filter(pl.col("change") == "promoted")["seed_id"].to_list()
        node.link_to("became seeds", [brief_candidate(archive, id_) for id_ in came[:MOST_SHOWN]], len(came))
    return node


def _add_built_on(archive: Archive, node: Node, checkpoint: str) -> None:
    later = [key for key in _trained_rounds(archive) if _parent(archive, key) == checkpoint]
    node.link_to("trained on from here", [n for key in later if (n := checkpoint_brief(archive, key))])


def _parent(archive: Archive, round_key: str) -> str | None:
    origin = archive.table(f"sft_checkpoint/{round_key}", "origin")
    return origin["parent"][0] if origin.height else None


def _trained_rounds(archive: Archive) -> list[str]:
    return [partition.split("/")[1] for partition in archive.index.partitions("sft_checkpoint")]


def _batch_facts(rows: pl.DataFrame, number: int) -> dict[str, Any]:
    mine = rows.filter(pl.col("batch") == number)
    return {"rows": mine.height, "of them human": mine.filter(pl.col("origin") == "human").height}


def _steps(archive: Archive, round_key: str, ids: list[str]) -> list[dict[str, Any]]:
    """The optimizer steps that trained on exactly this batch: one an epoch."""
    steps = archive.table(f"sft_checkpoint/{round_key}", "steps")
    if steps.is_empty():
        return []
    return [row for row in steps.sort("step").iter_rows(named=True) if row["example_ids"] == ids]


def _step_node(round_key: str, step: dict[str, Any]) -> Node:
    facts = {name.replace("_", " "): step[name] for name in ("loss", "grad_norm", "learning_rate") if name in step}
    return Node("step", f"{round_key}/step-{step['step']:04d}", facts=facts)


def _measured_categories(archive: Archive, round_key: str) -> list[str]:
    categories = archive.table(f"evaluation_scores/{round_key}", "categories")
    return categories["category"].to_list() if categories.width else []


def _scores(archive: Archive, round_key: str, categories: list[str] | None) -> dict[str, Any]:
    partition = f"evaluation_scores/{round_key}"
    items, before = archive.table(partition, "items"), archive.table(partition, "before")
    if items.is_empty():
        return {"score": "not evaluated"}
    facts = {"score": _passed(items), "score before": _passed(before)}
    for category in categories or ():
        mine = items.filter(pl.col("category") == category)
        if mine.height:
            facts[f"score in {category}"] = _passed(mine)
            facts[f"score in {category} before"] = _passed(before.filter(pl.col("category") == category))
    promotion = archive.table(partition, "promotion").row(0, named=True)
    return {**facts, "promoted": bool(promotion["promoted"])}


def _passed(items: pl.DataFrame) -> str:
    return f"{items['passed'].sum()} of {items.height}"
