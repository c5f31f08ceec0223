"""Comparison of a reproduced round with the recorded one, by hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.lineage.contents import example_digests, examples_root, file_hashes
from sedi_dagster.lineage.manifest import ROUND_ASSETS
from sedi_dagster.storage.store import Store, tables_version

_CLOCKS = {"steps": ("seconds",)}
"""Columns that a clock wrote, by table: they are left out."""


@dataclass(frozen=True)
class Compared:
    """One table, file or set of rows. `recorded`, `reproduced`: hashes; None: not there."""

    what: str
    recorded: str | None
    reproduced: str | None

    @property
    def same(self) -> bool:
        return self.recorded == self.reproduced


def compare_round(recorded: Store, reproduced: Store, manifest: dict[str, Any]) -> list[Compared]:
    """Every table of the round but for clock times, every file of the checkpoint, the examples with their vectors."""
    key = manifest["round"]
    categories = [planned["category"] for planned in manifest["plan"]["categories"]]
    partitions: list[tuple[str, ...]] = [("generated_batches", key, category) for category in categories]
    partitions += [(asset, key) for asset in ROUND_ASSETS]
    found = [one for parts in partitions for one in _tables(recorded, reproduced, parts)]
    prefix = f"checkpoints/{key}/"
    cards = f"{prefix}README.md"  # names when and by what it was made
    files = {path: sha for path, sha in manifest["data"].items() if path.startswith(prefix) and path != cards}
    now = file_hashes(reproduced, files)
    found += [Compared(path, sha256, now[path]) for path, sha256 in files.items()]
    rows = [example_digests(str(store.path("lance")), key).get(key, {}) for store in (recorded, reproduced)]
    return [*found, Compared(f"lance/examples.lance, {key}", *map(examples_root, rows))]


def _tables(recorded: Store, reproduced: Store, parts: tuple[str, ...]) -> list[Compared]:
    name = "/".join(parts)
    before = recorded.read_tables(*parts)
    after = reproduced.read_tables(*parts) if reproduced.tables_marker(*parts) else {}
    return [
        Compared(f"{name}: {table}", _version(table, before.get(table)), _version(table, after.get(table)))
        for table in dict.fromkeys([*before, *after])
    ]


def _version(table: str, frame: pl.DataFrame | None) -> str | None:
    return None if frame is None else tables_version({table: frame.drop(_CLOCKS.get(table, ()), strict=False)})
