"""An inverted index from ids to partitions, so that a trace reads only a few of them.

The index is a SQLite file in the cache. Opening it brings it up to date: partitions whose completion marker has changed
are read again. Everything in it comes from the data folder, so the file can be deleted at any time.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.records import content_id
from sedi_dagster.storage.store import MARKER, Store

VERSION = 2
MAX_MATCHES = 50
"""Largest number of ids that a search returns."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS places (
    place INTEGER PRIMARY KEY AUTOINCREMENT, partition TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mentions (
    id TEXT NOT NULL, role TEXT NOT NULL, place INTEGER NOT NULL, times INTEGER NOT NULL,
    PRIMARY KEY (id, role, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (place INTEGER NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Column:
    """A column of ids to index.

    Attributes:
        role: what the ids are to the table's rows.
        text: column of the same table whose text an id can also be found by; empty: none.
    """

    role: str
    table: str
    name: str
    text: str = ""


COLUMNS: dict[str, tuple[Column, ...]] = {
    "seed_pool": (Column("seed", "seeds", "seed_id", text="instruction"),),
    "generated_batches": (
        Column("candidate", "candidates", "candidate_id", text="instruction"),
        Column("demonstration", "candidates", "demonstration_ids"),
        Column("parent", "candidates", "parent_id"),
        Column("call", "calls", "request_key"),
    ),
    "filtered_batches": (
        Column("neighbour", "verdicts", "neighbour_id"),
        Column("row", "batches", "example_id"),
        Column("held out", "heldout", "example_id"),
    ),
    "sft_checkpoint": (Column("file", "files", "sha256"),),
    "seed_feedback": (
        Column("seed set", "seeds", "seed_id"),
        Column("change", "changes", "seed_id"),
        Column("considered", "considered", "example_id"),
    ),
    "baseline_scores": (
        Column("item", "items", "item_id", text="prompt"),
        Column("file", "seed_files", "sha256"),
        Column("trained before the rounds", "seed_steps", "example_ids"),
    ),
    "evaluation_scores": (Column("item", "items", "item_id"),),
}
"""The indexed columns of each asset."""


@dataclass(frozen=True)
class Mention:
    """The number of times that a partition (`generated_batches/round-0001/math`) mentions an id in a role."""

    role: str
    partition: str
    times: int

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.partition.split("/"))

    @property
    def round(self) -> str:
        """Empty for assets without rounds."""
        return self.parts[1] if len(self.parts) > 1 else ""


class LineageIndex:
    """The index of a data folder, brought up to date when opened. A context manager.

    Attributes:
        unreadable: partitions left out because one of their files is missing or was changed, with the error.
    """

    def __init__(self, store: Store, cache: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Open the index in `cache` and update it, calling `progress(done, total)` for each partition to be read."""
        self.unreadable: dict[str, StorageError] = {}
        folder = cache / "lineage"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"v{VERSION}-{content_id('data', str(store.root))}.sqlite"
        try:
            self._update(store, progress)
        except sqlite3.DatabaseError:  # damaged, or not a database: the index can always be rebuilt
            self._file.unlink(missing_ok=True)
            self._update(store, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def mentions(self, id_: str, *roles: str) -> list[Mention]:
        """Return the mentions of an id in order of partition, restricted to `roles` if any are given."""
        rows = self._database.execute(
            "SELECT role, partition, times FROM mentions JOIN places USING (place) WHERE id = ? ORDER BY partition",
            (id_,),
        )
        return [Mention(*row) for row in rows if not roles or row[0] in roles]

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """Return up to `MAX_MATCHES` ids that begin with `prefix`, mapped to empty texts."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._database.execute(
            "SELECT DISTINCT id FROM mentions JOIN places USING (place) WHERE id >= ? AND id < ? LIMIT ?",
            (prefix, end, MAX_MATCHES),
        )
        return {row[0]: "" for row in rows}

    def with_text(self, piece: str) -> dict[str, str]:
        """Return up to `MAX_MATCHES` ids whose text contains `piece`, with the text; ignores case and white space."""
        escaped = re.sub(r"[\\%_]", r"\\\g<0>", " ".join(piece.split()))
        rows = self._database.execute(
            "SELECT DISTINCT id, text FROM texts JOIN places USING (place) WHERE text LIKE ? ESCAPE '\\' LIMIT ?",
            (f"%{escaped}%", MAX_MATCHES),
        )
        return dict(rows)

    def partitions(self, asset: str) -> list[str]:
        """Return the indexed partitions of an asset, sorted."""
        rows = self._database.execute("SELECT partition FROM places ORDER BY partition")
        return [row[0] for row in rows if row[0].split("/")[0] == asset]

    def _update(self, store: Store, progress: Callable[[int, int], None] | None) -> None:
        self._database = sqlite3.connect(self._file, timeout=60)
        self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
        current = dict(partition_stamps(store))
        indexed = dict(self._database.execute("SELECT partition, stamp FROM places"))
        outdated = [partition for partition in indexed if current.get(partition) != indexed[partition]]
        new = [partition for partition in current if indexed.get(partition) != current[partition]]
        if not outdated and not new:
            return
        with self._database:
            # Rows of the other tables stay: every query joins `places`, and deleting them would scan whole tables.
            self._database.executemany("DELETE FROM places WHERE partition = ?", [(name,) for name in outdated])
            for number, partition in enumerate(new):
                if progress is not None:
                    progress(number, len(new))
                try:
                    self._add(store, partition, current[partition])
                except StorageError as error:  # a bad file must not hide the other partitions
                    self.unreadable[partition] = error

    def _add(self, store: Store, partition: str, stamp: str) -> None:
        # AUTOINCREMENT never reuses a number, so rows left from an earlier state of the partition stay invisible.
        parts = tuple(partition.split("/"))
        tables = store.read_tables(*parts)
        added = self._database.execute("INSERT INTO places (partition, stamp) VALUES (?, ?)", (partition, stamp))
        place = added.lastrowid
        for column in COLUMNS[parts[0]]:
            frame = tables.get(column.table)
            if frame is None or column.name not in frame.columns:  # written by an earlier version
                continue
            self._database.executemany(
                "INSERT INTO mentions VALUES (?, ?, ?, ?)",
                ((id_, column.role, place, times) for id_, times in _counted(frame, column.name)),
            )
            if column.text:
                texts = frame.select(column.name, column.text)
                self._database.executemany(
                    "INSERT INTO texts VALUES (?, ?, ?)",
                    ((place, id_, " ".join(text.split())) for id_, text in texts.drop_nulls().iter_rows()),
                )


def partition_stamps(store: Store) -> Iterator[tuple[str, str]]:
    """Yield each complete partition of the indexed assets with a stamp that changes when it is rewritten."""
    root = store.path("assets")
    for asset in COLUMNS:
        if store.is_local:
            for marker in sorted(Path(root.path, asset).rglob(MARKER)):
                try:
                    stat = marker.stat()
                except FileNotFoundError:  # the partition is being rewritten
                    continue
                partition = marker.parent.relative_to(root.path).as_posix()
                yield partition, f"{stat.st_mtime_ns} {stat.st_ino} {stat.st_size}"
            continue
        for path, info in root.fs.glob(f"{root.path}/{asset}/**/{MARKER}", detail=True).items():
            partition = str(path).split("/assets/")[-1].removesuffix(f"/{MARKER}")
            yield partition, str([info.get(name) for name in ("ETag", "etag", "LastModified", "mtime", "size")])


def _counted(frame: pl.DataFrame, name: str) -> Iterable[tuple[str, int]]:
    ids = frame.select(name)
    if isinstance(ids.schema[name], pl.List):
        ids = ids.explode(name)
    return ids.drop_nulls().group_by(name).len().sort(name).iter_rows()
