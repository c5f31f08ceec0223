"""The trace of an example, a seed, a call and an evaluation item: upstream and downstream."""

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
    candidate_row,
    judged,
    kind_of,
    verdict_row,
)
from sedi_dagster.lineage.trace.training import briefs, training_of
from sedi_dagster.storage.rounds import SEED_TASKS

_CALL_FACTS = (
    "purpose", "model", "endpoint", "state", "finish_reason", "prompt_tokens", "completion_tokens", "latency_s",
    "attempts", "day", "run", "error",
)  # fmt: skip


def candidate_node(archive: Archive, candidate_id: str) -> Node | None:
    """A candidate: its seeds and calls, its verdict, the batches that trained on it, what grew from it."""
    found = candidate_row(archive, candidate_id)
    if found is None:
        return None
    partition, row = found
    verdict = verdict_row(archive, row["round"], candidate_id)
    node = Node(kind_of(verdict), candidate_id, row["instruction"] or row["raw"] or "")
    names = ("round", "category", "input", "output", "method", "prompt_version", "teacher", "problem")
    node.facts = {name.replace("_", " "): row[name] for name in names if row.get(name)}
    node.facts |= judged(verdict) if verdict else {"state": "not filtered yet"}
    node.facts |= _difficulty(archive, row["round"], candidate_id)
    _add_ancestors(archive, node, partition, row, set())
    if verdict.get("neighbour_id"):
        node.link_from("too near to", [_neighbour(archive, verdict)])
    _add_effects(archive, node)
    return node


def seed_node(archive: Archive, seed_id: str) -> Node | None:
    """A human seed task: the file it is from, the candidates that saw it, the batches that trained on it."""
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
    """A teacher call: what was asked and answered, and every candidate that took it."""
    mentions = archive.mentions(key, "call")
    ledger = archive.calls([key]).get(key)
    if not mentions and ledger is None:
        return None
    node = _call(key, _counted_call(archive, mentions[0].partition, key) if mentions else {}, ledger)
    if ledger is not None:
        node.facts |= {"request": ledger["request"] or "pruned", "response": ledger["response"] or "pruned"}
    wrote: list[str] = []
    for mention in mentions:
        frame = archive.table(mention.partition, "candidates")
        taken = (pl.col("instruction_key") == key) | (pl.col("answer_key") == key)
        wrote += frame.filter(taken | pl.col("further_keys").list.contains(key))["candidate_id"].to_list()
    node.link_to("wrote", [brief_candidate(archive, id_) for id_ in wrote[:MOST_SHOWN]], len(wrote))
    return node


def item_node(archive: Archive, item_id: str) -> Node | None:
    """An evaluation item: how each checkpoint answered it, and the candidates that were dropped for being near it."""
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
    _add_dropped(archive, node)
    return node


def _add_answer(node: Node, who: str, row: dict[str, Any] | None) -> None:
    if row:
        names = ("passed", "score", "answer", "reason", "reference_loss")
        facts = {name: row[name] for name in names if row[name] is not None}
        node.link_to("answered by", [Node("answer", who, facts=facts)])


def _add_ancestors(archive: Archive, node: Node, partition: str, row: dict[str, Any], seen: set[str]) -> None:
    """Seeds, calls and the task it was evolved from; machine-made seeds with their own ancestors, to the human ones."""
    seen.add(row["candidate_id"])
    if row.get("parent_id"):
        node.link_from("evolved from", [_with_ancestors(archive, row["parent_id"], seen)])
    shown = sorted(row["demonstration_ids"] or ())
    node.link_from("shown in its prompt", [_with_ancestors(archive, id_, seen) for id_ in shown])
    keys = list(dict.fromkeys(k for k in (row["instruction_key"], row["answer_key"], *row["further_keys"]) if k))
    ledger = archive.calls(keys)
    calls = [_call(key, _counted_call(archive, partition, key), ledger.get(key)) for key in keys]
    node.link_from("written by", calls)


def _with_ancestors(archive: Archive, id_: str, seen: set[str]) -> Node:
    """A seed or example; of a machine-made one also where it came from, once."""
    node = brief(archive, id_)
    found = candidate_row(archive, id_)
    if found is not None and id_ not in seen:
        _add_ancestors(archive, node, *found, seen)
    return node


def _counted_call(archive: Archive, partition: str, key: str) -> dict[str, Any]:
    """What generation wrote down of a call."""
    return archive.row(partition, "calls", "request_key", key) or {}


def _call(key: str, counted: dict[str, Any], ledger: dict[str, Any] | None) -> Node:
    """A call without links. What the ledger says goes before what generation wrote down."""
    known = {**counted, **(ledger or {})}
    facts = {name.replace("_", " "): known[name] for name in _CALL_FACTS if known.get(name) not in (None, "")}
    cost = known.get("cost_usd")
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
    """The text that a candidate was too near to: a seed, an example, an evaluation item or a text of a guarded file."""
    id_ = verdict["neighbour_id"]
    if archive.mentions(id_, "seed", "seed set", "candidate"):
        return brief(archive, id_)
    return Node("evaluation item or guarded text", id_, verdict["neighbour"] or "")


def _add_promotion(archive: Archive, node: Node) -> None:
    """Whether it became a seed, and why it was refused if it was considered."""
    for mention in archive.mentions(node.id, "considered"):
        row = archive.row(mention.partition, "considered", "example_id", node.id) or {}
        facts = {name: row[name] for name in ("signal", "why", "refused") if row.get(name) is not None}
        node.link_to("considered as a seed", [Node("decision", f"seed_feedback/{mention.round}", facts=facts)])
    for mention in archive.mentions(node.id, "change"):
        for row in archive.rows(mention.partition, "changes", "seed_id", node.id):
            facts = {"change": row["change"], "reason": row["reason"]}
            node.link_to("as a seed", [Node("decision", f"seed_feedback/{mention.round}", facts=facts)])


def _add_effects(archive: Archive, node: Node) -> None:
    """What a seed or candidate led to: batches, its promotion, the candidates that came from it or were kept out."""
    node.link_to("trained on", training_of(archive, node.id))
    _add_promotion(archive, node)
    _add_candidates(archive, node, "shown to the teacher for", "demonstration", "candidates", "demonstration_ids")
    _add_candidates(archive, node, "evolved into", "parent", "candidates", "parent_id")
    _add_dropped(archive, node)


def _add_dropped(archive: Archive, node: Node) -> None:
    """The candidates that were dropped because they were too near to it."""
    _add_candidates(archive, node, "kept out as too near", "neighbour", "verdicts", "neighbour_id")


def _add_candidates(archive: Archive, node: Node, relation: str, role: str, table: str, column: str) -> None:
    """The candidates that name it in a column of their table; the first of them are shown."""
    mentions = archive.mentions(node.id, role)
    nodes: list[Node] = []
    for mention in mentions:
        if len(nodes) < MOST_SHOWN:
            rows = archive.rows(mention.partition, table, column, node.id)
            nodes += [brief_candidate(archive, row["candidate_id"]) for row in rows[: MOST_SHOWN - len(nodes)]]
    node.link_to(relation, nodes, sum(mention.times for mention in mentions))


def _seed_file(archive: Archive) -> dict[str, Any]:
    """The seed file of the newest manifest."""
    finished = archive.store.record_names("manifests")
    newest = archive.manifest(finished[-1]) if finished else {}
    file = newest.get("files", {}).get("seeds")
    return {"seed file": json.dumps(file, ensure_ascii=False)} if file else {}
