"""The traces of training batches and checkpoints."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from sedi_dagster.lineage.trace.archive import MOST_SHOWN, Archive, Node, brief, brief_candidate
from sedi_dagster.storage.rounds import SEED_TASKS

_LOSSES = ("loss_before", "loss_after")
_TRAINED_AS = {"machine": "of this round", "earlier": "replayed from an earlier round", "human": "human seed task"}


def batch_id(round_key: str, number: int) -> str:
    """Return the id of a training batch."""
    return f"{round_key}/batch-{number:04d}"


def batch_node(archive: Archive, round_key: str, number: int, traced_id: str = "") -> Node | None:
    """Return a batch with its rows, steps and checkpoint; None if the round has no such batch.

    Args:
        traced_id: the row whose trace this batch is part of; the checkpoint's score is given for its category only.
    """
    rows = archive.table(f"filtered_batches/{round_key}", "batches")
    rows = rows.filter(pl.col("batch") == number) if rows.width else rows
    if rows.is_empty():
        return None
    ids = rows.sort("position")["example_id"].to_list()
    node = Node("batch", batch_id(round_key, number), facts={"round": round_key, "rows": len(ids)})
    relation = "companions" if traced_id else "rows"
    node.link_from(relation, [brief(archive, id_) for id_ in ids if id_ != traced_id])
    node.link_to("trained in", _steps(archive, round_key, ids))
    traced = rows.filter(pl.col("example_id") == traced_id) if traced_id else rows
    node.link_to("checkpoint", briefs(archive, round_key, categories=traced["category"].unique().sort().to_list()))
    return node


def training_of(archive: Archive, example_id: str) -> list[Node]:
    """Return every batch that contained an example or seed task, with its loss before and after the round."""
    nodes = []
    for mention in archive.mentions(example_id, "row"):
        for row in archive.rows(mention.partition, "batches", "example_id", example_id):
            node = batch_node(archive, mention.round, row["batch"], traced_id=example_id)
            if node is not None:
                node.facts["trained as"] = _TRAINED_AS.get(row["origin"], row["origin"])
                node.facts["position"] = row["position"] + 1
                measured = archive.row(f"sft_checkpoint/{mention.round}", "examples", "example_id", example_id) or {}
                losses = {f"its {name.replace('_', ' ')} the round": measured.get(name) for name in _LOSSES}
                node.facts |= {name: loss for name, loss in losses.items() if loss is not None}
                nodes.append(node)
    return nodes


def briefs(archive: Archive, *round_keys: str, categories: Sequence[str] = ()) -> list[Node]:
    """Return `checkpoint_brief` for each of these rounds that was trained."""
    return [node for key in round_keys if (node := checkpoint_brief(archive, key, categories))]


def checkpoint_brief(archive: Archive, round_key: str, categories: Sequence[str] = ()) -> Node | None:
    """Return the checkpoint of a round, without links: parent, weights, scores; None if it was not trained.

    Args:
        round_key: a round, or `SEED_TASKS` for the checkpoint trained on the human seed tasks before the first round.
        categories: categories whose scores are included besides the total.
    """
    files, evaluated = archive.of_checkpoint(round_key, "files"), f"evaluation_scores/{round_key}"
    if files.is_empty():
        return None
    if round_key == SEED_TASKS:
        facts = {"trained from": "the untrained student", "trained on": "the human seed tasks alone"}
        before, exists = archive.of_checkpoint(None, "items"), True
    else:
        origin = archive.table(f"sft_checkpoint/{round_key}", "origin").row(0, named=True)
        facts = {"student": origin["student"], "trained from": origin["parent"] or "the untrained student"}
        before, exists = archive.table(evaluated, "before"), archive.store.exists("checkpoints", round_key)
    scores = _scores(archive.of_checkpoint(round_key, "items"), before, categories)
    for promoted in archive.table(evaluated, "promotion").iter_rows(named=True):
        scores["promoted"] = promoted["promoted"]
    facts |= {file: f"sha256 {sha}" for file, sha in files.iter_rows() if file.endswith(".safetensors")}
    facts["files"] = f"checkpoints/{round_key}" if exists else "pruned (older than SEDI_TRAINING_KEEP_CHECKPOINTS)"
    return Node("checkpoint", f"checkpoints/{round_key}", facts=facts | scores)


def checkpoint_node(archive: Archive, round_key: str) -> Node | None:
    """Return the checkpoint of a round with its plan, parent and batches and the checkpoints trained from it."""
    items = archive.of_checkpoint(round_key, "items")
    node = checkpoint_brief(archive, round_key, items["category"].unique().sort().to_list() if items.width else ())
    if node is None:
        return None
    if round_key == SEED_TASKS:
        seeds = archive.of_checkpoint(SEED_TASKS, "steps")["example_ids"].explode().unique().sort().to_list()
        node.link_from("human seed tasks", [brief(archive, id_) for id_ in seeds[:MOST_SHOWN]], len(seeds))
        _add_children(archive, node, SEED_TASKS)
        return node
    manifest = archive.manifest(round_key)
    plan = manifest.get("plan") or archive.store.read_json("plans", f"{round_key}.json") or {}
    node.facts["opened by"] = plan.get("trigger", "unknown")
    node.facts["asked for"] = {c["category"]: c["candidates"] for c in plan.get("categories", [])}
    if manifest:
        node.facts["run"] = manifest["run_id"]
        node.facts["code"] = manifest["code"].get("commit") or manifest["code"].get("sedi_dagster")
    parent = archive.table(f"sft_checkpoint/{round_key}", "origin")["parent"][0]
    if parent:
        node.link_from("trained from", briefs(archive, parent))
    rows = archive.table(f"filtered_batches/{round_key}", "batches")
    if rows.width:
        counts = rows.group_by("batch").agg(pl.len(), (pl.col("origin") == "human").sum()).sort("batch")
        shown = counts.head(MOST_SHOWN).iter_rows()
        batches = [Node("batch", batch_id(round_key, n), facts={"rows": k, "of them human": h}) for n, k, h in shown]
        node.link_from("batches", batches, counts.height)
    _add_children(archive, node, round_key)
    changes = archive.table(f"seed_feedback/{round_key}", "changes")
    if changes.width:
        promoted = changes.filter(pl.col("change") == "promoted")["seed_id"].to_list()
        node.link_to("became seeds", [brief_candidate(archive, id_) for id_ in promoted[:MOST_SHOWN]], len(promoted))
    return node


def _add_children(archive: Archive, node: Node, checkpoint: str) -> None:
    """Link to the checkpoints that were trained from this one."""
    partitions = archive.index.partitions("sft_checkpoint")
    later = [p.split("/")[1] for p in partitions if archive.rows(p, "origin", "parent", checkpoint)]
    node.link_to("trained on from here", briefs(archive, *later))


def _steps(archive: Archive, round_key: str, ids: list[str]) -> list[Node]:
    """The optimizer steps that trained on exactly this batch: one per epoch."""
    steps = archive.table(f"sft_checkpoint/{round_key}", "steps")
    if steps.is_empty():
        return []
    return [
        Node(
            "step",
            f"{round_key}/step-{row['step']:04d}",
            facts={name.replace("_", " "): row[name] for name in ("loss", "grad_norm", "learning_rate")},
        )
        for row in steps.sort("step").iter_rows(named=True)
        if row["example_ids"] == ids
    ]


def _scores(items: pl.DataFrame, before: pl.DataFrame, categories: Sequence[str]) -> dict[str, Any]:
    if items.is_empty():
        return {"score": "not evaluated"}
    facts = {"score": _passed(items), "score before": _passed(before)}
    for category in categories:
        in_category = items.filter(pl.col("category") == category)
        if in_category.height:
            facts[f"score in {category}"] = _passed(in_category)
            facts[f"score in {category} before"] = _passed(before.filter(pl.col("category") == category))
    return facts


def _passed(items: pl.DataFrame) -> str:
    return f"{items['passed'].sum()} of {items.height}"
