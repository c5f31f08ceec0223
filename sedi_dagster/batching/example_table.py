"""The Lance table of kept examples with their embeddings, tagged by round.

A round is replaced in one commit, so readers never see a partial round and a killed writer changes nothing. With a
stale handle, Lance's merge_insert can silently duplicate keys, so the table is opened anew for each write, and the
concurrency pool `examples` admits one writer at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.storage.object_store import lance_database, lance_table

TABLE = "examples"


def replace_round(uri: str, round_key: str, examples: pl.DataFrame, vectors: np.ndarray, model: str) -> int:
    """Replace a round's examples in the table, and tag the new version with the round.

    Args:
        uri: folder or object-store URL of the Lance database.
        examples: with `example_id`, `round`, `category`, `instruction`, `input`, `output`.
        vectors: float32, one row per example.
        model: name of the embedding model, stored with each vector.

    Returns:
        The number of rows of all rounds.

    Raises:
        StorageError: other rounds in the table have vectors from another embedding model.
    """
    import pyarrow as pa

    data = examples.select("example_id", "round", "category", "instruction", "input", "output").to_arrow()
    data = data.cast(pa.schema([pa.field(f.name, pa.string(), nullable=False) for f in data.schema]))
    dimensions = vectors.shape[1]
    flat = pa.array(vectors.reshape(-1), type=pa.float32())
    data = data.append_column(
        pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
        pa.FixedSizeListArray.from_arrays(flat, dimensions),
    )
    data = data.append_column(
        pa.field("embedding_model", pa.string(), nullable=False), pa.array([model] * len(data), pa.string())
    )
    database = lance_database(uri)
    table = lance_table(database, TABLE) or database.create_table(TABLE, schema=data.schema)
    _check_model(table, uri, round_key, model, dimensions)
    (
        table.merge_insert(["round", "example_id"])
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .when_not_matched_by_source_delete(f"round = '{round_key}'")
        .execute(data)
    )
    if round_key in table.tags.list():
        table.tags.update(round_key, table.version)
    else:
        table.tags.create(round_key, table.version)
    return int(table.count_rows())


def _check_model(table: Any, uri: str, round_key: str, model: str, dimensions: int) -> None:
    """Reject vectors of another model: distances between vectors of two models are meaningless, even at equal size."""
    quoted = model.replace("'", "''")
    others = table.count_rows(f"embedding_model != '{quoted}' AND round != '{round_key}'")
    stored = table.schema.field("vector").type.list_size
    if others or stored != dimensions:
        raise StorageError(
            f"The table {TABLE} in {uri} has embeddings of dimension {stored} from an embedding model other than "
            f"{model}.",
            f"Set SEDI_BATCHING_EMBEDDING_MODEL back, or remove {TABLE}.lance there and filter its rounds again.",
        )
