"""`sedi filter`: a verdict for every row of a file, outside the loop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.markup import escape

from sedi_dagster.categories import load_categories
from sedi_dagster.datafiles import Limits, Problems
from sedi_dagster.datafiles.options import column_options
from sedi_dagster.datafiles.output_cleaning import clean_outputs
from sedi_dagster.datafiles.shapes import Columns, read_exchanges
from sedi_dagster.datafiles.writing import write_jsonl
from sedi_dagster.errors import InputFileError, StorageError
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.filtering.data_set import data_set_frame, judge_data_set
from sedi_dagster.filtering.guarded_texts import read_guarded_texts
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.reporting.file_problems import show_notes, show_problems
from sedi_dagster.reporting.funnel import RULES
from sedi_dagster.reporting.page import render_page
from sedi_dagster.seed_pool.loading import read_seed_file
from sedi_dagster.settings import FilteringSettings, Settings, load_settings

LIMITS = Limits(file_bytes=2_000_000_000, rows=5_000_000, text_chars=200_000)
SHOWN = 3
"""Number of rows per rule that the page shows."""


@click.command("filter")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: FILE.filtered]")
@click.option(
    "--against", type=click.Path(path_type=Path), multiple=True, help="Another file that rows must not duplicate."
)
@column_options
def filter_command(file: Path, out: Path | None, against: tuple[Path, ...], columns: Columns) -> None:
    """Filter any dataset: a verdict for every row of FILE, kept or rejected by a named rule.

    Applies the loop's rules that need no model, with its settings: form, instances, decontamination against evaluation
    items and SEDI_FILTERING_DECONTAMINATE_FILES, and duplicates. Writes verdicts.parquet, kept.jsonl and report.html.
    """
    settings = load_settings()
    folder = out or Path(f"{file.name}.filtered")
    console = Console(soft_wrap=True, highlight=False)
    with console.status("Reading and judging"):
        problems = Problems(file)
        verdicts = _judge(file, against, columns, settings, problems)
        _write(folder, file, verdicts, problems, settings.filtering)
    counted = verdicts.group_by("rule").len().drop_nulls().sort("len", descending=True)
    kept = verdicts.filter(pl.col("state") == "kept").height
    console.print(f"{kept:,} of {verdicts.height:,} rows are kept ({kept / verdicts.height:.1%}).")
    for rule, count in counted.iter_rows():
        console.print(f"  {count:>9,}  {rule}: {RULES.get(rule, '')}")
    show_notes(console, problems.note_lines())
    show_problems(console, "row(s) that could not be read", problems, SHOWN)
    console.print(f"Written to {escape(str(folder))}: verdicts.parquet, kept.jsonl, report.html")


def _judge(
    file: Path, against: Sequence[Path], columns: Columns, settings: Settings, problems: Problems
) -> pl.DataFrame:
    """A verdict for each row. `problems` collects unreadable rows, and notes on text that was removed.

    Raises:
        InputFileError: the file cannot be read, or has no usable row.
    """
    read = read_exchanges(file, problems, columns, LIMITS)
    rows = data_set_frame(clean_outputs(read, settings.teacher.cleaning_rules, problems), problems.place)
    if rows.is_empty():
        problems.raise_any()
        raise InputFileError(f"{file} has no usable row.", "Provide an instruction and an output.")
    pool = [pl.DataFrame(schema=dict.fromkeys(("id", "instruction", "input"), pl.String))]
    for other in against:
        other_problems = Problems(other)
        frame = data_set_frame(read_exchanges(other, other_problems, None, LIMITS), other_problems.place)
        row_id = pl.format("{} {}", pl.lit(other.name), "candidate_id").alias("id")
        pool.append(frame.select(row_id, "instruction", "input"))
    categories = load_categories(settings.path(settings.categories))
    seeds = read_seed_file(settings.path(settings.seeds), categories, None, settings.seed_categories).tasks
    shared = SharedInstructions((seed.instruction, seed.input) for seed in seeds)
    evaluation_items = load_evaluation_items(settings.path(settings.items), categories)
    items = [(item.id, shared.without_instruction(item.prompt)) for item in evaluation_items]
    for name in filter(None, map(str.strip, settings.filtering.decontaminate_files.split(","))):
        items += read_guarded_texts(settings.path(Path(name)))
    return judge_data_set(rows, pl.concat(pool), items, settings.filtering, shared)


def _write(folder: Path, file: Path, verdicts: pl.DataFrame, problems: Problems, filtering: FilteringSettings) -> None:
    """Write the verdicts, the kept rows, and the page.

    Raises:
        StorageError: the folder cannot be written.
    """
    kept = verdicts.filter(pl.col("state") == "kept")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        verdicts.rename({"candidate_id": "row", "neighbour_id": "neighbour_row"}).write_parquet(
            folder / "verdicts.parquet"
        )
        (folder / "report.html").write_text(_page(file.name, verdicts, problems, filtering), encoding="utf-8")
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}."
        raise StorageError(message, "Name another folder with --out.") from None
    rows = kept.select("instruction", "input", "output", "category").iter_rows(named=True)
    write_jsonl(folder / "kept.jsonl", ({k: v for k, v in row.items() if v is not None} for row in rows))


def _page(name: str, verdicts: pl.DataFrame, problems: Problems, filtering: FilteringSettings) -> str:
    by_rule = verdicts.drop_nulls("rule").group_by("rule").len().sort("len", "rule", descending=[True, False])
    rules: list[dict[str, Any]] = [
        {
            "name": rule,
            "count": count,
            "meaning": RULES.get(rule, ""),
            "rows": verdicts.filter(pl.col("rule") == rule).head(SHOWN).to_dicts(),
        }
        for rule, count in by_rule.iter_rows()
    ]
    by_category = (
        verdicts.drop_nulls("category")
        .group_by("category")
        .agg(rows=pl.len(), kept=(pl.col("state") == "kept").sum())
        .sort("category")
        .to_dicts()
    )
    return render_page(
        "filter_file.html.j2",
        name=name,
        rows=verdicts.height,
        kept=verdicts.filter(pl.col("state") == "kept").height,
        rules=rules,
        by_category=by_category,
        notes=problems.note_lines(),
        unread=problems.count,
        problems=[str(problem) for problem in problems.found[:10]],
        filtering=filtering,
    )
