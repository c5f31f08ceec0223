"""Cached evaluation results: one row per item, never evaluated twice.

A row is keyed by what it depends on: the checkpoint, the item, and how it is answered and judged. Rows are appended
when a batch ends, so a killed evaluation resumes.
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
"""What stands before it is no answer."""

_FOUND = ("key", "answer", "score", "passed", "reason", "errors", "reference_loss", "answer_tokens", "truncated")
"""What an evaluation finds out; the other columns are the item's own."""


def result_key(student: str, item: EvaluationItem, max_answer_tokens: int) -> str:
    """Identity of an evaluation: who answers, what is asked, with what limit, and the code that judges it.

    Args:
        student: identity of the checkpoint and of the way it is asked.
    """
    asked = (item.prompt, item.verifier, dict(item.args), item.reference, max_answer_tokens)
    return content_id("evaluation", student, asked, judging_version())


@lru_cache(maxsize=1)
def judging_version() -> str:
    """Hash of the code that judges answers: a changed verifier asks for new scores."""
    folder = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted([*folder.glob("verifiers/*.py"), *folder.glob("jail/*.py"), folder / "sandbox.py"]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def judged(
    item: Mapping[str, Any], answer: str, tokens: int | None, truncated: bool, loss: float | None
) -> dict[str, Any]:
    """The row of an answer: verified, with the kinds of error in it."""
    score = verify(item["verifier"], item["args"], answer, item["prompt"])
    cut = ("cut off",) if truncated and not score.passed else ()
    return {
        "key": item["key"],
        "answer": answer,
        "score": score.score,
        "passed": score.passed,
        "reason": score.reason,
        "errors": [*cut, *score.errors],
        "reference_loss": loss,
        "answer_tokens": tokens,
        "truncated": truncated,
    }


def append_results(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows, on disk when this returns. A line that a killed process left half written is closed first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as out:
        torn = out.tell() > 0 and not _ends_a_line(file)
        text = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
        out.write((b"\n" if torn else b"") + text.encode("utf-8", "surrogatepass"))
        out.flush()
        os.fsync(out.fileno())


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as reading:
        reading.seek(-1, os.SEEK_END)
        return reading.read(1) == b"\n"


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Rows by key; a half written line is passed over."""
    found: dict[str, dict[str, Any]] = {}
    if not file.exists():
        return found
    for line in file.read_bytes().splitlines():
        try:
            row = json.loads(line.decode("utf-8", "surrogatepass"))
        except ValueError:
            continue
        found[row["key"]] = row
    return found


def results_in(items: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows by key, from a table of an earlier evaluation (none, if an older version without keys wrote it)."""
    known = items.select(_FOUND).iter_rows(named=True) if set(_FOUND) <= set(items.columns) else ()
    return {row["key"]: row for row in known}


def item_table(
    items: Sequence[EvaluationItem],
    keys: Mapping[str, str],
    halves: Mapping[str, str],
    results: Mapping[str, Mapping[str, Any]],
) -> pl.DataFrame:
    """`ITEM_SCHEMA`, one row an item, by category and id.

    Args:
        keys: key of each item, by its id; every one of them is in `results`.
        halves: half of each item, by its id.
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
