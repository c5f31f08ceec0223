"""Hashes of a round's outputs: files, ledger rows, and rows of the Lance table of examples."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from sedi_dagster.storage.files import sha256_of
from sedi_dagster.storage.object_store import lance_database, lance_table
from sedi_dagster.storage.store import Store

CALL_DIGEST_SCHEMA: dict[str, Any] = {
    "request_key": pl.String,
    "account": pl.String,  # hash of everything but the texts: model, endpoint, times, tokens, cost, outcome
    "texts": pl.String,  # hash of request and response; null if pruned before the manifest was written
}
_NOT_HASHED = frozenset(
    """owner state reserved_tokens reserved_nanousd request response
    cached_tokens reasoning_tokens replies""".split()  # the last three are missing from ledgers of layout 1
)
"""Columns left out of `account`: they may change after the call has ended, or are hashed elsewhere."""

_THREADS = 4


def file_hashes(
    store: Store, paths: Iterable[str], progress: Callable[[int], None] | None = None
) -> dict[str, str | None]:
    """Return the SHA-256 of each file by its path under the root; None if the file does not exist.

    Args:
        progress: called after each file with its size in bytes.
    """

    def hash_file(path: str) -> tuple[str | None, int]:
        try:
            with store.reading(path) as reading:
                return sha256_of(reading), reading.seek(0, os.SEEK_END)
        except FileNotFoundError:
            return None, 0

    paths, hashes = list(paths), {}
    with ThreadPoolExecutor(_THREADS) as pool:  # hashing and reading release the GIL
        for path, (sha256, size) in zip(paths, pool.map(hash_file, paths), strict=True):
            hashes[path] = sha256
            if progress is not None:
                progress(size)
    return hashes


def call_digests(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the digests (`CALL_DIGEST_SCHEMA`) of calls as read by `ledger_rows`, sorted by key."""
    digests = [
        {
            "request_key": row["key"],
            "account": _digest({name: value for name, value in row.items() if name not in _NOT_HASHED}),
            "texts": None if row["response"] is None else _digest([row["request"], row["response"]]),
        }
        for row in rows
    ]
    return pl.DataFrame(digests, schema=CALL_DIGEST_SCHEMA).sort("request_key")


def calls_root(digests: pl.DataFrame) -> str:
    """Return one SHA-256 over all digests of a round's calls, for the manifest."""
    return _digest(digests.rows())


def examples_root(digests: Mapping[str, str]) -> str:
    """Return one SHA-256 over the digests of a round's examples (by example id), for the manifest."""
    return _digest(sorted(digests.items()))


def example_digests(uri: str, round_key: str | None = None) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of each row of the Lance table of examples, vector included, by round and example id.

    Args:
        uri: of the Lance database. The result is empty if it has no such table.
        round_key: only this round; None: all.
    """
    from sedi_dagster.batching.example_table import TABLE

    database = lance_database(uri)
    table = lance_table(database, TABLE)
    if table is None:
        return {}
    query = table.search()
    rows = (query.where(f"round = '{round_key}'") if round_key else query).to_arrow()
    digests: dict[str, dict[str, str]] = {}
    for batch in rows.to_batches():
        for row in batch.to_pylist():
            vector = [float(x).hex() for x in row.pop("vector")]
            digests.setdefault(row["round"], {})[row["example_id"]] = _digest([row, vector])
    return digests


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
