"""What a step tells Dagster: its output with metadata (and its copy next to the data), or why it failed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.columns import description
from sedi_dagster.records import Tables
from sedi_dagster.storage.store import Store, tables_version
from sedi_dagster.texts.markdown import markdown_table

PAGES = "/sedi"
USER_ERROR = "user_error"
PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
PREVIEW_CHARACTERS = 60
LONGEST_KEPT = 20_000
"""Characters of a text that is kept for `restore`."""


def page_url(name: str) -> str:
    """Of a report, as the UI serves it beside itself (`webserver`): the name of its round, or `index`, or `morning`."""
    return f"{PAGES}/reports/{name}.html"


def plot(store: Store, png: bytes, *parts: str) -> dg.MarkdownMetadataValue:
    """Keep a plot as a file of the data folder, `plots/<asset>/<partition>/<name>.png`; the UI shows it in place."""
    *folders, name = parts
    store.write_bytes(png, "plots", *folders, f"{name}.png")
    return dg.MetadataValue.md(f"![{name.replace('_', ' ')}]({PAGES}/plots/{'/'.join(parts)}.png)")


def table_output(tables: Tables, metadata: Mapping[str, Any]) -> dg.Output[Tables]:
    """An asset's output, with the hash of its content as Dagster's data version: equal data, nothing downstream stale.

    The first table is the asset's main one: its row count, columns and first rows are shown; of the others, rows and
    columns.

    Args:
        metadata: figures and texts of the asset's own.
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
    """Name, type and meaning of each column of the table of that name."""
    columns = [dg.TableColumn(name, str(kind), description(table, name)) for name, kind in frame.schema.items()]
    return dg.TableSchema(columns=columns)


def preview(frame: pl.DataFrame) -> str:
    """The first rows as a Markdown table, long texts cut."""
    shown = frame.select(frame.columns[:PREVIEW_COLUMNS]).head(PREVIEW_ROWS)
    table = markdown_table(shown.columns, [[_cell(value) for value in row] for row in shown.iter_rows()])
    more = frame.height - PREVIEW_ROWS
    return f"{table}\n\n{more:,} more rows" if more > 0 else table


_AS_THEY_ARE = (dg.BoolMetadataValue, dg.IntMetadataValue, dg.FloatMetadataValue, dg.TextMetadataValue)
"""What Dagster makes of plain figures and texts."""


def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Figures and texts as JSON, from which `restored_metadata` rebuilds them when Dagster's records are lost."""
    kept: dict[str, Any] = {}
    for name, entry in metadata.items():
        value = entry.value if isinstance(entry, _AS_THEY_ARE) else entry
        if isinstance(value, bool | int | float | str):
            kept[name] = value
        elif isinstance(value, dg.MarkdownMetadataValue) and len(value.value or "") < LONGEST_KEPT:
            kept[name] = {"md": value.value}
        elif isinstance(value, dg.JsonMetadataValue):
            kept[name] = {"json": value.data}
    return kept


def restored_metadata(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `plain`."""

    def restored(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return dg.MetadataValue.md(value["md"]) if "md" in value else dg.MetadataValue.json(value["json"])

    return {name: restored(value) for name, value in kept.items()}


def _few_digits(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _cell(value: Any) -> str:
    text = " ".join(str(_few_digits(value)).split()).replace("<", "&lt;")
    return text if len(text) <= PREVIEW_CHARACTERS else text[:PREVIEW_CHARACTERS] + "…"


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Raise a `SediError` of the block as `dg.Failure`, with the problem and the fix as metadata."""
    try:
        yield
    except SediError as error:
        metadata = {"problem": error.problem, "fix": error.fix, USER_ERROR: type(error).__name__}
        raise dg.Failure(description=str(error), metadata=metadata) from None


def step_failures(instance: dg.DagsterInstance, run_id: str) -> Iterator[Any]:
    """Data of the steps of a run that failed by themselves, first to last."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if entry.dagster_event is not None:
            yield entry.dagster_event.step_failure_data


def user_error(failure: Any) -> tuple[str, SediError] | None:
    """The `SediError` that failed a step, with the name of its class; None for any other error."""
    data = failure.user_failure_data
    if data is None or USER_ERROR not in data.metadata:
        return None
    kind, problem, fix = (str(data.metadata[name].value) for name in (USER_ERROR, "problem", "fix"))
    return kind, SediError(problem, fix)
