"""`sedi import`: turns candidates that were generated elsewhere into a round of the loop.

The round is planned like any other. Its batches are stored with the plan, and `generated_batches` reads them instead of
calling a teacher. After that they are treated like all other candidates: verdicts, composition, training, lineage. Each
records its origin: the name and hash of the file in place of a call, the model if the row names one, and the raw row.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console

from sedi_dagster.categories import load_categories
from sedi_dagster.datafiles import Limits, Problems
from sedi_dagster.datafiles.options import column_options
from sedi_dagster.datafiles.output_cleaning import clean_outputs
from sedi_dagster.datafiles.shapes import Columns, Exchange, read_exchanges
from sedi_dagster.errors import InputFileError, SediError
from sedi_dagster.generation.candidates import CALL_SCHEMA, CANDIDATE_SCHEMA
from sedi_dagster.generation.generate import RESULT_SCHEMA
from sedi_dagster.records import CategoryPlan, RoundPlan, Tables, content_id, round_key
from sedi_dagster.reporting.file_problems import show_notes, show_problems
from sedi_dagster.seed_pool.assignment import assign_categories
from sedi_dagster.seed_pool.loading import OUR_SEEDS, as_seed_task, read_seed_file, with_known_names
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.rounds import IMPORTS, load_history, save_plan
from sedi_dagster.storage.store import Store

BY_IMPORT = "sedi import"
LIMITS = Limits(file_bytes=2_000_000_000, rows=2_000_000, text_chars=200_000)
MODEL_FIELDS = ("model_name", "model", "generator", "teacher")
"""Fields in which data sets name the model that wrote a row."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--into", metavar="CATEGORY", help="Category of all rows. Default: as named in the rows, or the most similar."
)
@column_options
def import_command(file: Path, into: str | None, columns: Columns) -> None:
    """Start a round from candidates in FILE that were generated elsewhere.

    Supports the output of DataDesigner, distilabel, curator and others, Alpaca's format and messages, as Parquet, JSON
    or CSV. `sedi run --rounds 1` then filters the candidates, trains and evaluates, like any other round.
    """
    settings = load_settings()
    problems = Problems(file)
    plan = import_file(file, settings, problems, columns, into)
    console = Console(soft_wrap=True, highlight=False)
    show_notes(console, problems.note_lines())
    show_problems(console, "row(s) skipped", problems, 5)
    counts = ", ".join(f"{c.category} ({c.candidates:,})" for c in plan.categories)
    console.print(f"{plan.round} has {sum(c.candidates for c in plan.categories):,} candidates: {counts}.")
    console.print("Next: `sedi run --rounds 1` or the daemon (`sedi ui`) filters them, trains and evaluates.")


def import_file(
    file: Path, settings: Settings, problems: Problems, columns: Columns | None = None, into: str | None = None
) -> RoundPlan:
    """Plan a round from the candidates in a file, and store its batches.

    Args:
        problems: collects the rows that cannot be used.
        columns: names of the file's fields, if they are not recognised.
        into: category of all rows; None: as named in the rows, or that of the most similar seed tasks.

    Raises:
        SediError: another round is open, the category is unknown, or the file has no usable row.
    """
    categories = load_categories(settings.path(settings.categories))
    if into is not None and into not in categories:
        raise SediError(f"Unknown category: {into}.", f"Choose from {', '.join(categories)}.")
    store = Store(settings.data_root)
    history = load_history(store)
    if history.open_round is not None:
        raise SediError(
            f"{history.open_round.round} is open, started by {history.open_round.trigger}.",
            "Finish it first with `sedi run --rounds 1`.",
        )
    read = clean_outputs(read_exchanges(file, problems, columns, LIMITS), settings.teacher.cleaning_rules, problems)
    exchanges = with_known_names(list(read), categories, problems)
    if not exchanges:
        problems.raise_any()
        raise InputFileError(f"{file} has no usable row.", "Provide an instruction and an output.")
    assigned = _categories_of(exchanges, categories, problems, into)
    number = max((plan.number for plan in history.plans), default=0) + 1
    counts = Counter(assigned)
    plan = RoundPlan(
        round=round_key(number),
        parent=history.plans[-1].round if history.plans else None,
        trigger=BY_IMPORT,
        categories=tuple(
            CategoryPlan(category, counts[category], f"imported from {file.name}")
            for category in categories
            if counts[category]
        ),
        target_round=number,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    source = f"{file.name}@{file_sha256(file)[:16]}"
    store.remove("assets", IMPORTS, plan.round)
    for category in plan.category_ids:
        rows = [row for row, name in zip(exchanges, assigned, strict=True) if name == category]
        store.write_tables(_tables(rows, plan.round, category, source), IMPORTS, plan.round, category)
    if not save_plan(store, plan):  # last, so that an interrupted import leaves no round behind
        raise SediError(
            f"{plan.round} was opened by another process in the meantime.", "Import the file again once it is finished."
        )
    return plan


def imported_batch(store: Store, plan: RoundPlan, category: str) -> Tables | None:
    """Return the batch of an imported round; None if the round was not imported and the teacher generates it."""
    return store.read_tables(IMPORTS, plan.round, category) if plan.trigger == BY_IMPORT else None


def _categories_of(
    exchanges: Sequence[Exchange], categories: Collection[str], problems: Problems, into: str | None
) -> list[str]:
    """The category of each row: `into`, or the one that it names, or that of the most similar bundled seed tasks."""
    if into is not None:
        return [into] * len(exchanges)
    unknown = [row for row in exchanges if row.category not in categories]
    assigned: dict[int, str] = {}
    if unknown:
        known = [task for task in read_seed_file(OUR_SEEDS, categories).tasks if task.category in categories]
        if not known:
            named = ", ".join(
                repr(name[:60]) if name else "none" for name in list(dict.fromkeys(row.category for row in unknown))[:8]
            )
            raise SediError(
                f"{len(unknown):,} rows of {problems.path} name no known category, but {named}.",
                f"Name one of {', '.join(categories)} in each row, or one for all rows with --into.",
            )
        problems.notes["rows name no known category: each got the category of the most similar seeds"] += len(unknown)
        nearest = assign_categories([as_seed_task(row) for row in unknown], known)
        assigned = {row.number: category for row, (category, _) in zip(unknown, nearest, strict=True)}
    return [assigned.get(row.number, row.category) for row in exchanges]


def _tables(rows: Sequence[Exchange], round_name: str, category: str, source: str) -> Tables:
    """The tables of `generated_batches`, with one call that represents the file and costs nothing."""
    key = content_id("file", source, round_name, category)
    candidates = [_candidate(row, position, round_name, category, key, source) for position, row in enumerate(rows)]
    call = {"request_key": key, "purpose": "import", "category": category, "finish_reason": "stop",
            "prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0, "latency_s": 0.0}  # fmt: skip
    reason = f"imported from {source}"
    result = {"round": round_name, "category": category, "allowed": len(rows), "candidates": len(rows),
              "well_formed": len(rows), "waves": 0, "stopped": "enough", "reason": reason}  # fmt: skip
    return {
        "candidates": pl.DataFrame(candidates, schema=CANDIDATE_SCHEMA),
        "calls": pl.DataFrame([call], schema=CALL_SCHEMA),
        "result": pl.DataFrame([result], schema=RESULT_SCHEMA),
    }


def _candidate(row: Exchange, position: int, round_name: str, category: str, key: str, source: str) -> dict[str, Any]:
    """A row of `CANDIDATE_SCHEMA`. Its raw text is the whole row of the file, with the fields that the loop ignores."""
    raw = json.dumps(row.row, ensure_ascii=False, default=str)
    return {
        "candidate_id": content_id("cand", key, row.number, raw),
        "round": round_name,
        "category": category,
        "position": position,
        "instruction_id": content_id("instr", key, row.instruction),
        "instruction": row.instruction,
        "input": row.input,
        "output": row.output,
        "is_classification": row.is_classification,
        "method": "imported",
        "teacher": next((row.row[n] for n in MODEL_FIELDS if isinstance(row.row.get(n), str)), "unknown"),
        "prompt_version": source,
        "demonstration_ids": [],
        "instruction_key": key,
        "answer_key": key,
        "further_keys": [],
        "raw": raw,
    }
