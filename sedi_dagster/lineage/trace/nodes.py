"""The traces of candidates, seeds, calls and evaluation items: what they came from and what they led to."""

import json
from typing import Any

import polars as pl

from sedi_dagster.lineage.trace.archive import (
    MOST_SHOWN,
    Archive,
    Node,
    brief,
    brief_candidate,
    brief_seed,
    candidate_kind,
    candidate_row,
    verdict_facts,
    verdict_row,
)
from sedi_dagster.lineage.trace.training import briefs, training_of
from sedi_dagster.storage.rounds import SEED_TASKS

_CALL_FACTS = (
    "purpose", "model", "endpoint", "state", "finish_reason", "prompt_tokens", "completion_tokens", "latency_s",
    "attempts", "day", "run", "error",
)  # fmt: skip


def candidate_node(archive: Archive, candidate_id: str) -> Node | None:
    """Return a candidate with its verdict, seeds and calls, the batches that trained on it and what it led to."""
    found = candidate_row(archive, candidate_id)
    if found is None:
        return None
    partition, row = found
    verdict = verdict_row(archive, row["round"], candidate_id)
    node = Node(candidate_kind(verdict), candidate_id, row["instruction"] or row["raw"] or "")
    names = ("round", "category", "input", "output", "method", "prompt_version", "teacher", "problem")
    node.facts = {name.replace("_", " "): row[name] for name in names if row.get(name)}
    node.facts |= verdict_facts(verdict) if verdict else {"state": "not filtered yet"}
    node.facts |= _difficulty(archive, row["round"], candidate_id)
    _add_ancestors(archive, node, partition, row, set())
    if verdict.get("neighbour_id"):
        node.link_from("too near to", [_neighbour(archive, verdict)])
    _add_effects(archive, node)
    return node


def seed_node(archive: Archive, seed_id: str) -> Node | None:
    """Return a human seed task with its file, the candidates whose prompts showed it and the batches that used it."""
    if not archive.mentions(seed_id, "seed", "seed set"):
        return None
    node = brief_seed(archive, seed_id)
    for mention in archive.mentions(seed_id, "seed", "seed set"):
        row = archive.row(mention.partition, "seeds", "seed_id", seed_id)
        if row is not None:
            node.facts |= {name: row[name] for name in ("input", "output") if row.get(name)}
            break
    node.facts["in the seed file now"] = bool(archive.mentions(seed_id, "seed"))
    node.facts |= _seed_file(archive)
    held_out = [mention.round for mention in archive.mentions(seed_id, "held out")]
    if held_out:
        node.facts["held out of training in"] = ", ".join(held_out)
    if archive.mentions(seed_id, "trained before the rounds"):
        node.link_to("trained on, before any round", briefs(archive, SEED_TASKS))
    _add_effects(archive, node)
    return node


def call_node(archive: Archive, key: str) -> Node | None:
    """Return a teacher call with its request and response and the candidates made from it."""
    mentions = archive.mentions(key, "call")
    ledger = archive.calls([key]).get(key)
    if not mentions and ledger is None:
        return None
    node = _brief_call(key, _generation_record(archive, mentions[0].partition, key) if mentions else {}, ledger)
    if ledger is not None:
        node.facts |= {"request": ledger["request"] or "pruned", "response": ledger["response"] or "pruned"}
    ids: list[str] = []
    for mention in mentions:
        frame = archive.table(mention.partition, "candidates")
        used = (pl.col("instruction_key") == key) | (pl.col("answer_key") == key)
        ids += frame.filter(used | pl.col("further_keys").list.contains(key))["candidate_id"].to_list()
    node.link_to("wrote", [brief_candidate(archive, id_) for id_ in ids[:MOST_SHOWN]], len(ids))
    return node


def item_node(archive: Archive, item_id: str) -> Node | None:
    """Return an evaluation item with each checkpoint's answer and the candidates rejected for being too similar."""
    mentions = archive.mentions(item_id, "item")
    if not mentions:
        return None
    node = Node("evaluation item", item_id)
    for mention in mentions:
        row = archive.row(mention.partition, "items", "item_id", item_id) or {}
        if not node.text:
            node.text = row["prompt"]
            node.facts = {name: row[name] for name in ("category", "difficulty", "half")}
        if mention.parts[0] == "baseline_scores":
            _add_answer(node, "untrained student", row)
            seed_row = archive.row(mention.partition, "seed_items", "item_id", item_id)
            _add_answer(node, f"checkpoints/{SEED_TASKS}", seed_row)
        else:
            _add_answer(node, f"checkpoints/{mention.round}", row)
    _add_rejected_neighbours(archive, node)
    return node


def _add_answer(node: Node, checkpoint: str, row: dict[str, Any] | None) -> None:
    if row:
        names = ("passed", "score", "answer", "reason", "reference_loss")
        facts = {name: row[name] for name in names if row[name] is not None}
        node.link_to("answered by", [Node("answer", checkpoint, facts=facts)])


def _add_ancestors(archive: Archive, node: Node, partition: str, row: dict[str, Any], seen: set[str]) -> None:
    """Link a candidate to its seeds, calls and parent task, and those to theirs, down to the human seeds."""
    seen.add(row["candidate_id"])
    if row.get("parent_id"):
        node.link_from("evolved from", [_with_ancestors(archive, row["parent_id"], seen)])
    shown = sorted(row["demonstration_ids"] or ())
    node.link_from("shown in its prompt", [_with_ancestors(archive, id_, seen) for id_ in shown])
    keys = list(dict.fromkeys(k for k in (row["instruction_key"], row["answer_key"], *row["further_keys"]) if k))
    ledger = archive.calls(keys)
    calls = [_brief_call(key, _generation_record(archive, partition, key), ledger.get(key)) for key in keys]
    node.link_from("written by", calls)


def _with_ancestors(archive: Archive, id_: str, seen: set[str]) -> Node:
    """A seed or candidate; the first time that a machine-made one occurs, with its ancestors."""
    node = brief(archive, id_)
    found = candidate_row(archive, id_)
    if found is not None and id_ not in seen:
        _add_ancestors(archive, node, *found, seen)
    return node


def _generation_record(archive: Archive, partition: str, key: str) -> dict[str, Any]:
    """The row of a call in the table that generation wrote."""
    return archive.row(partition, "calls", "request_key", key) or {}


def _brief_call(key: str, generated: dict[str, Any], ledger: dict[str, Any] | None) -> Node:
    """A call without links. The ledger takes precedence over the table that generation wrote."""
    row = {**generated, **(ledger or {})}
    facts = {name.replace("_", " "): row[name] for name in _CALL_FACTS if row.get(name) not in (None, "")}
    cost = row.get("cost_usd")
    if ledger is not None:
        cost = None if ledger["nanousd"] is None else ledger["nanousd"] / 1e9
    facts["cost usd"] = "no price known" if cost is None else cost
    if ledger is None:
        facts["ledger"] = "has no such call"
    return Node("call", key, facts=facts)


def _difficulty(archive: Archive, round_key: str, candidate_id: str) -> dict[str, Any]:
    """Instruction-following difficulty, if the filter measured it."""
    row = archive.row(f"filtered_batches/{round_key}", "ifd", "candidate_id", candidate_id) or {}
    return {name.replace("_", " "): row[name] for name in ("ifd_loss_ratio", "ifd_perplexity_ratio") if row.get(name)}


def _neighbour(archive: Archive, verdict: dict[str, Any]) -> Node:
    """The text that a candidate is too similar to: a seed, an example, an evaluation item or a guarded text."""
    id_ = verdict["neighbour_id"]
    if archive.mentions(id_, "seed", "seed set", "candidate"):
        return brief(archive, id_)
    return Node("evaluation item or guarded text", id_, verdict["neighbour"] or "")


def _add_promotion(archive: Archive, node: Node) -> None:
    """Link to the decisions whether it became a seed, with the reasons."""
    for mention in archive.mentions(node.id, "considered"):
        row = archive.row(mention.partition, "considered", "example_id", node.id) or {}
        facts = {name: row[name] for name in ("signal", "why", "refused") if row.get(name) is not None}
        node.link_to("considered as a seed", [Node("decision", f"seed_feedback/{mention.round}", facts=facts)])
    for mention in archive.mentions(node.id, "change"):
        for row in archive.rows(mention.partition, "changes", "seed_id", node.id):
            facts = {"change": row["change"], "reason": row["reason"]}
            node.link_to("as a seed", [Node("decision", f"seed_feedback/{mention.round}", facts=facts)])


def _add_effects(archive: Archive, node: Node) -> None:
    """Link a seed or candidate to its batches, its promotion, and the candidates derived from it or too similar."""
    node.link_to("trained on", training_of(archive, node.id))
    _add_promotion(archive, node)
    _add_candidates(archive, node, "shown to the teacher for", "demonstration", "candidates", "demonstration_ids")
    _add_candidates(archive, node, "evolved into", "parent", "candidates", "parent_id")
    _add_rejected_neighbours(archive, node)


def _add_rejected_neighbours(archive: Archive, node: Node) -> None:
    _add_candidates(archive, node, "kept out as too near", "neighbour", "verdicts", "neighbour_id")


def _add_candidates(archive: Archive, node: Node, relation: str, role: str, table: str, column: str) -> None:
    """Link to the candidates that refer to the node in a column of their table; only the first are shown."""
    mentions = archive.mentions(node.id, role)
    nodes: list[Node] = []
    for mention in mentions:
        if len(nodes) < MOST_SHOWN:
            rows = archive.rows(mention.partition, table, column, node.id)
            nodes += [brief_candidate(archive, row["candidate_id"]) for row in rows[: MOST_SHOWN - len(nodes)]]
    node.link_to(relation, nodes, sum(mention.times for mention in mentions))


def _seed_file(archive: Archive) -> dict[str, Any]:
    """The seed file as recorded in the newest manifest."""
    finished = archive.store.record_names("manifests")
    newest = archive.manifest(finished[-1]) if finished else {}
    file = newest.get("files", {}).get("seeds")
    return {"seed file": json.dumps(file, ensure_ascii=False)} if file else {}
