"""Cached evaluation results, so that no item is evaluated twice by the same checkpoint.

The key of a row is a hash of everything that it depends on: the checkpoint, the item, and how it is answered and
judged. Rows are appended after each batch, so that an evaluation that was killed can resume.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster.evaluation.verifiers import verify
from sedi_dagster.records import EvaluationItem, content_id

ITEM_SCHEMA: dict[str, Any] = {
    "key": pl.String,
    "item_id": pl.String,
    "category": pl.String,
    "cluster": pl.String,
    "difficulty": pl.String,
    "half": pl.String,
    "prompt": pl.String,
    "answer": pl.String,
    "score": pl.Float64,
    "passed": pl.Boolean,
    "reason": pl.String,
    "errors": pl.List(pl.String),
    "reference_loss": pl.Float64,
    "answer_tokens": pl.Int64,
    "truncated": pl.Boolean,
}
END_OF_THOUGHT = "</think>"
"""Only the text after this mark is the answer."""

_RESULT_COLUMNS = (
    "key", "answer", "score", "passed", "reason", "errors", "reference_loss", "answer_tokens", "truncated",
)  # fmt: skip
"""The columns of `ITEM_SCHEMA` that an evaluation adds; the others describe the item."""


def result_key(student: str, item: EvaluationItem, max_answer_tokens: int) -> str:
    """Return the key of a result: a hash of the student, the item, its answer limit and the judging code.

    Args:
        student: identifies the checkpoint and how it is run.
    """
    task = (item.prompt, item.verifier, dict(item.args), item.reference, max_answer_tokens)
    return content_id("evaluation", student, task, judging_version())


@lru_cache(maxsize=1)
def judging_version() -> str:
    """Return a hash of the code that judges answers: after any change to it, even of a comment, items are rescored."""
    folder = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted([*folder.glob("verifiers/*.py"), *folder.glob("jail/*.py"), folder / "sandbox.py"]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def result_row(
    item: Mapping[str, Any], answer: str, tokens: int | None, truncated: bool, loss: float | None
) -> dict[str, Any]:
    """Verify an answer and return its row of results, as `append_results` takes it."""
    score = verify(item["verifier"], item["args"], answer, item["prompt"])
    cut_off = ("cut off",) if truncated and not score.passed else ()
    return {
        "key": item["key"],
        "answer": answer,
        "score": score.score,
        "passed": score.passed,
        "reason": score.reason,
        "errors": [*cut_off, *score.errors],
        "reference_loss": loss,
        "answer_tokens": tokens,
        "truncated": truncated,
    }


def append_results(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows and sync them to disk, after completing a line that a killed process may have left unfinished."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as out:
        unfinished = out.tell() > 0 and not _ends_with_newline(file)
        text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
        out.write((b"\n" if unfinished else b"") + text.encode("utf-8", "surrogatepass"))
        out.flush()
        os.fsync(out.fileno())


def _ends_with_newline(file: Path) -> bool:
    with file.open("rb") as reading:
        reading.seek(-1, os.SEEK_END)
        return reading.read(1) == b"\n"


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a file by key; unfinished lines are skipped. Empty if the file does not exist."""
    rows: dict[str, dict[str, Any]] = {}
    if not file.exists():
        return rows
    for line in file.read_bytes().splitlines():
        try:
            row = json.loads(line.decode("utf-8", "surrogatepass"))
        except ValueError:
            continue
        rows[row["key"]] = row
    return rows


def results_in(items: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the results in a table of items by key; empty if the table was written by a version without keys."""
    if not set(_RESULT_COLUMNS) <= set(items.columns):
        return {}
    return {row["key"]: row for row in items.select(_RESULT_COLUMNS).iter_rows(named=True)}


def item_table(
    items: Sequence[EvaluationItem],
    keys: Mapping[str, str],
    halves: Mapping[str, str],
    results: Mapping[str, Mapping[str, Any]],
) -> pl.DataFrame:
    """Return the items with their results (`ITEM_SCHEMA`), one row per item, sorted by category and id.

    Args:
        keys: result key by item id; each must be in `results`.
        halves: half (A or B) by item id.
        results: rows by key.
    """
    rows = [
        {
            **results[keys[item.id]],
            "item_id": item.id,
            "category": item.category,
            "cluster": item.cluster,
            "difficulty": item.difficulty,
            "half": halves[item.id],
            "prompt": item.prompt,
        }
        for item in items
    ]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA).sort("category", "item_id")
