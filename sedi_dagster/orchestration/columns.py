"""Descriptions of the table columns, shown in the UI (`columns.yaml`)."""

from pathlib import Path

from sedi_dagster.yaml_file import read_yaml

_FILE = read_yaml(Path(__file__).with_suffix(".yaml"))
TABLES: dict[str, dict[str, str]] = _FILE["tables"]


def description(table: str, column: str) -> str | None:
    """Return the description of a table's column; None if it has none."""
    return TABLES.get(table, {}).get(column) or _FILE["everywhere"].get(column)
