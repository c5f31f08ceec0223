"""A cache of text embeddings in Lance: no text is embedded twice.

The key is a hash of the text. Each model has its own table, named after the model and, if it is a folder, its weights.
Rows are only appended. Two processes that embed the same text at the same time may both store it; as the rows are
equal, no lock is needed (object stores have none).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sedi_dagster.batching.embedding import embed, model_identity
from sedi_dagster.storage.object_store import lance_database, lance_table

STORED_AT_ONCE = 8192
"""Texts embedded between two writes, which is what an interrupted run loses at most."""

LOOKED_UP_AT_ONCE = 10_000
MOST_FRAGMENTS = 64


class StoredVectors:
    """Like `embed`, but each distinct text is embedded only once over all rounds and runs.

    Attributes:
        model: name of the embedding model.
        embedded: number of texts embedded by this object.
    """

    def __init__(
        self, uri: str, model_name: str, make: Callable[[Sequence[str], str], np.ndarray] | None = None
    ) -> None:
        """Take the folder or object-store URL of the Lance database; `make` replaces `embed`."""
        self.model, self.embedded = model_name, 0
        self._make = make or embed
        self._uri = uri

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, float32, shape (len(texts), dimensions).

        Raises:
            ModelError: the model is missing or not a sentence-transformers model.
        """
        import numpy as np

        keys = [text_hash(text) for text in texts]
        texts_by_key = dict(zip(keys, texts, strict=True))
        database = lance_database(self._uri)
        name = _table_name(self.model)
        table = lance_table(database, name)
        found = _look_up(table, list(texts_by_key)) if table is not None else {}
        missing = [key for key in texts_by_key if key not in found]
        for start in range(0, len(missing), STORED_AT_ONCE):
            part = missing[start : start + STORED_AT_ONCE]
            vectors = self._make([texts_by_key[key] for key in part], self.model)
            rows = _rows(part, vectors, self.model)
            table = table or database.create_table(name, schema=rows.schema, exist_ok=True)
            table.add(rows)
            found |= zip(part, vectors, strict=True)
            self.embedded += len(part)
        if missing and table is not None and table.stats()["fragment_stats"]["num_fragments"] > MOST_FRAGMENTS:
            table.optimize()
        return np.stack([found[key] for key in keys]) if keys else embed([], self.model)


def text_hash(text: str) -> str:
    """Return 32 hex digits of the text's BLAKE2b hash."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _table_name(model_name: str) -> str:
    return f"vectors-{text_hash(model_identity(model_name))[:16]}"


def _look_up(table: Any, keys: Sequence[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    dimensions = table.schema.field("vector").type.list_size
    for start in range(0, len(keys), LOOKED_UP_AT_ONCE):
        part = keys[start : start + LOOKED_UP_AT_ONCE]
        listed = ", ".join(f"'{key}'" for key in part)
        rows = table.search().where(f"text_hash IN ({listed})").select(["text_hash", "vector"]).to_arrow()
        flat = np.asarray(rows["vector"].combine_chunks().flatten(), dtype=np.float32).reshape(-1, dimensions)
        for key, vector in zip(rows["text_hash"].to_pylist(), flat, strict=True):
            found.setdefault(key, vector)
    return found


def _rows(keys: Sequence[str], vectors: np.ndarray, model: str) -> Any:
    import pyarrow as pa

    dimensions = vectors.shape[1]
    flat = pa.array(vectors.reshape(-1), type=pa.float32())
    return pa.table(
        [
            pa.array(keys, pa.string()),
            pa.array([model] * len(keys), pa.string()),
            pa.FixedSizeListArray.from_arrays(flat, dimensions),
        ],
        schema=pa.schema(
            [
                pa.field("text_hash", pa.string(), nullable=False),
                pa.field("embedding_model", pa.string(), nullable=False),
                pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False),
            ]
        ),
    )
