"""A student with planted answers in place of a model: some right, some wrong, better after its checkpoint.

It runs as the interpreter of the workloads (`SEDI_TRAINING_PYTHON`), so everything around it is real: processes, pipes,
files, kills. What it knows is a level by category, stored in its checkpoint as weights would be: the untrained student
passes one item in six; a checkpoint passes two more in each category that it was trained on, on top of its parent.

    python planted_student.py -m sedi_dagster.training --job job.json
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl

from sedi_dagster.evaluation.results import append_results, result_row
from sedi_dagster.training.state import FOLDER, last_state, mark_state
from sedi_dagster.training.tables import EXAMPLE_SCHEMA, HELDOUT_SCHEMA, STEP_SCHEMA
from sedi_dagster.workloads.process import Log, progress_log, workload_main

WEIGHTS = "adapter_model.safetensors"
JOURNAL = "PLANTED_STUDENT_JOURNAL"
"""Variable with a file that gets a line for every training that came to its end."""
PACE = "PLANTED_STUDENT_SECONDS"
"""Variable with the seconds that a training or an evaluation takes, so that a test can kill it; with saved states."""
SPOILT = "PLANTED_STUDENT_SPOILT"
"""Variable with a file; if it is there, the next training diverges, and the file is gone."""
LEVELS = 6
GAIN = 2


def interpreter(folder: Path) -> Path:
    """Write an executable that takes a Python interpreter's place; for `SEDI_TRAINING_PYTHON`."""
    script = folder / "planted-student"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


def train(job: Mapping[str, Any], log: Log) -> None:
    """Write the files and tables of the training workload, with losses that fall."""
    output = Path(job["output"])
    rows = pl.read_parquet(job["rows"])
    batches = rows.group_by("batch", maintain_order=True).agg("example_id")["example_id"].to_list()
    report = progress_log(log, "train")
    pace, state = float(os.environ.get(PACE, "0")), last_state(output)
    saved = len(state[1]) if state else 0
    for number in range(saved, len(batches)):
        time.sleep(pace / len(batches))
        report(number + 1, len(batches), {"loss": 3.0 - number / len(batches)})
        if pace:
            _save(output, number + 1)
    levels = _levels(job["checkpoint"])
    levels |= {category: min(LEVELS, levels.get(category, 1) + GAIN) for category in rows["category"].unique().sort()}
    checkpoint = output / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / WEIGHTS).write_text(json.dumps({"levels": levels, "trained_on": rows["example_id"].to_list()}))
    (checkpoint / "adapter_config.json").write_text("{}")
    (checkpoint / "README.md").write_text("# A planted student\n")
    spoilt = Path(os.environ.get(SPOILT, os.devnull))
    steps = _steps(batches)
    if spoilt.is_file():
        spoilt.unlink()
        steps = steps.with_columns(loss=pl.lit(float("nan")))
    steps.write_parquet(output / "steps.parquet")
    _examples(rows).write_parquet(output / "examples.parquet")
    _heldout(job["held_out"]).write_parquet(output / "heldout.parquet")
    summary = {"device": "planted", "tokens_per_s": 1000.0, "steps": len(batches)}
    (output / "summary.json").write_text(json.dumps(summary))
    if os.environ.get(JOURNAL):
        keys = sorted(name for name, value in os.environ.items() if name.endswith("_API_KEY") and value)
        fields = {"round": job["about"]["round"], "parent": job["about"]["parent"], "rows": rows.height, "keys": keys}
        fields |= {"went_on_after": saved} if saved else {}
        fields |= {} if steps["loss"].is_finite().all() else {"spoilt": True}
        with Path(os.environ[JOURNAL]).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(fields) + "\n")


def _save(output: Path, step: int) -> None:
    """A state after each step, in place of the one before."""
    folder = output / FOLDER / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_text("{}")
    mark_state(output, step, [{"step": number + 1} for number in range(step)])
    shutil.rmtree(folder.with_name(f"checkpoint-{step - 1}"), ignore_errors=True)


def evaluate(job: Mapping[str, Any], log: Log) -> None:
    """Answer each item rightly or wrongly by what the checkpoint knows of its category."""
    time.sleep(float(os.environ.get(PACE, "0")))
    levels = _levels(job["adapter"])
    found = []
    for item in job["items"]:
        knows = _hardness(item["id"]) < levels.get(item["category"], 1)
        found.append(result_row(item, item["reference"] if knows else "no idea", 3, False, 1.0 if knows else 2.0))
    append_results(Path(job["results"]), found)
    progress_log(log, "evaluate")(len(found), len(found), {"passed": sum(row["passed"] for row in found)})


def _levels(checkpoint: str | None) -> dict[str, int]:
    if checkpoint is None:
        return {}
    known: dict[str, int] = json.loads((Path(checkpoint) / WEIGHTS).read_text())["levels"]
    return known


def _hardness(item_id: str) -> int:
    """0 to 5: how much an answer takes; by the number that an id ends in, if it does."""
    digits = item_id.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else crc32(item_id.encode())) % LEVELS


def _steps(batches: list[list[str]]) -> pl.DataFrame:
    count = len(batches)
    columns = {
        "step": range(1, count + 1),
        "loss": [3.0 - n / count for n in range(count)],
        "grad_norm": [1.0 + (n % 5) / 10 for n in range(count)],
        "grad_norm_per_token": [0.01] * count,
        "learning_rate": [5e-4] * count,
        "tokens": [40 * len(batch) for batch in batches],
        "completion_tokens": [8 * len(batch) for batch in batches],
        "seconds": [0.01] * count,
        "example_ids": batches,
    }
    return pl.DataFrame(columns, schema=STEP_SCHEMA)


def _examples(rows: pl.DataFrame) -> pl.DataFrame:
    text = rows.unique("example_id", maintain_order=True).select("example_id", "category", "origin")
    losses = {"loss_before": 3.0, "loss_after": 2.0, "answer_tokens": 8}
    ratios = {"ifd_loss_ratio": None, "ifd_perplexity_ratio": None}
    return text.with_columns(**{name: pl.lit(value) for name, value in {**losses, **ratios}.items()}).cast(
        {name: kind for name, kind in EXAMPLE_SCHEMA.items() if name not in ("example_id", "category", "origin")}
    )


def _heldout(file: str | None) -> pl.DataFrame:
    categories = pl.read_parquet(file)["category"].unique().sort().to_list() if file else []
    rows = [(step, category, 3.0 - step, 1, 8) for step in (0, 1) for category in categories]
    return pl.DataFrame(rows, schema=HELDOUT_SCHEMA, orient="row")


if __name__ == "__main__":
    module = sys.argv[2]
    sys.argv = [sys.argv[0], *sys.argv[3:]]
    workload_main("A planted student.", train if module == "sedi_dagster.training" else evaluate)
