"""The data folder: Polars tables by asset and partition, besides JSON records and checkpoint folders (`files`).

A partition's tables count as there only when their marker `_tables.json` is, and the marker is written last: a process
killed while writing leaves no half partition.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.records import Tables
from sedi_dagster.storage.files import Files

MARKER = "_tables.json"
FORMER_COLUMNS = {
    f"screened_{name}": f"rejection_{name}" for name in ("rule", "score", "threshold", "neighbour_id", "neighbour")
}
"""Columns of tables written before a rename, and their present names."""
FORMER_TABLES = {"earnings": "seed_statistics"}
"""The same of tables."""
_MATERIALIZE = "Materialize that asset partition first (in the UI, or with `sedi run`)."


class Store(Files):
    """A data folder; reads and writes the tables of asset partitions."""

    def write_tables(self, tables: Tables, *parts: str) -> dict[str, Any]:
        """Replace the tables of a partition. Returns the marker: rows, columns and hash of each, data version."""
        folder = ("assets", *parts)
        self.remove_file(*folder, MARKER)
        contents = {name: parquet_bytes(frame) for name, frame in tables.items()}
        for name in self.names(*folder):
            if name.endswith(".parquet") and name.removesuffix(".parquet") not in contents:
                self.remove_file(*folder, name)
        for name, content in contents.items():
            self.write_bytes(content, *folder, f"{name}.parquet")
        record = marker_of(contents)
        self.write_json(record, *folder, MARKER)
        return record

    def tables_marker(self, *parts: str) -> dict[str, Any] | None:
        """The marker of a complete partition, None if it is not (wholly) there."""
        marker: dict[str, Any] | None = self.read_json("assets", *parts, MARKER)
        if marker is not None and not (isinstance(marker, dict) and {"tables", "data_version"} <= marker.keys()):
            raise StorageError(
                f"{self.path('assets', *parts, MARKER)} is no marker of tables.",
                f"Restore it from a backup, or remove it and materialize {'/'.join(parts)} again.",
            )
        return marker

    def read_tables(self, *parts: str) -> Tables:
        """All tables of a partition.

        Raises:
            StorageError: the partition was never (completely) written, or a file is not what was written.
        """
        marker = self.tables_marker(*parts)
        if marker is None:
            raise StorageError(f"There is no complete data for {'/'.join(parts)} in {self.root}.", _MATERIALIZE)
        return {
            FORMER_TABLES.get(name, name): self._read_table(("assets", *parts, f"{name}.parquet"), described["blake2b"])
            for name, described in marker["tables"].items()
        }

    def read_table(self, name: str, *parts: str) -> pl.DataFrame:
        """One table of a partition; raises as `read_tables`, and if the partition has no such table."""
        found = self.find_table(name, *parts)
        if found is None:
            lacking = "complete data for" if self.tables_marker(*parts) is None else f"table {name} of"
            raise StorageError(f"There is no {lacking} {'/'.join(parts)} in {self.root}.", _MATERIALIZE)
        return found

    def find_table(self, name: str, *parts: str) -> pl.DataFrame | None:
        """As `read_table`; None if the partition is not there, or has no such table (an earlier version wrote it)."""
        marker = self.tables_marker(*parts)
        if marker is None or name not in marker["tables"]:
            return None
        return self._read_table(("assets", *parts, f"{name}.parquet"), marker["tables"][name]["blake2b"])

    def _read_table(self, file: tuple[str, ...], written: str) -> pl.DataFrame:
        try:
            content = self.read_bytes(*file)
        except FileNotFoundError:
            content = b""
        if content_hash(content) != written:
            raise StorageError(
                f"{self.path(*file)} is missing or was changed.", "Materialize that asset partition again."
            )
        return pl.read_parquet(io.BytesIO(content)).rename(FORMER_COLUMNS, strict=False)


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """The frame as a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def marker_of(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """The marker that a partition of these Parquet files has, by table in the order in which they were written."""
    described = {}
    for name, content in contents.items():
        frame = pl.read_parquet(io.BytesIO(content))
        described[name] = {"rows": frame.height, "columns": frame.columns, "blake2b": content_hash(content)}
    return {"data_version": version_of(contents), "tables": described}


def version_of(contents: Mapping[str, bytes]) -> str:
    """The data version of a partition of these Parquet files."""
    return content_hash(*(part for name in sorted(contents) for part in (name.encode(), contents[name])))


def tables_version(tables: Tables) -> str:
    """Hash of the tables' contents: equal data, equal version (for one Polars version)."""
    return version_of({name: parquet_bytes(frame) for name, frame in tables.items()})


def content_hash(*parts: bytes) -> str:
    """32 hex digits of BLAKE2b, as a marker has it."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
