"""What steps report to Dagster: outputs with metadata, or the error that failed them."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import polars as pl

from sedi_dagster.errors import SediError, StorageError
from sedi_dagster.orchestration.columns import description
from sedi_dagster.records import Tables
from sedi_dagster.storage.store import Store, tables_version
from sedi_dagster.texts.markdown import markdown_table

PAGES = "/sedi"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
USER_ERROR = "user_error"
PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
PREVIEW_CHARACTERS = 60
MAX_STORED_CHARACTERS = 20_000
"""Longer Markdown is not stored for `restore`."""


def page_url(name: str) -> str:
    """Return the path of a report on the webserver.

    Args:
        name: a round, `index` or `morning`.
    """
    return f"{PAGES}/reports/{name}.html"


def plot(store: Store, png: bytes, *parts: str) -> dg.MarkdownMetadataValue:
    """Store a plot as `plots/<asset>/<partition>/<name>.png`, and return metadata that shows it in the UI."""
    *folders, name = parts
    store.write_bytes(png, "plots", *folders, f"{name}.png")
    return dg.MetadataValue.md(f"![{name.replace('_', ' ')}]({PAGES}/plots/{'/'.join(parts)}.png)")


def table_output(tables: Tables, metadata: Mapping[str, Any]) -> dg.Output[Tables]:
    """Return an asset's output, with the hash of the tables as data version.

    As equal data has the same version, rebuilding it makes nothing downstream stale.

    Args:
        tables: the first is the main one, of which the UI shows the first rows, too.
        metadata: metadata specific to the asset.
    """
    main, *others = tables
    counts = ", ".join(f"`{name}` {tables[name].height:,} rows" for name in others)
    figures = {
        **{name: _few_digits(value) for name, value in metadata.items()},
        "dagster/row_count": tables[main].height,
        "dagster/column_schema": table_schema(main, tables[main]),
        "preview": dg.MetadataValue.md(preview(tables[main])),
        **({"other_tables": dg.MetadataValue.md(counts)} if others else {}),
        **{f"schema/{name}": table_schema(name, tables[name]) for name in others},
    }
    return dg.Output(tables, metadata=figures, data_version=dg.DataVersion(tables_version(tables)))


def table_schema(table: str, frame: pl.DataFrame) -> dg.TableSchema:
    """Return the name, type and description of each column."""
    columns = [dg.TableColumn(name, str(kind), description(table, name)) for name, kind in frame.schema.items()]
    return dg.TableSchema(columns=columns)


def preview(frame: pl.DataFrame) -> str:
    """Return the first rows as a Markdown table, with long texts truncated."""
    shown = frame.select(frame.columns[:PREVIEW_COLUMNS]).head(PREVIEW_ROWS)
    table = markdown_table(shown.columns, [[_cell(value) for value in row] for row in shown.iter_rows()])
    more = frame.height - PREVIEW_ROWS
    return f"{table}\n\n{more:,} more rows" if more > 0 else table


_SCALARS = (dg.BoolMetadataValue, dg.IntMetadataValue, dg.FloatMetadataValue, dg.TextMetadataValue)
"""Classes in which Dagster wraps plain numbers and texts."""


def metadata_to_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers, texts, Markdown and JSON as plain JSON, to be restored when Dagster's records are lost."""
    stored: dict[str, Any] = {}
    for name, entry in metadata.items():
        value = entry.value if isinstance(entry, _SCALARS) else entry
        if isinstance(value, bool | int | float | str):
            stored[name] = value
        elif isinstance(value, dg.MarkdownMetadataValue) and len(value.value or "") < MAX_STORED_CHARACTERS:
            stored[name] = {"md": value.value}
        elif isinstance(value, dg.JsonMetadataValue):
            stored[name] = {"json": value.data}
    return stored


def metadata_from_json(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `metadata_to_json`."""

    def restore(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return dg.MetadataValue.md(value["md"]) if "md" in value else dg.MetadataValue.json(value["json"])

    return {name: restore(value) for name, value in stored.items()}


def _few_digits(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _cell(value: Any) -> str:
    text = " ".join(str(_few_digits(value)).split()).replace("<", "&lt;")
    return text if len(text) <= PREVIEW_CHARACTERS else text[:PREVIEW_CHARACTERS] + "…"


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Turn a `SediError` raised in the block into a `dg.Failure` with the problem and the fix as metadata.

    A full or read-only disk is one, too, whether Python or Lance reports it.
    """
    try:
        yield
    except SediError as error:
        raise _failure(error) from None
    except (OSError, RuntimeError) as error:
        if disk_error := _disk_error(error):
            raise _failure(disk_error) from error
        raise


def _failure(error: SediError) -> dg.Failure:
    metadata = {"problem": error.problem, "fix": error.fix, USER_ERROR: type(error).__name__}
    return dg.Failure(description=str(error), metadata=metadata)


def _disk_error(error: OSError | RuntimeError) -> StorageError | None:
    """The error of a disk that refuses to write or read; None for any other."""
    in_lance = re.search(r"\(os error (\d+)\)", str(error))
    code = error.errno if isinstance(error, OSError) else int(in_lance[1]) if in_lance else None
    if code not in _DISK_ERRORS:
        return None
    where = getattr(error, "filename", None) or "The data folder or the cache"
    return StorageError(
        f"{where} cannot be written or read: {os.strerror(code)}.",
        "Free some space, or make the folder writable (SEDI_DATA, SEDI_CACHE). Finished work is kept; run again.",
    )


def step_failures(instance: dg.DagsterInstance, run_id: str) -> Iterator[Any]:
    """Yield the failure data of a run's failed steps, in order."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if entry.dagster_event is not None:
            yield entry.dagster_event.step_failure_data


def user_error(failure: Any) -> tuple[str, SediError] | None:
    """Return the class name and the `SediError` that failed a step; None if it was another error."""
    data = failure.user_failure_data
    if data is None or USER_ERROR not in data.metadata:
        return None
    kind, problem, fix = (str(data.metadata[name].value) for name in (USER_ERROR, "problem", "fix"))
    return kind, SediError(problem, fix)
