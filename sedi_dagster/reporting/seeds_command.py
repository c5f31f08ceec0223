"""`sedi seeds check`: the contents and problems of a file of seed tasks."""

from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sedi_dagster.categories import load_categories
from sedi_dagster.datafiles import Problems
from sedi_dagster.datafiles.options import column_options
from sedi_dagster.datafiles.shapes import Columns
from sedi_dagster.datafiles.writing import write_jsonl
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.reporting.seed_check import SeedReport, check_seeds
from sedi_dagster.seed_pool.loading import read_seed_file
from sedi_dagster.settings import load_settings

PROBLEMS_EXIT_CODE = 2


@click.group()
def seeds() -> None:
    """Work with human seed tasks."""


@seeds.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--remarks", is_flag=True, help="Also list remarks: not problems, but worth a look.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the tasks without problems to this file.")
@column_options
@click.pass_context
def check(ctx: click.Context, file: Path | None, remarks: bool, write: Path | None, columns: Columns) -> None:
    """Validate a file of seed tasks (default: SEDI_SEEDS).

    Supports JSON, CSV, Parquet and Arrow with the common field names for instruction, input and output, messages and
    conversations. The exit status is 2 if there is a problem.
    """
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    items = load_evaluation_items(settings.path(settings.items), categories)
    path = file or settings.path(settings.seeds)
    console = Console(soft_wrap=True)
    with console.status("Reading"):
        found = read_seed_file(path, categories, columns, settings.seed_categories)
        prompts = [(item.id, item.prompt) for item in items]
        report = check_seeds(found, categories, prompts, settings)
    show_report(console, path, report, remarks)
    if write is not None:
        write_jsonl(write, ({**vars(task)} for task in found.tasks))
        console.print(f"Wrote {len(found.tasks):,} tasks without a problem to {escape(str(write))}.", highlight=False)
    elif report.problems.count and found.tasks:
        console.print("--write FILE writes the tasks without problems in the project's own format.")
    if report.problems.count:
        ctx.exit(PROBLEMS_EXIT_CODE)


def show_report(console: Console, path: Path, report: SeedReport, with_remarks: bool) -> None:
    """Print table, notes and problems; remarks line by line only if asked for."""
    console.print(_table(path, report))
    for note in report.notes:
        console.print(f"Note: {escape(note)}.")
    _list_problems(console, "problem(s) to fix", report.problems)
    if with_remarks:
        _list_problems(console, "remark(s)", report.remarks)
    elif report.remarks.count:
        what = "near duplicates, filter rules and missing answers"
        console.print(f"{report.remarks.count} remark(s) on {what}: --remarks shows them.")
    if not report.problems.count:
        console.print("[green]No problem: the file can be used as SEDI_SEEDS.[/green]")


def _table(path: Path, report: SeedReport) -> Table:
    assigned = any(row.confidence for row in report.rows)
    table = Table(title=f"Seed tasks in {escape(str(path))}", title_justify="left", show_footer=True)
    rows = report.rows
    table.add_column("Category", no_wrap=True, footer="All")
    for name, values in (
        ("Tasks", [row.tasks for row in rows]),
        ("With input", [row.with_input for row in rows]),
        ("Near duplicates", [row.duplicates for row in rows]),
        ("Near evaluation items", [row.near_items for row in rows]),
    ):
        table.add_column(name, justify="right", footer=str(sum(values)))
    if assigned:
        table.add_column("Confidence (median)", justify="right")
    for row in rows:
        cells = [escape(row.category), *map(str, (row.tasks, row.with_input, row.duplicates, row.near_items))]
        if assigned:
            cells.append("" if row.median_confidence is None else f"{row.median_confidence:.0%}")
        table.add_row(*cells)
    return table


def _list_problems(console: Console, what: str, problems: Problems) -> None:
    if not problems.count:
        return
    console.print(f"[bold]{problems.count} {what}:[/bold]")
    for problem in problems.found:
        console.print(f"  {escape(str(problem))}")
    if problems.count > len(problems.found):
        console.print(f"  ... and {problems.count - len(problems.found)} more")
