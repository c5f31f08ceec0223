"""Hashes of a round's outputs: files, rows of the ledger, rows of the Lance table of examples."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from sedi_dagster.storage.files import sha256_of
from sedi_dagster.storage.object_store import lance_database
from sedi_dagster.storage.store import Store

CALL_DIGEST_SCHEMA: dict[str, Any] = {
    "request_key": pl.String,
    "account": pl.String,  # what was asked of whom, when, for how much, and how it ended
    "texts": pl.String,  # request and response; null if they were pruned before the manifest was written
}
_NOT_HASHED = frozenset(
    """owner state reserved_tokens reserved_nanousd request response
    cached_tokens reasoning_tokens replies""".split()  # the last three are not in ledgers of layout 1
)
"""Columns of a call that change after its end (`state`: pruned), or say nothing about it."""

_THREADS = 4


def file_hashes(
    store: Store, paths: Iterable[str], progress: Callable[[int], None] | None = None
) -> dict[str, str | None]:
    """SHA-256 by path under the root; None for a file that is not there. `progress(bytes)` as files are done."""

    def hashed(path: str) -> tuple[str | None, int]:
        try:
            with store.reading(path) as reading:
                return sha256_of(reading), reading.seek(0, os.SEEK_END)
        except FileNotFoundError:
            return None, 0

    wanted, found = list(paths), {}
    with ThreadPoolExecutor(_THREADS) as pool:  # hashing and reading let other threads run
        for path, (sha256, size) in zip(wanted, pool.map(hashed, wanted), strict=True):
            found[path] = sha256
            if progress is not None:
                progress(size)
    return found


def call_digests(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """`CALL_DIGEST_SCHEMA` of calls as `ledger_rows` reads them, by key."""
    found = [
        {
            "request_key": row["key"],
            "account": _digest({name: value for name, value in row.items() if name not in _NOT_HASHED}),
            "texts": None if row["response"] is None else _digest([row["request"], row["response"]]),
        }
        for row in rows
    ]
    return pl.DataFrame(found, schema=CALL_DIGEST_SCHEMA).sort("request_key")


def root_of(digests: pl.DataFrame) -> str:
    """One SHA-256 over all digests of calls, which the manifest holds."""
    return _digest(digests.rows())


def examples_root(digests: Mapping[str, str]) -> str:
    """The same over the digests of a round's examples, by example id."""
    return _digest(sorted(digests.items()))


def example_digests(uri: str, round_key: str | None = None) -> dict[str, dict[str, str]]:
    """SHA-256 of each row of the Lance table of examples, vector included: by round, then by example id.

    Args:
        uri: of the Lance database. Of one without the table, nothing comes.
        round_key: only that round.
    """
    from sedi_dagster.batching.example_table import TABLE

    database = lance_database(uri)
    if TABLE not in database.list_tables(limit=10_000).tables:
        return {}
    query = database.open_table(TABLE).search()
    rows = (query.where(f"round = '{round_key}'") if round_key else query).to_arrow()
    found: dict[str, dict[str, str]] = {}
    for batch in rows.to_batches():
        for row in batch.to_pylist():
            vector = [float(x).hex() for x in row.pop("vector")]
            found.setdefault(row["round"], {})[row["example_id"]] = _digest([row, vector])
    return found


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
