"""The data folder: Polars tables by asset and partition, besides JSON records and checkpoint folders (`files`).

The tables of a partition exist only once their marker `_tables.json` does, which is written last. A process that is
killed while writing therefore leaves no incomplete partition.
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
"""Current names of columns that earlier versions wrote under another name."""
FORMER_TABLES = {"earnings": "seed_statistics"}
"""The same for tables."""
_MATERIALIZE = "Materialize that asset partition first (in the UI, or with `sedi run`)."


class Store(Files):
    """A data folder with the tables of asset partitions."""

    def write_tables(self, tables: Tables, *parts: str) -> dict[str, Any]:
        """Replace the tables of a partition.

        Returns:
            The marker: rows, columns and hash of each table, and the data version of the partition.
        """
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
        """Read the marker of a partition; None if the partition is missing or incomplete."""
        marker: dict[str, Any] | None = self.read_json("assets", *parts, MARKER)
        if marker is not None and not (isinstance(marker, dict) and {"tables", "data_version"} <= marker.keys()):
            raise StorageError(
                f"{self.path('assets', *parts, MARKER)} is not a marker of tables.",
                f"Restore it from a backup, or remove it and materialize {'/'.join(parts)} again.",
            )
        return marker

    def read_tables(self, *parts: str) -> Tables:
        """Read all tables of a partition.

        Raises:
            StorageError: the partition is missing or incomplete, or a file was changed after it was written.
        """
        marker = self.tables_marker(*parts)
        if marker is None:
            raise StorageError(f"There is no complete data for {'/'.join(parts)} in {self.root}.", _MATERIALIZE)
        return {
            FORMER_TABLES.get(name, name): self._read_table(("assets", *parts, f"{name}.parquet"), described["blake2b"])
            for name, described in marker["tables"].items()
        }

    def read_table(self, name: str, *parts: str) -> pl.DataFrame:
        """Read one table of a partition.

        Raises:
            StorageError: as `read_tables`; or the partition has no such table.
        """
        table = self.find_table(name, *parts)
        if table is None:
            missing = "complete data for" if self.tables_marker(*parts) is None else f"table {name} of"
            raise StorageError(f"There is no {missing} {'/'.join(parts)} in {self.root}.", _MATERIALIZE)
        return table

    def find_table(self, name: str, *parts: str) -> pl.DataFrame | None:
        """Read one table; None if the partition is missing or has no such table (an earlier version wrote it)."""
        marker = self.tables_marker(*parts)
        if marker is None or name not in marker["tables"]:
            return None
        return self._read_table(("assets", *parts, f"{name}.parquet"), marker["tables"][name]["blake2b"])

    def _read_table(self, file: tuple[str, ...], expected_hash: str) -> pl.DataFrame:
        try:
            content = self.read_bytes(*file)
        except FileNotFoundError:
            content = b""
        if content_hash(content) != expected_hash:
            raise StorageError(
                f"{self.path(*file)} is missing or was changed.", "Materialize that asset partition again."
            )
        return pl.read_parquet(io.BytesIO(content)).rename(FORMER_COLUMNS, strict=False)


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """Return the frame as a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def marker_of(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the marker of a partition with these Parquet files, by table in the order in which they are written."""
    described = {}
    for name, content in contents.items():
        frame = pl.read_parquet(io.BytesIO(content))
        described[name] = {"rows": frame.height, "columns": frame.columns, "blake2b": content_hash(content)}
    return {"data_version": version_of(contents), "tables": described}


def version_of(contents: Mapping[str, bytes]) -> str:
    """Return the data version of a partition with these Parquet files."""
    return content_hash(*(part for name in sorted(contents) for part in (name.encode(), contents[name])))


def tables_version(tables: Tables) -> str:
    """Return a hash of the tables' contents, equal for equal data (with the same version of Polars)."""
    return version_of({name: parquet_bytes(frame) for name, frame in tables.items()})


def content_hash(*parts: bytes) -> str:
    """Return the BLAKE2b hash of a marker: 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
