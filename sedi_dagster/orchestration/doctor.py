"""`sedi doctor`: checks the machine and the settings, and gives a fix for each problem. Spends nothing."""

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

MIN_FREE_GB = 5.0
DAGSTER_PACKAGES = ("dagster", "dagster-webserver", "dagster-dg-cli", "dagster-pipes", "dagster-graphql")


@dataclass(frozen=True)
class Diagnosis:
    """The result of a check. `problem` is empty if it passed; a `warning` does not prevent work."""

    name: str
    problem: str = ""
    fix: str = ""
    warning: bool = False


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Run the checks one by one, so that each result can be shown as soon as it is known."""
    yield _run("DAGSTER_HOME", lambda: ensure_dagster_home(settings.profile))
    for name, check in preflight_checks(SediResource()):
        yield _run(name, check)
    yield _run("price and budget", lambda: known_price(settings))
    yield _run("ledger", lambda: open_ledger(settings).__exit__(None, None, None))
    yield from _disks(settings)
    yield _versions()
    yield _dagster_yaml()


def print_diagnosis(settings: Settings) -> int:
    """Print the result of each check. Return the exit code: 2 if something must be fixed, else 0."""
    console, failed = Console(highlight=False, markup=False), False
    for found in diagnose(settings):
        mark = "ok" if not found.problem else "warning" if found.warning else "FAILED"
        failed |= mark == "FAILED"
        console.print(f"{mark:<8} {found.name}")
        for text in filter(None, (found.problem, found.fix and f"Fix: {found.fix}")):
            console.print(f"         {text}", soft_wrap=True)
    console.print("Fix these problems first." if failed else "Ready.", style="bold")
    return 2 if failed else 0


def _run(name: str, check: Callable[[], object]) -> Diagnosis:
    try:
        check()
    except SediError as error:
        return Diagnosis(name, error.problem, error.fix)
    except OSError as error:  # a folder that an earlier check found unusable
        return Diagnosis(name, f"{error}.", "Correct what the checks above say.")
    return Diagnosis(name)


def _disks(settings: Settings) -> Iterator[Diagnosis]:
    folders = {"cache": settings.path(settings.cache), "DAGSTER_HOME": Path(os.environ["DAGSTER_HOME"])}
    if "://" not in settings.data_root:
        folders["data"] = Path(settings.data_root)
    for name, folder in folders.items():
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free_gb, problem, fix = shutil.disk_usage(existing).free / 1e9, "", ""
        if free_gb < MIN_FREE_GB:
            problem = f"Less than {MIN_FREE_GB:.0f} GB are free at {folder}; a checkpoint or a model may not fit."
            fix = "Free some space, or set another folder (SEDI_DATA, SEDI_CACHE, DAGSTER_HOME)."
        yield Diagnosis(f"disk of {name}: {free_gb:.0f} GB free", problem, fix, warning=True)


def _versions() -> Diagnosis:
    """Dagster's packages only work together in the same patch version."""
    installed = {name: version for name in DAGSTER_PACKAGES if (version := installed_version(name))}
    if len(set(installed.values())) <= 1:
        return Diagnosis(f"versions: dagster {installed.get('dagster')}")
    versions = ", ".join(f"{name} {version}" for name, version in installed.items())
    return Diagnosis(
        "versions", f"The versions of Dagster's packages differ: {versions}.", "Reinstall: make clean, make run."
    )


def _dagster_yaml() -> Diagnosis:
    """The copy in DAGSTER_HOME may come from an earlier version and lack what the daemon needs now."""
    original, copy = project_file("dagster.yaml"), Path(os.environ["DAGSTER_HOME"]) / "dagster.yaml"
    if not original.exists() or not copy.exists() or original.read_text() == copy.read_text():
        return Diagnosis("dagster.yaml")
    return Diagnosis(
        "dagster.yaml",
        f"{copy} differs from the project's dagster.yaml: it was edited, or copied by an earlier version.",
        f"If it was not edited on purpose, delete it; it will be copied again. Compare: diff {copy} {original}",
        warning=True,
    )
