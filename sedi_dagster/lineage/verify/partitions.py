"""A partition by itself: whether its marker says what its files are, and which other files its tables name."""

import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.storage.sealing import json_text
from sedi_dagster.storage.store import MARKER, Store, content_hash, marker_of, version_of

_TABLES_OF_FILES = {"round_report": "pages", "sft_dataset": "files", "morning_page": "pages"}
"""Tables that name files outside their partition: `path`, `sha256`."""


def check_partition(store: Store, folder: str, report: Verification) -> list[str]:
    """Compare a partition's marker, byte by byte, with the one that its files make. Returns the files it answers for.

    Args:
        folder: such as `assets/round_report/round-0001`.
    """
    names = store.names(folder)
    tables = [name.removesuffix(".parquet") for name in names if name.endswith(".parquet")]
    own = [f"{folder}/{name}" for name in names if name.endswith(".parquet") or name == MARKER]
    if MARKER not in names:
        report.missing(f"{folder}/{MARKER}", "a partition is there only when its marker is")
        return own
    written = store.read_bytes(folder, MARKER)
    contents = {name: store.read_bytes(folder, f"{name}.parquet") for name in tables}
    marker = as_marker(written)
    if marker is None or marker["data_version"] == version_of(contents):  # the files are as they were written
        if marker is None or written != _as_written(contents, marker["tables"]):
            report.changed(f"{folder}/{MARKER}", "it does not say what the files of its partition do")
        return own
    _compare(folder, contents, marker["tables"], report)
    return own


def _compare(folder: str, contents: dict[str, bytes], described: dict[str, Any], report: Verification) -> None:
    """Each file with what the marker says of it."""
    right = {name for name in contents if content_hash(contents[name]) == described.get(name, {}).get("blake2b")}
    for name in described:
        if name not in contents:
            report.missing(f"{folder}/{name}.parquet", "the marker of its partition names it")
    for name in contents.keys() - right:
        if name in described:
            report.changed(f"{folder}/{name}.parquet", "the marker of its partition names another hash")
        else:
            report.no_origin(f"{folder}/{name}.parquet", "the marker of its partition does not name it")
    if right == set(described) == set(contents) or not right:
        report.changed(f"{folder}/{MARKER}", "it does not say what the files of its partition do")


def as_marker(content: bytes) -> dict[str, Any] | None:
    """The marker in a file, if it has the form of one."""
    try:
        found = json.loads(content)
        return {"data_version": found["data_version"], "tables": {n: dict(t) for n, t in found["tables"].items()}}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _as_written(contents: dict[str, bytes], order: dict[str, Any]) -> bytes:
    """The marker of these files, tables in that order if it has the same ones."""
    ordered = {name: contents[name] for name in order} if set(order) == set(contents) else contents
    return json_text(marker_of(ordered)).encode()


def readable_table(store: Store, table: str, *parts: str) -> pl.DataFrame | None:
    """A table of a partition; None if it is not there or not as its marker says, which is reported elsewhere."""
    try:
        return store.read_table(table, *parts)
    except (StorageError, KeyError, TypeError, AttributeError):
        return None


def files_named_in_tables(store: Store, folders: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Reports, the index and the exported dataset: SHA-256 of each file and the partition whose table names it.

    What every round writes anew is as the newest round's table says.
    """
    found: dict[str, tuple[str, str]] = {}
    for folder in sorted(folders):
        _, asset, *rest = folder.split("/")
        if asset not in _TABLES_OF_FILES:
            continue
        frame = readable_table(store, _TABLES_OF_FILES[asset], asset, *rest)
        if frame is not None and {"path", "sha256"} <= set(frame.columns):
            rows = frame.select(pl.col("path", "sha256").cast(pl.String)).iter_rows()
            found |= {path: (sha256, folder.removeprefix("assets/")) for path, sha256 in rows}
    return found
