"""The nodes and links of a trace, and the archive from which they are read: index, partitions, manifests, ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.index import LineageIndex
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.storage.rounds import table_of
from sedi_dagster.storage.store import Store

MOST_SHOWN = 8
"""Largest number of nodes shown per relation; the total is always given."""


@dataclass
class Node:
    """An object in the lineage.

    Attributes:
        kind: seed, candidate, example (a kept candidate), call, batch, step, checkpoint, evaluation item, ...
        text: its instruction or prompt, if it has one.
        facts: what is recorded about it, by name.
    """

    kind: str
    id: str
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    came_from: list[Link] = field(default_factory=list)
    led_to: list[Link] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return nested dictionaries, without empty fields."""
        return asdict(self, dict_factory=lambda fields: {name: value for name, value in fields if value})

    def link_from(self, relation: str, nodes: list[Node], total: int | None = None) -> None:
        """Add a link to what it came from, unless there are no nodes."""
        if nodes:
            self.came_from.append(Link(relation, total or len(nodes), nodes))

    def link_to(self, relation: str, nodes: list[Node], total: int | None = None) -> None:
        """Add a link to what it led to, unless there are no nodes."""
        if nodes:
            self.led_to.append(Link(relation, total or len(nodes), nodes))


@dataclass
class Link:
    """The nodes with the same relation to a node: `total` of them, of which `nodes` may contain only the first."""

    relation: str
    total: int
    nodes: list[Node]


class Archive:
    """Reads each table once.

    Missing tables are empty, so that unfinished rounds can be traced too, and so are damaged ones (`index.unreadable`).
    """

    def __init__(self, store: Store, index: LineageIndex, ledger: str | None) -> None:
        """`ledger`: its URL; None: no ledger is read."""
        self.store, self.index, self._ledger = store, index, ledger
        self.mentions = index.mentions
        self.table = lru_cache(maxsize=None)(self._table)
        self.manifest = lru_cache(maxsize=None)(lambda key: store.read_json("manifests", f"{key}.json") or {})

    def of_checkpoint(self, checkpoint: str | None, table: str) -> pl.DataFrame:
        """Return a table about a checkpoint; see `table_of`."""
        name, *partition = table_of(checkpoint, table)
        return self.table("/".join(partition), name)

    def rows(self, partition: str, table: str, column: str, value: str) -> list[dict[str, Any]]:
        """Return the rows whose column equals the value or, if it is a list, contains it."""
        frame = self.table(partition, table)
        if column not in frame.columns:
            return []
        is_list = isinstance(frame.schema[column], pl.List)
        return frame.filter(pl.col(column).list.contains(value) if is_list else pl.col(column) == value).to_dicts()

    def row(self, partition: str, table: str, column: str, value: str) -> dict[str, Any] | None:
        """Return the first of `rows`; None if there is none."""
        return next(iter(self.rows(partition, table, column, value)), None)

    def calls(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the ledger's rows of these calls, by key."""
        return {} if self._ledger is None else {row["key"]: row for row in ledger_rows(self._ledger, keys)}

    def _table(self, partition: str, table: str) -> pl.DataFrame:
        try:
            frame = self.store.find_table(table, partition)
        except StorageError as error:  # what the other tables say is still to be had
            self.index.unreadable[partition] = error
            frame = None
        return pl.DataFrame() if frame is None else frame


def candidate_row(archive: Archive, candidate_id: str) -> tuple[str, dict[str, Any]] | None:
    """Return partition and row of a candidate; None if no candidate has the id."""
    for mention in archive.mentions(candidate_id, "candidate"):
        row = archive.row(mention.partition, "candidates", "candidate_id", candidate_id)
        if row is not None:
            return mention.partition, row
    return None


def verdict_row(archive: Archive, round_key: str, candidate_id: str) -> dict[str, Any]:
    """Return the verdict on a candidate of the round; empty if it has none."""
    return archive.row(f"filtered_batches/{round_key}", "verdicts", "candidate_id", candidate_id) or {}


def brief_candidate(archive: Archive, candidate_id: str) -> Node:
    """Return a candidate with its verdict, without links."""
    found = candidate_row(archive, candidate_id)
    if found is None:
        return Node("candidate", candidate_id, facts={"missing": "no partition has it"})
    row = found[1]
    verdict = verdict_row(archive, row["round"], candidate_id)
    facts = {"round": row["round"], "category": row["category"], **verdict_facts(verdict)}
    return Node(candidate_kind(verdict), candidate_id, row["instruction"] or row["raw"] or "", facts)


def candidate_kind(verdict: dict[str, Any]) -> str:
    """Return the kind of a candidate with this verdict: an example if it was kept."""
    return "example" if verdict.get("state") == "kept" else "candidate"


def verdict_facts(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return state, rule, score and threshold of a verdict, where it has them."""
    names = ("state", "rule", "score", "threshold")
    return {name: verdict[name] for name in names if verdict.get(name) is not None}


def brief_seed(archive: Archive, seed_id: str) -> Node:
    """Return a seed task, human or machine-made, without links."""
    for mention in archive.mentions(seed_id, "seed", "seed set"):
        row = archive.row(mention.partition, "seeds", "seed_id", seed_id)
        if row is not None:
            facts = {name: row[name] for name in ("category", "origin", "since_round") if row.get(name)}
            return Node("seed", seed_id, row["instruction"], facts)
    return Node("seed", seed_id, facts={"missing": "no partition has it"})


def brief(archive: Archive, id_: str) -> Node:
    """Return the seed or candidate with this id, without links."""
    return brief_candidate(archive, id_) if archive.mentions(id_, "candidate") else brief_seed(archive, id_)
