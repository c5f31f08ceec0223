"""Verification of a single partition: its marker against its files, and the other files that its tables list."""

import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.storage.sealing import json_text
from sedi_dagster.storage.store import MARKER, Store, content_hash, marker_of, version_of

_TABLES_OF_FILES = {"round_report": "pages", "sft_dataset": "files", "morning_page": "pages"}
"""By asset, the table that lists files outside the partition, with columns `path` and `sha256`."""


def check_partition(store: Store, folder: str, report: Verification) -> list[str]:
    """Compare a partition's marker, byte by byte, with the marker computed from its files.

    Args:
        folder: such as `assets/round_report/round-0001`.

    Returns:
        The paths of the marker and of the files that it covers.
    """
    names = store.names(folder)
    tables = [name.removesuffix(".parquet") for name in names if name.endswith(".parquet")]
    own = [f"{folder}/{name}" for name in names if name.endswith(".parquet") or name == MARKER]
    if MARKER not in names:
        report.missing(f"{folder}/{MARKER}", "a partition is incomplete without its marker")
        return own
    written = store.read_bytes(folder, MARKER)
    contents = {name: store.read_bytes(folder, f"{name}.parquet") for name in tables}
    marker = as_marker(written)
    if marker is None or marker["data_version"] == version_of(contents):  # the files are as they were written
        if marker is None or written != _as_written(contents, marker["tables"]):
            report.changed(f"{folder}/{MARKER}", "it does not match the files of its partition")
        return own
    _compare(folder, contents, marker["tables"], report)
    return own


def _compare(folder: str, contents: dict[str, bytes], recorded: dict[str, Any], report: Verification) -> None:
    """Compare each file with its entry in the marker."""
    unchanged = {name for name in contents if content_hash(contents[name]) == recorded.get(name, {}).get("blake2b")}
    for name in recorded:
        if name not in contents:
            report.missing(f"{folder}/{name}.parquet", "the marker of its partition lists it")
    for name in contents.keys() - unchanged:
        if name in recorded:
            report.changed(f"{folder}/{name}.parquet", "the marker of its partition has another hash")
        else:
            report.no_origin(f"{folder}/{name}.parquet", "the marker of its partition does not list it")
    if unchanged == set(recorded) == set(contents) or not unchanged:
        report.changed(f"{folder}/{MARKER}", "it does not match the files of its partition")


def as_marker(content: bytes) -> dict[str, Any] | None:
    """Return the parsed marker; None if the content is not a marker."""
    try:
        value = json.loads(content)
        return {"data_version": value["data_version"], "tables": {n: dict(t) for n, t in value["tables"].items()}}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _as_written(contents: dict[str, bytes], order: dict[str, Any]) -> bytes:
    """The marker of these files, with the tables in the given order if they are the same tables."""
    ordered = {name: contents[name] for name in order} if set(order) == set(contents) else contents
    return json_text(marker_of(ordered)).encode()


def readable_table(store: Store, table: str, *parts: str) -> pl.DataFrame | None:
    """Return a table of a partition; None if it is missing or differs from its marker, which other checks report."""
    try:
        return store.read_table(table, *parts)
    except (StorageError, KeyError, TypeError, AttributeError):
        return None


def files_named_in_tables(store: Store, folders: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the files listed in tables (reports, their index, the exported dataset): path to (SHA-256, partition).

    A file that every round rewrites has the hash and partition of the newest round.
    """
    files: dict[str, tuple[str, str]] = {}
    for folder in sorted(folders):
        _, asset, *rest = folder.split("/")
        if asset not in _TABLES_OF_FILES:
            continue
        frame = readable_table(store, _TABLES_OF_FILES[asset], asset, *rest)
        if frame is not None and {"path", "sha256"} <= set(frame.columns):
            rows = frame.select(pl.col("path", "sha256").cast(pl.String)).iter_rows()
            files |= {path: (sha256, folder.removeprefix("assets/")) for path, sha256 in rows}
    return files
