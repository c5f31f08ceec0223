"""The sources of a trace: the index, the partitions it points to, manifests and ledger."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import polars as pl

from sedi_dagster.lineage.index import LineageIndex, Mention
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.storage.store import Store

MOST_SHOWN = 8
"""Nodes of one relation that are shown at most; their total number is always given."""


class Archive:
    """Reads each table once. Tables of partitions that are not there are empty, as traces go as far as a round came."""

    def __init__(self, store: Store, index: LineageIndex, ledger: str | None) -> None:
        """`ledger`: its URL; None: nothing is looked up there."""
        self.store, self.index, self._ledger = store, index, ledger
        self.table = lru_cache(maxsize=None)(self._table)
        self.manifest = lru_cache(maxsize=None)(self._manifest)

    def rows(self, partition: str, table: str, column: str, value: str) -> list[dict[str, Any]]:
        """The rows whose column is (or, for a list, holds) the value."""
        frame = self.table(partition, table)
        if column not in frame.columns:
            return []
        is_list = isinstance(frame.schema[column], pl.List)
        chosen = pl.col(column).list.contains(value) if is_list else pl.col(column) == value
        return frame.filter(chosen).to_dicts()

    def row(self, partition: str, table: str, column: str, value: str) -> dict[str, Any] | None:
        """The first of `rows`; None if there is none."""
        return next(iter(self.rows(partition, table, column, value)), None)

    def mentions(self, id_: str, *roles: str) -> list[Mention]:
        """Partitions in which an id stands in one of these roles; in any role if none is given."""
        return self.index.mentions(id_, *roles)

    def calls(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What the ledger has of these calls, by key."""
        return {} if self._ledger is None else {row["key"]: row for row in ledger_rows(self._ledger, keys)}

    def _table(self, partition: str, table: str) -> pl.DataFrame:
        marker = self.store.tables_marker(*partition.split("/"))
        if marker is None or table not in marker["tables"]:  # not there yet, or written by an earlier version
            return pl.DataFrame()
        return self.store.read_table(table, *partition.split("/"))

    def _manifest(self, round_key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.store.read_json("manifests", f"{round_key}.json") or {}
        return found
