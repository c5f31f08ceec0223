"""The rows of the ledger that the rounds used, one by one."""

import sqlite3
from pathlib import Path

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.contents import CALL_DIGEST_SCHEMA, call_digests, root_of
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import readable_table

_LEDGER = "ledger.sqlite"


def check_calls(chain: Chain, url: str, report: Verification) -> None:
    """Compare each call that a manifest counts with its digest."""
    recorded = _recorded(chain, report)
    report.calls = recorded.height
    try:
        _check_pages(url, report)
        rows = list(ledger_rows(url, recorded["request_key"]))
    except StorageError as error:
        report.changed(_LEDGER, error.problem)
        return
    except UnicodeDecodeError:  # in SQLite's own words about a damaged schema
        report.changed(_LEDGER, "it is damaged: a text in it is no UTF-8")
        return
    pruned = {row["key"] for row in rows if row["state"] == "pruned"}
    now = call_digests(rows)
    both = recorded.join(now, on="request_key", how="left", suffix="_now")
    for row in both.iter_rows(named=True):
        where = f"{_LEDGER}: call {row['request_key']}"
        if row["account_now"] is None:
            report.missing(where, f"{row['round']} used it")
        elif row["account"] != row["account_now"]:
            report.changed(where, f"its account is not what {row['round']} used")
        elif row["texts"] != row["texts_now"] and row["request_key"] not in pruned:
            report.changed(where, f"its request or response is not what {row['round']} used")
    if pruned:
        report.notes.append(f"Of {len(pruned):,} calls the texts were pruned (`sedi calls prune`).")


def _recorded(chain: Chain, report: Verification) -> pl.DataFrame:
    """The digests that were written with the manifests, if they come to the manifest's one hash."""
    frames = [pl.DataFrame(schema={**CALL_DIGEST_SCHEMA, "round": pl.String})]
    for key, manifest in chain.manifests.items():
        digests = readable_table(chain.store, "calls", "lineage_manifest", key)
        if digests is None:
            continue
        if root_of(digests) != manifest["ledger"]["sha256"]:
            report.changed(f"assets/lineage_manifest/{key}/calls.parquet", "the manifest has another hash of all calls")
        else:
            frames.append(digests.with_columns(round=pl.lit(key)))
    return pl.concat(frames).unique("request_key", keep="last")


def _check_pages(url: str, report: Verification) -> None:
    """The structure of a SQLite file, by its own check."""
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
