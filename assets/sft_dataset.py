"""The kept examples of all finished rounds as a dataset: `exports/sft_dataset.jsonl`, Parquet, and a dataset card.

Chat messages, the format that trainers read; each row carries the example id that `sedi trace` explains.
Tables: `examples`, `files` (path under the data folder and SHA-256 of each).
"""

import json

import dagster as dg
import polars as pl

from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.lineage.dataset_card import dataset_card
from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.metadata import made
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.rounds import finished_examples
from sedi_dagster.records import Tables, task_prompt
from sedi_dagster.store import parquet_bytes


@dg.asset(
    deps=["filtered_batches", "lineage_manifest"],
    kinds={"parquet"},
    code_version="1",
    description=__doc__,
)
def sft_dataset(sedi: SediResource) -> dg.Output[Tables]:
    with told_plainly():
        settings, store = sedi.settings(), sedi.store()
        examples = finished_examples(sedi)
        lines = [
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": task_prompt(row["instruction"], row["input"])},
                        {"role": "assistant", "content": row["output"]},
                    ],
                    **{name: row[name] for name in ("example_id", "round", "category")},
                },
                ensure_ascii=False,
            )
            for row in examples.iter_rows(named=True)
        ]
        store.write_text("\n".join([*lines, ""]), "exports", "sft_dataset.jsonl")
        target = store.path("exports", "sft_dataset.parquet")
        target.write_bytes(parquet_bytes(examples))
        store.write_text(dataset_card(examples, settings.teacher.shown, settings.profile), "exports", "README.md")
        paths = [f"exports/{name}" for name in ("sft_dataset.jsonl", "sft_dataset.parquet", "README.md")]
        hashes = file_hashes(store, paths)
    files = pl.DataFrame({"path": paths, "sha256": [hashes[path] for path in paths]})
    return made(
        {"examples": examples, "files": files},
        metadata={"examples": examples.height, "path": str(store.path("exports"))},
    )
