"""An inverted index over all partitions, so that a trace reads only a few of them.

It is SQLite in the cache and updates itself when opened: partitions whose completion marker changed are read again. It
contains nothing that is not in the data folder, so it can be deleted at any time.
"""

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
MOST_FOUND = 50
"""Ids that an ambiguous search lists at most."""

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
    """A column of ids: the role in which its table mentions them. `text`: the column that an id is found by, too."""

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
"""What is indexed, by asset."""


@dataclass(frozen=True)
class Mention:
    """An id in a partition (`generated_batches/round-0001/math`), in a role, so many times."""

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
    """The index of a data folder, up to date as of its opening. A context manager.

    Attributes:
        unreadable: partitions with a file that is missing or was changed; they are not in the index.
    """

    def __init__(self, store: Store, cache: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Open it in `cache` and read what has changed. `progress(done, total)`: partitions to be read."""
        self.unreadable: dict[str, StorageError] = {}
        folder = cache / "lineage"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"v{VERSION}-{content_id('data', str(store.root))}.sqlite"
        try:
            self._update(store, progress)
        except sqlite3.DatabaseError:  # broken, or made by another program: it can always be made again
            self._file.unlink(missing_ok=True)
            self._update(store, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def mentions(self, id_: str, *roles: str) -> list[Mention]:
        """Every partition that mentions the id, in order of rounds; of these roles only, if any are named."""
        rows = self._database.execute(
            "SELECT role, partition, times FROM mentions JOIN places USING (place) WHERE id = ? ORDER BY partition",
            (id_,),
        )
        return [Mention(*row) for row in rows if not roles or row[0] in roles]

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """The ids that begin so, at most `MOST_FOUND`, with no text."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._database.execute(
            "SELECT DISTINCT id FROM mentions JOIN places USING (place) WHERE id >= ? AND id < ? LIMIT ?",
            (prefix, end, MOST_FOUND),
        )
        return {row[0]: "" for row in rows}

    def with_text(self, piece: str) -> dict[str, str]:
        """The ids whose text holds the piece (but for white space and case), at most `MOST_FOUND`, with the text."""
        escaped = " ".join(piece.split())
        for sign in "\\%_":
            escaped = escaped.replace(sign, f"\\{sign}")
        rows = self._database.execute(
            "SELECT DISTINCT id, text FROM texts JOIN places USING (place) WHERE text LIKE ? ESCAPE '\\' LIMIT ?",
            (f"%{escaped}%", MOST_FOUND),
        )
        return dict(rows)

    def partitions(self, asset: str) -> list[str]:
        """The partitions of an asset that are there."""
        rows = self._database.execute("SELECT partition FROM places ORDER BY partition")
        return [row[0] for row in rows if row[0].split("/")[0] == asset]

    def _update(self, store: Store, progress: Callable[[int, int], None] | None) -> None:
        self._database = sqlite3.connect(self._file, timeout=60)
        self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
        there = dict(partition_stamps(store))
        known = dict(self._database.execute("SELECT partition, stamp FROM places"))
        gone = [partition for partition in known if there.get(partition) != known[partition]]
        new = [partition for partition in there if known.get(partition) != there[partition]]
        if not gone and not new:
            return
        with self._database:
            # What a place held stays in the tables without it: a join drops it, and deleting would read them whole.
            self._database.executemany("DELETE FROM places WHERE partition = ?", [(name,) for name in gone])
            for number, partition in enumerate(new):
                if progress is not None:
                    progress(number, len(new))
                try:
                    self._add(store, partition, there[partition])
                except StorageError as error:  # one bad file hides no other
                    self.unreadable[partition] = error

    def _add(self, store: Store, partition: str, stamp: str) -> None:
        # Places are numbered anew (AUTOINCREMENT), so what an earlier state of the partition left is never seen.
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
    """Each complete partition of the indexed assets, and what tells whether it was written anew since."""
    root = store.path("assets")
    for asset in COLUMNS:
        if store.is_local:
            for marker in sorted(Path(root.path, asset).rglob(MARKER)):
                try:
                    stat = marker.stat()
                except FileNotFoundError:  # since it was listed, its partition began to be written anew
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
