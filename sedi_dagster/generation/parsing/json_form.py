"""Examples in JSON, whole or broken."""

from __future__ import annotations

from sedi_dagster.generation.parsing.pieces import ParsedTask


def parse_json(text: str, cut_off: bool, answered: bool) -> list[ParsedTask] | None:
    """Examples in the JSON of a text, or None if there are none in it."""
    return None
