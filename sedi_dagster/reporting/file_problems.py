"""What was found while a file was read, on the console."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape

from sedi_dagster.datafiles import Problems


def show_notes(console: Console, notes: Iterable[str]) -> None:
    """What a person should know of how the file was read."""
    for note in notes:
        console.print(f"Note: {escape(note)}.")


def show_problems(console: Console, what: str, problems: Problems, most: int | None = None) -> None:
    """The number of problems and the first ones; nothing if there is none."""
    if not problems.count:
        return
    console.print(f"[bold]{problems.count:,} {what}:[/bold]")
    shown = problems.found[:most]
    for problem in shown:
        console.print(f"  {escape(str(problem))}")
    if problems.count > len(shown):
        console.print(f"  ... and {problems.count - len(shown):,} more")
