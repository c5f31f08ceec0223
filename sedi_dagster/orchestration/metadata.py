"""What a materialization says of itself in the Dagster UI."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import dagster as dg

from sedi_dagster.records import Tables
from sedi_dagster.store import tables_version


def made(tables: Tables, metadata: Mapping[str, Any]) -> dg.Output[Tables]:
    """An asset's output, with the hash of its content as Dagster's data version: equal data, nothing downstream stale.

    Args:
        metadata: figures and texts of the asset's own; the rows of each table are added.
    """
    rows = {f"rows/{name}": frame.height for name, frame in tables.items()}
    return dg.Output(tables, metadata={**metadata, **rows}, data_version=dg.DataVersion(tables_version(tables)))


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG shown in the UI."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
