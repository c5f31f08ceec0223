"""Metadata values that the Dagster UI shows well."""

from __future__ import annotations

import base64

import dagster as dg


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG shown in the UI."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
