"""Console output on problems found while reading a file."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape

from sedi_dagster.datafiles import Problems


def show_notes(console: Console, notes: Iterable[str]) -> None:
    """Print notes on how the file was read."""
    for note in notes:
        console.print(f"Note: {escape(note)}.")


def show_problems(console: Console, title: str, problems: Problems, limit: int | None = None) -> None:
    """Print the number of problems and the first `limit` of them; nothing if there are none."""
    if not problems.count:
        return
    console.print(f"[bold]{problems.count:,} {title}:[/bold]")
    shown = problems.found[:limit]
    for problem in shown:
        console.print(f"  {escape(str(problem))}")
    if problems.count > len(shown):
        console.print(f"  ... and {problems.count - len(shown):,} more")
