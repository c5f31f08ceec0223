"""Rows from tables: CSV, Parquet, Arrow. Polars reads them."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from sedi_dagster.datafiles.problems import Problems
from sedi_dagster.errors import InputFileError

DELIMITERS = ",;\t|"
_COMMENTS = re.compile(r"\A(?:#[^\n]*\n)+")
_NAME = re.compile(r"[\w .:#-]{0,40}")
_ESCAPED_QUOTE = re.compile(r'\\"(?![,;\t|\r\n]|\Z)')


def csv_rows(text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table with a header line, separated by comma, semicolon, tab or bar; empty cells are None.

    Raises:
        InputFileError: the text is not such a table.
    """
    text = text.lstrip("\ufeff\n\r ")
    if text[:4].lower() == "sep=":  # a line for Excel
        text = text.partition("\n")[2]
    text = _without_comments(text)
    head = text.partition("\n")[0]
    separator = max(DELIMITERS, key=head.count)
    problems.unit = "row"
    try:
        names = [name.strip() for name in next(csv.reader([head], delimiter=separator), [])]
    except csv.Error as error:
        raise InputFileError(f"{problems.path} has no header line: {error}.", "Save it as UTF-8 CSV.") from None
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise InputFileError(f"{problems.path} has two columns of one name in: {head[:100]}", "Give each its own name.")
    escaped = _ESCAPED_QUOTE.search(text) is not None and '""' not in text.replace(',""', "").replace('"",', "")
    if escaped:
        problems.notes['file has quotes escaped with a backslash (\\\\"), and is read so'] += 1
    opened = len(re.findall(rf'{re.escape(separator)} +"(?!")', text))  # quotes behind a blank are quotes, too,
    closed = re.findall(rf'{re.escape(separator)} +"(?!")(?:[^"]|"")*+"[ ]*(?={re.escape(separator)}|\r?\n|\Z)', text)
    spaced = 0 < opened == len(closed)  # unless a text goes on behind them
    if len(named) < len(names) or escaped or spaced or separator == "|":
        yield from _loose_rows(text, names, separator, escaped, problems)
        return
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except PolarsError:
        even = len({line.count(separator) for line in text.splitlines() if line.strip()}) == 1
        bare = even and separator == "\t"  # quotes that are none: no line is torn apart without them
        yield from _loose_rows(text, names, separator, escaped, problems, bare)
        return
    rows = enumerate(frame.iter_rows(named=True), 1)
    yield from ((n, {name.strip(): v for name, v in row.items()}) for n, row in rows if any(row.values()))


def _without_comments(text: str) -> str:
    """Remove lines that begin with `#` before the header, whose first name may also begin with it."""
    behind = _COMMENTS.sub("", text)
    head = behind.partition("\n")[0]
    separator = max(DELIMITERS, key=head.count)
    comments = text[: len(text) - len(behind)].splitlines()
    fewer = all(line.count(separator) < head.count(separator) for line in comments) and len(head) < 10_000
    is_head = fewer and all(map(_NAME.fullmatch, next(csv.reader([head], delimiter=separator), [])))
    return behind if is_head else text


def _loose_rows(
    text: str, names: list[str], separator: str, escaped: bool, problems: Problems, bare: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table with unnamed columns, escaped quotes, or the bars of Markdown.

    Raises:
        InputFileError: the text is not such a table.
    """
    escape = "\\" if escaped else None
    reader = csv.reader(
        io.StringIO(text),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL,
        escapechar=escape,
        skipinitialspace=not bare and separator != "\t",
        doublequote=not escaped,
        strict=True,
    )
    try:
        next(reader, None)
        for number, cells in enumerate(reader, 1):
            if separator == "|" and not "".join(cells).strip("-: "):
                continue  # the line below the names
            beyond = next((cell for cell in cells[len(names) :] if cell.strip()), None)
            if beyond is not None:
                problems.add(number, "", f"has more values than there are names: {beyond[:40]!r}", "a value for each")
                continue
            if any(cell.strip() for name, cell in zip(names, cells, strict=False) if not name):
                problems.notes["rows have values in a column without a name, which are ignored"] += 1
            row = {name: cell or None for name, cell in zip(names, cells, strict=False) if name}
            if separator == "|":
                row = {name: cell.strip() if cell else None for name, cell in row.items()}
            if any(row.values()):
                yield number, row
    except csv.Error as error:
        raise InputFileError(
            f"{problems.path} is not a table of values separated by {separator!r}: {error} in line {reader.line_num}.",
            "Put texts with line breaks, quotes or separators into double quotes, and save it again.",
        ) from None


def columnar_rows(raw: bytes, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]] | None:
    """Return the rows of Parquet or Arrow (IPC file or stream, as `datasets` saves it); None if it is neither.

    Raises:
        InputFileError: the file is damaged.
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
    rows = enumerate(frame.iter_rows(named=True), 1)
    if pl.Binary not in frame.dtypes:
        return rows
    return ((number, {name: _text_of(value) for name, value in row.items()}) for number, row in rows)


def _text_of(value: Any) -> Any:
    """Decode bytes that are text; others, such as images, stay bytes."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
