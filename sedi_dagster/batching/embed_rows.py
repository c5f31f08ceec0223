"""The embedding workload: embeds the texts of a Parquet file.

To run it by hand: `python -m sedi_dagster.batching.embed_rows --job job.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sedi_dagster.batching.embedding import embed
from sedi_dagster.workloads.process import Log, progress_log, workload_main

VECTORS = "vectors.npy"
TEXTS_BETWEEN_LINES = 2048


def embed_rows(job: Mapping[str, Any], log: Log) -> None:
    """Write `vectors.npy`: float32, one row per text, in order.

    Fields of the job file (JSON):
        model: name of the embedding model
        rows: Parquet file with the column `text`
        output: folder for `vectors.npy`
    """
    texts = pl.read_parquet(job["rows"])["text"].to_list()
    report = progress_log(log, "embed")
    vectors = []
    for start in range(0, len(texts), TEXTS_BETWEEN_LINES):
        vectors.append(embed(texts[start : start + TEXTS_BETWEEN_LINES], job["model"]))
        report(min(start + TEXTS_BETWEEN_LINES, len(texts)), len(texts), {})
    np.save(Path(job["output"]) / VECTORS, np.concatenate(vectors), allow_pickle=False)


if __name__ == "__main__":
    workload_main("Embed texts.", embed_rows)
