"""Descriptions of all table columns, as the UI shows them next to name and type (`columns.yaml`)."""

from pathlib import Path

from sedi_dagster.yaml_file import read_yaml

_FILE = read_yaml(Path(__file__).with_suffix(".yaml"))
TABLES: dict[str, dict[str, str]] = _FILE["tables"]


def description(table: str, column: str) -> str | None:
    """The description of a column of a table; None if there is none."""
    return TABLES.get(table, {}).get(column) or _FILE["everywhere"].get(column)
