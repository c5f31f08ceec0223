"""`sedi doctor`: checks this machine and these settings, with a fix for each problem. Spends nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sedi_dagster.errors import SediError
from sedi_dagster.lineage.manifest import installed_version
from sedi_dagster.orchestration.home import ensure_dagster_home
from sedi_dagster.orchestration.preflight import preflight_checks
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.project_files import project_file
from sedi_dagster.settings import Settings
from sedi_dagster.teacher.budget import known_price
from sedi_dagster.teacher.open import open_ledger

LEAST_FREE_GB = 5.0
FAMILY = ("dagster", "dagster-webserver", "dagster-dg-cli", "dagster-pipes", "dagster-graphql")


@dataclass(frozen=True)
class Diagnosis:
    """`problem` is empty if all is well; `warning`: it works all the same."""

    name: str
    problem: str = ""
    fix: str = ""
    warning: bool = False


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """One after the other, so that a slow one does not keep the others back."""
    yield _tried("DAGSTER_HOME", lambda: ensure_dagster_home(settings.profile))
    for name, check in preflight_checks(SediResource()):
        yield _tried(name, check)
    yield _tried("price and budget", lambda: known_price(settings))
    yield _tried("ledger", lambda: open_ledger(settings).__exit__(None, None, None))
    yield from _disks(settings)
    yield _versions()
    yield _dagster_yaml()


def print_diagnosis(settings: Settings) -> int:
    """Print a line for each; returns the exit code: 2 if something must be fixed."""
    console, failed = Console(highlight=False, markup=False), False
    for found in diagnose(settings):
        mark = "ok" if not found.problem else "warning" if found.warning else "FAILED"
        failed |= mark == "FAILED"
        console.print(f"{mark:<8} {found.name}")
        for text in filter(None, (found.problem, found.fix and f"Fix: {found.fix}")):
            console.print(f"         {text}", soft_wrap=True)
    console.print("Fix these problems first." if failed else "Ready.", style="bold")
    return 2 if failed else 0


def _tried(name: str, check: Callable[[], object]) -> Diagnosis:
    try:
        check()
    except SediError as error:
        return Diagnosis(name, error.problem, error.fix)
    except OSError as error:  # a folder that an earlier check found unusable
        return Diagnosis(name, f"{error}.", "Correct what the checks above say.")
    return Diagnosis(name)


def _disks(settings: Settings) -> Iterator[Diagnosis]:
    places = {"cache": settings.path(settings.cache), "DAGSTER_HOME": Path(os.environ["DAGSTER_HOME"])}
    if "://" not in settings.data_root:
        places["data"] = Path(settings.data_root)
    for name, place in places.items():
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        free_gb, problem, fix = shutil.disk_usage(there).free / 1e9, "", ""
        if free_gb < LEAST_FREE_GB:
            problem = f"Less than {LEAST_FREE_GB:.0f} GB are free at {place}; a checkpoint or a model may not fit."
            fix = "Free some space, or set another folder (SEDI_DATA, SEDI_CACHE, DAGSTER_HOME)."
        yield Diagnosis(f"disk of {name}: {free_gb:.0f} GB free", problem, fix, warning=True)


def _versions() -> Diagnosis:
    """Webserver, daemon and library match one patch only."""
    found = {name: installed_version(name) for name in FAMILY}
    kinds = {versions for versions in found.values() if versions}
    if len(kinds) <= 1:
        return Diagnosis(f"versions: dagster {found['dagster']}")
    versions = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    return Diagnosis(
        "versions", f"The packages of Dagster do not match: {versions}.", "Reinstall: make clean, make run."
    )


def _dagster_yaml() -> Diagnosis:
    """A copy that an earlier version made lacks what the daemon needs now."""
    ours, theirs = project_file("dagster.yaml"), Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml"
    if not ours.exists() or not theirs.exists() or ours.read_text() == theirs.read_text():
        return Diagnosis("dagster.yaml")
    return Diagnosis(
        "dagster.yaml",
        f"{theirs} is not the project's dagster.yaml: changed by hand, or copied by an earlier version.",
        f"If it was not changed on purpose, delete it; it will be copied again. Compare: diff {theirs} {ours}",
        warning=True,
    )
