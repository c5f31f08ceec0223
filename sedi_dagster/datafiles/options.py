"""Command-line options that name the fields of a file."""

import functools
from collections.abc import Callable
from typing import Any

import click

from sedi_dagster.datafiles.shapes import PART_NAMES, Columns


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add options such as `--instruction FIELD` to a command, which receives them as `columns`."""

    @functools.wraps(command)
    def with_columns(**given: Any) -> Any:
        named = {part: given.pop(f"{part}_field") or "" for part in PART_NAMES}
        return command(**given, columns=Columns(**named))

    for part in reversed(PART_NAMES):
        help_text = f"Field that contains the {part}, if it has an unusual name."
        with_columns = click.option(f"--{part}", f"{part}_field", metavar="FIELD", help=help_text)(with_columns)
    return with_columns
