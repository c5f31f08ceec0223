"""The Lance table holds exactly the examples of the rounds, however often a round is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sedi_dagster.batching.example_table import TABLE, replace_round
from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.contents import example_digests


def examples(round_key: str, count: int) -> tuple[pl.DataFrame, np.ndarray]:
    rows = [
        {
            "example_id": f"{round_key}-{i}", "round": round_key, "category": "math", "instruction": f"Add {i}.",
            "input": "", "output": str(i), "is_classification": False,
        }
        for i in range(count)
    ]  # fmt: skip
    schema = dict.fromkeys(("example_id", "round", "category", "instruction", "input", "output"), pl.String)
    return pl.DataFrame(rows, schema={**schema, "is_classification": pl.Boolean}), np.eye(count, 4, dtype="float32")


def ids(uri: Path, tag: str | None = None) -> list[str]:
    import lancedb

    table = lancedb.connect(str(uri)).open_table(TABLE)
    if tag is not None:
        table.checkout(tag)
    return sorted(table.to_arrow()["example_id"].to_pylist())


def test_a_round_that_is_written_again_is_replaced_and_tagged(tmp_path: Path) -> None:
    assert replace_round(str(tmp_path), "round-0001", *examples("round-0001", 3), "m") == 3
    assert replace_round(str(tmp_path), "round-0002", *examples("round-0002", 2), "m") == 5
    assert replace_round(str(tmp_path), "round-0001", *examples("round-0001", 2), "m") == 4
    assert ids(tmp_path) == ["round-0001-0", "round-0001-1", "round-0002-0", "round-0002-1"]
    assert ids(tmp_path, "round-0001") == ids(tmp_path), "the tag moved to the new state"
    assert len(ids(tmp_path, "round-0002")) == 5


def test_a_round_that_kept_nothing_is_tagged_too(tmp_path: Path) -> None:
    assert replace_round(str(tmp_path), "round-0001", *examples("round-0001", 0), "m") == 0
    assert ids(tmp_path, "round-0001") == []


def test_a_table_whose_creation_was_interrupted_is_created_again(tmp_path: Path) -> None:
    """A full disk or a kill leaves folders without a version, which Lance lists as a table."""
    (tmp_path / f"{TABLE}.lance" / "_versions").mkdir(parents=True)
    assert example_digests(str(tmp_path)) == {}
    assert replace_round(str(tmp_path), "round-0001", *examples("round-0001", 3), "m") == 3
    assert len(example_digests(str(tmp_path))["round-0001"]) == 3


def test_another_embedding_model_gets_one_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    frame, vectors = examples("round-0001", 2)
    replace_round(str(tmp_path), "round-0001", frame, vectors, "small")
    with pytest.raises(StorageError, match="SEDI_BATCHING_EMBEDDING_MODEL"):
        replace_round(str(tmp_path), "round-0001", frame, np.eye(2, 6, dtype="float32"), "large")
    assert len(ids(tmp_path)) == 2


def test_vectors_of_another_model_are_refused_also_if_they_are_as_long(tmp_path: Path) -> None:
    replace_round(str(tmp_path), "round-0001", *examples("round-0001", 2), "one's")
    with pytest.raises(StorageError, match="an embedding model other than"):
        replace_round(str(tmp_path), "round-0002", *examples("round-0002", 2), "other")
    assert replace_round(str(tmp_path), "round-0002", *examples("round-0002", 2), "one's") == 4


def test_a_round_is_replaced_in_one_commit(tmp_path: Path) -> None:
    import lancedb

    replace_round(str(tmp_path), "round-0001", *examples("round-0001", 3), "m")
    table = lancedb.connect(str(tmp_path)).open_table(TABLE)
    before = table.version
    replace_round(str(tmp_path), "round-0001", *examples("round-0001", 2), "m")
    table.checkout_latest()
    assert table.version == before + 1
