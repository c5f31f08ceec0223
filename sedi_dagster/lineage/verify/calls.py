"""Verification of the ledger rows that the rounds used."""

import sqlite3
from pathlib import Path

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.contents import CALL_DIGEST_SCHEMA, call_digests, calls_root
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import readable_table

_LEDGER = "ledger.sqlite"


def check_calls(chain: Chain, url: str, report: Verification) -> None:
    """Compare each call of the finished rounds with its recorded digest."""
    recorded = _recorded(chain, report)
    report.calls = recorded.height
    try:
        _check_pages(url, report)
        rows = list(ledger_rows(url, recorded["request_key"]))
    except StorageError as error:
        report.changed(_LEDGER, error.problem)
        return
    except UnicodeDecodeError:  # raised by sqlite3 while decoding its error message about a damaged schema
        report.changed(_LEDGER, "it is damaged: it contains invalid UTF-8")
        return
    pruned = {row["key"] for row in rows if row["state"] == "pruned"}
    now = call_digests(rows)
    both = recorded.join(now, on="request_key", how="left", suffix="_now")
    for row in both.iter_rows(named=True):
        where = f"{_LEDGER}: call {row['request_key']}"
        if row["account_now"] is None:
            report.missing(where, f"{row['round']} used it")
        elif row["account"] != row["account_now"]:
            report.changed(where, f"its row (tokens, cost, outcome, ...) was changed since {row['round']}")
        elif row["texts"] != row["texts_now"] and row["request_key"] not in pruned:
            report.changed(where, f"its request or response was changed since {row['round']}")
    if pruned:
        report.notes.append(f"The texts of {len(pruned):,} calls were pruned (`sedi calls prune`).")


def _recorded(chain: Chain, report: Verification) -> pl.DataFrame:
    """The call digests stored with each manifest, where their hash matches the one in the manifest."""
    frames = [pl.DataFrame(schema={**CALL_DIGEST_SCHEMA, "round": pl.String})]
    for key, manifest in chain.manifests.items():
        digests = readable_table(chain.store, "calls", "lineage_manifest", key)
        if digests is None:
            continue
        if calls_root(digests) != manifest["ledger"]["sha256"]:
            report.changed(
                f"assets/lineage_manifest/{key}/calls.parquet", "its hash differs from the one in the manifest"
            )
        else:
            frames.append(digests.with_columns(round=pl.lit(key)))
    return pl.concat(frames).unique("request_key", keep="last")


def _check_pages(url: str, report: Verification) -> None:
    """Run SQLite's integrity check if the ledger is a SQLite file."""
    path = url.removeprefix("sqlite:///")
    if path == url or not Path(path).exists():
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            problems = [row[0] for row in database.execute("PRAGMA integrity_check(5)")]
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    if problems != ["ok"]:
        report.changed(_LEDGER, f"it is damaged: {problems[0]}")
