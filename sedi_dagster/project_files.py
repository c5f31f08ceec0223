"""`sedi init`: the files of a new project, for an installation without a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from sedi_dagster.errors import StorageError
from sedi_dagster.settings import PROJECT_ROOT

PACKED = Path(__file__).with_name("project")
"""The files as packaged in the wheel (`setup.py`). In a checkout, they are at its root instead."""
CHECKOUT = Path(__file__).resolve().parent.parent
NAMES = ("seeds", "workspace.yaml", "dagster.yaml", ".env.example", "requirements/models.txt")


def project_file(name: str) -> Path:
    """Return the path of a project's file, or of the installed default if the project does not have it."""
    own = PROJECT_ROOT / name
    return own if own.exists() else (PACKED if PACKED.is_dir() else CHECKOUT) / name


def project_files(source: Path) -> list[Path]:
    """Return the data and settings files of a project under `source`, relative to it, without programs."""
    found = [
        file for name in NAMES for file in ([source / name] if (source / name).is_file() else _data(source / name))
    ]
    return [file.relative_to(source) for file in found]


def _data(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in (".yaml", ".jsonl"))


def write_project(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the files of a project into a folder, and keep existing files.

    Returns:
        The files written, and the files that existed.

    Raises:
        StorageError: the folder cannot be written.
    """
    source = PACKED if PACKED.is_dir() else CHECKOUT
    written, existing = [], []
    for name in project_files(source):
        target = folder / name
        if target.exists():
            existing.append(name)
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)
        except OSError as error:
            raise StorageError(f"{target} cannot be written: {error}.", "Name another folder.") from None
        written.append(name)
    return written, existing
