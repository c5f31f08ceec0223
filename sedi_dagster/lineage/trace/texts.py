"""Seeds and candidates by id: text, location, and what happened to them."""

from __future__ import annotations

from typing import Any

from sedi_dagster.lineage.trace.archive import Archive
from sedi_dagster.lineage.trace.node import Node


def candidate_row(archive: Archive, candidate_id: str) -> tuple[str, dict[str, Any]] | None:
    """Partition and row of a candidate; None if there is none of that id."""
    for mention in archive.mentions(candidate_id, "candidate"):
        row = archive.row(mention.partition, "candidates", "candidate_id", candidate_id)
        if row is not None:
            return mention.partition, row
    return None


def verdict_row(archive: Archive, round_key: str, candidate_id: str) -> dict[str, Any] | None:
    """The verdict on a candidate of the round; None if it has none."""
    return archive.row(f"filtered_batches/{round_key}", "verdicts", "candidate_id", candidate_id)


def brief_candidate(archive: Archive, candidate_id: str) -> Node:
    """A candidate with its verdict and without links."""
    found = candidate_row(archive, candidate_id)
    if found is None:
        return Node("candidate", candidate_id, facts={"missing": "no partition has it"})
    row = found[1]
    verdict = verdict_row(archive, row["round"], candidate_id) or {}
    facts = {"round": row["round"], "category": row["category"], **judged(verdict)}
    return Node(kind_of(verdict), candidate_id, row["instruction"] or row["raw"] or "", facts)


def kind_of(verdict: dict[str, Any]) -> str:
    """What a candidate with this verdict is called: an example if it was kept."""
    return "example" if verdict.get("state") == "kept" else "candidate"


def judged(verdict: dict[str, Any]) -> dict[str, Any]:
    """State, rule and what the rule measured, as far as they are there."""
    names = ("state", "rule", "score", "threshold")
    return {name: verdict[name] for name in names if verdict.get(name) is not None}


def brief_seed(archive: Archive, seed_id: str) -> Node:
    """A seed task, human or machine-made, without links."""
    for mention in archive.mentions(seed_id, "seed", "seed set"):
        row = archive.row(mention.partition, "seeds", "seed_id", seed_id)
        if row is not None:
            facts = {name: row[name] for name in ("category", "origin", "since_round") if row.get(name)}
            return Node("seed", seed_id, row["instruction"], facts)
    return Node("seed", seed_id, facts={"missing": "no partition has it"})


def brief(archive: Archive, id_: str) -> Node:
    """A seed or a candidate, whichever has that id, without links."""
    return brief_candidate(archive, id_) if archive.mentions(id_, "candidate") else brief_seed(archive, id_)
