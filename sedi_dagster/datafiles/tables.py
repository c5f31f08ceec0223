"""Rows from tables: CSV, Parquet, Arrow. Polars reads them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from sedi_dagster.datafiles.problems import Problems
from sedi_dagster.errors import InputFileError

DELIMITERS = ",;\t|"


def csv_rows(text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table with a line of names, separated by comma, semicolon, tab or bar; a cell without text is null.

    Raises:
        InputFileError: it is no such table.
    """
    text = text.lstrip("\ufeff\n\r ")
    if text[:4].lower() == "sep=":  # a line for Excel
        text = text.partition("\n")[2]
    head = text.partition("\n")[0]
    separator = max(DELIMITERS, key=head.count)
    problems.unit = "row"
    try:
        names = next(csv.reader([head], delimiter=separator), [])
    except csv.Error as error:
        raise InputFileError(f"{problems.path} has no header line: {error}.", "Save it as UTF-8 CSV.") from None
    if len(set(names)) < len(names):
        raise InputFileError(f"{problems.path} has two columns of one name in: {head[:100]}", "Give each its own name.")
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except PolarsError as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputFileError(
            f"{problems.path} is not a table of values separated by {separator!r}: {reason}.",
            "Put texts with line breaks, quotes or separators into double quotes, and save it again.",
        ) from None
    rows = enumerate(frame.iter_rows(named=True), 1)
    yield from ((n, {name.strip(): v for name, v in row.items()}) for n, row in rows if any(row.values()))


def columnar_rows(raw: bytes, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]] | None:
    """The rows of Parquet or Arrow (IPC file or stream, as `datasets` saves it); None if it is neither.

    Raises:
        InputFileError: it is damaged.
    """
    marks: dict[bytes, tuple[str, Callable[[io.BytesIO], pl.DataFrame]]] = {
        b"PAR1": ("Parquet", pl.read_parquet),
        b"ARROW1": ("Arrow", pl.read_ipc),
        b"\xff\xff\xff\xff": ("Arrow", pl.read_ipc_stream),
    }
    mark = next((mark for mark in marks if raw.startswith(mark)), None)
    if mark is None:
        return None
    kind, read = marks[mark]
    problems.unit = "row"
    try:
        frame = read(io.BytesIO(raw))
    except (PolarsError, OSError, ValueError) as error:
        message = f"{problems.path} is {kind} that cannot be read: {str(error).strip().partition(chr(10))[0]}."
        raise InputFileError(message, "Copy or create it again.") from None
    return enumerate(frame.iter_rows(named=True), 1)
