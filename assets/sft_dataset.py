"""The kept examples of all finished rounds as a dataset in `exports/`, in the formats that trainers read, with a card.

`sft_dataset.jsonl` (chat messages) and `sft_dataset.parquet` (columns) contain all examples. A folder for each format
contains the splits for `datasets.load_dataset` (docs/lineage.md). Each row has an example id for `sedi trace`.
Tables: `examples`, `files` (path under the data folder and SHA-256 of each).
"""

import dagster as dg
import polars as pl

from sedi_dagster.lineage.dataset import export_dataset
from sedi_dagster.lineage.dataset.export import json_lines
from sedi_dagster.lineage.dataset.forms import KEPT_COLUMNS, messages
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import kept_examples
from sedi_dagster.records import Tables
from sedi_dagster.storage.store import parquet_bytes


@dg.asset(deps=["filtered_batches", "lineage_manifest"], kinds={"parquet"}, code_version="2", description=__doc__)
def sft_dataset(sedi: SediResource) -> dg.Output[Tables]:
    with as_dagster_failure():
        settings, store = sedi.settings(), sedi.store()
        examples = kept_examples(sedi)
        rows = [messages(row) | {n: row[n] for n in KEPT_COLUMNS} for row in examples.iter_rows(named=True)]
        all_rows = {"sft_dataset.jsonl": json_lines(rows), "sft_dataset.parquet": parquet_bytes(examples)}
        hashes = export_dataset(store, settings, examples, store.below("exports"), further=all_rows)
    files = pl.DataFrame({"path": [f"exports/{name}" for name in hashes], "sha256": list(hashes.values())})
    return table_output(
        {"examples": examples, "files": files},
        metadata={"examples": examples.height, "path": str(store.path("exports"))},
    )
