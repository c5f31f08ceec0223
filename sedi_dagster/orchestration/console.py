"""The console output of `sedi run`: a live display, and a summary at the end.

Library output goes to a log file, so that the display stays readable.
"""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.driver import Driver, Stage
from sedi_dagster.orchestration.filtering import empty_categories
from sedi_dagster.orchestration.home import ensure_dagster_home
from sedi_dagster.orchestration.ownership import driver_lock
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.summary import print_summary
from sedi_dagster.settings import SIMULATED, Settings
from sedi_dagster.workloads.progress import ProgressLine

SECONDS_BETWEEN_LINES = 15.0  # without a terminal


def run_with_display(
    settings: Settings, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None
) -> int:
    """Run the loop with a live display and return the exit code."""
    started = time.monotonic()
    home = ensure_dagster_home(settings.profile)
    log_file = home / "sedi-run.log"
    with driver_lock(home), _library_output_to(log_file) as console, dg.DagsterInstance.get() as instance:
        warnings.simplefilter("ignore")
        from sedi_dagster.definitions import defs

        sedi = SediResource()
        first = len(sedi.history().finished)
        display = Display(console)
        if settings.teacher.is_simulated:
            console.print(f"Rehearsal with the {SIMULATED}.", style="bold")
        try:
            with display:
                ended = Driver(defs(), instance, sedi, display.watch).run(rounds, categories, candidates_per_category)
        except KeyboardInterrupt:
            console.print("Stopped. Finished work is kept; run the command again to resume.")
            return 130
        except SediError as error:
            console.print(f"Error: {error}", style="bold red")
            console.print(f"  Log: {log_file}")
            return 2
        print_summary(console, settings, sedi, first, ended, time.monotonic() - started)
        history = sedi.history()
        if console.is_terminal and len(history.finished) > first:
            open_report(sedi, history.finished[-1].round)
        ran = {outcome.round for outcome in history.finished[first:]}
        empty = [category for plan in history.plans if plan.round in ran for category in empty_categories(sedi, plan)]
        for category in empty:
            console.print(f"  {category}", style="bold", soft_wrap=True)
    return 2 if any(category.is_fault for category in empty) else 0


def open_report(sedi: SediResource, round_key: str) -> None:
    """Open a round's report in the browser, if there is a desktop and the report is a local file."""
    page = Path(sedi.store().path("reports", f"{round_key}.html").path)
    if has_desktop() and page.is_file():
        webbrowser.open(page.resolve().as_uri())


def has_desktop() -> bool:
    """Return whether this is a desktop session, not SSH or CI."""
    if os.environ.get("CI") or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _library_output_to(log_file: Path) -> Iterator[Console]:
    """Redirect file descriptors 1 and 2 to the log file, and yield a console on the original stdout."""
    sys.stdout.flush()
    originals = [os.dup(1), os.dup(2)]
    with log_file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            with io.TextIOWrapper(os.fdopen(os.dup(originals[0]), "wb"), encoding="utf-8", write_through=True) as out:
                yield _console(out)
        finally:
            for number, descriptor in enumerate(originals, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def _console(out: TextIO) -> Console:
    console = Console(file=out, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 140  # Rich assumes 80 columns, too few for the tables
    return console


class Display:
    """Shows progress: as a bar on a terminal, otherwise as a line every `SECONDS_BETWEEN_LINES`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[round]}"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not self._live,
        )
        self._task = self._progress.add_task("starting", total=None, round="", figures="", left="")
        self._stage = Stage("", "", 0, 1)
        self._step = ""
        self._began = self._printed_at = time.monotonic()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def watch(self, stage: Stage, line: ProgressLine | None) -> None:
        """Show that a stage began (`line` is None), or its progress."""
        if line is None:
            self._stage, self._step, self._began = stage, "", time.monotonic()
            name = f"{stage.name} ({stage.number + 1}/{stage.of})" if stage.of > 1 else stage.name
            self._progress.reset(self._task, description=name, total=None, round=stage.round, figures="", left="")
            if not self._live:
                self._print(f"{stage.round or 'prepare':<10} {name}")
            return
        if line.stage != self._step:
            self._step, self._began = line.stage, time.monotonic()
        figures = "  ".join(f"{name} {value:,.4g}" for name, value in line.figures.items())
        name = self._stage.name if line.stage == "generate" else line.stage
        left = self._time_left(line)
        self._progress.update(
            self._task, description=name, completed=line.done, total=line.total, figures=figures, left=left
        )
        if not self._live and (time.monotonic() - self._printed_at > SECONDS_BETWEEN_LINES or line.done == line.total):
            self._print(f"{self._stage.round or 'prepare':<10} {name} {line.done}/{line.total}  {figures}  {left}")

    def _time_left(self, line: ProgressLine) -> str:
        elapsed = time.monotonic() - self._began
        if not line.done or line.done >= line.total or elapsed < 2:
            return ""
        return f"about {elapsed * (line.total - line.done) / line.done:.0f} s left"

    def _print(self, text: str) -> None:
        self._printed_at = time.monotonic()
        self._console.print(text.rstrip(), soft_wrap=True)
