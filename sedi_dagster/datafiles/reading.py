"""Reading the rows of a file. The format is detected from the content, and from the name only if that is ambiguous."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sedi_dagster.datafiles.encoding import decoded, decompressed
from sedi_dagster.datafiles.json_rows import json_rows
from sedi_dagster.datafiles.problems import MAX_TEXT_CHARS, Problems
from sedi_dagster.datafiles.tables import DELIMITERS, columnar_rows, csv_rows
from sedi_dagster.errors import InputFileError

TAKEN = "JSON lines, a JSON list, CSV, TSV, YAML, Parquet or Arrow, also compressed (gz, bz2, xz, zst)"

_REMARKS = re.compile(r"\A(?:[\ufeff\s]*(?:(?:#|//)[^\n]*\n|/\*.*?\*/))+", re.DOTALL)
"""Comment lines before the first row."""
_ADDRESS = re.compile(r"[a-z]\w+:/", re.IGNORECASE)
_CSV = re.compile(r"\.(?:csv|tsv|tab)\b", re.IGNORECASE)
_YAML = re.compile(r"\.ya?ml\b", re.IGNORECASE)
_YAML_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""All values are text: an answer `no` is not false. Of the two, the first is ten times as fast."""
_CONVERT = "Save the rows as JSON lines, CSV (UTF-8) or Parquet."
_NOT_ROWS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook", "Unpack it, or save the sheet as CSV (UTF-8)."),
    (b"\xd0\xcf\x11\xe0", "is an old Excel or Word file", "Save the sheet as CSV (UTF-8)."),
    (b"SQLite format 3", "is a SQLite database", "Export the table: sqlite3 -csv -header FILE 'select ...' > rows.csv"),
    (b"%PDF", "is a PDF", _CONVERT),
    (b"Obj\x01", "is an Avro file", _CONVERT),
    (b"ORC", "is an ORC file", _CONVERT),
    (b"FEA1", "is Feather in its first version", _CONVERT),
    (b"<<<<<<< ", "has an unresolved merge conflict (<<<<<<<)", "Resolve it."),
    (
        b'[["',
        "is a list of lists or TOML, without names",
        "Name them: jq -c '.[] | {instruction: .[0], output: .[1]}' FILE",
    ),
    (b"---\n", "is YAML", _CONVERT),
    (b"- ", "is YAML or a list of plain text", _CONVERT),
    *((bytes((0x80, protocol)), "is a pickle, which is never loaded", _CONVERT) for protocol in range(2, 6)),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself", "Fetch the file: git lfs pull"),
    (b"<", "is a web page or XML", "Download the file itself (on a hub: the link `raw` or `download`), or convert it."),
)


_BINARY = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c\x1d\x1f]")
_BINARIES = {b"\x89HDF": "HDF5", b"\x89PNG": "PNG", b"7z": "7-Zip", b"Rar!": "RAR", b"NUMPY": "NumPy", b"GGUF": "GGUF",
             b"\x7fELF": "a program", b"{\"": "safetensors"}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """The maximum size of a file, its rows and its texts."""

    file_bytes: int = 50_000_000
    rows: int = 100_000
    text_chars: int = MAX_TEXT_CHARS


def read_rows(path: Path, problems: Problems, limits: Limits | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the file's rows as (number, object), in order; a row that is not an object is noted in `problems`.

    Raises:
        InputFileError: the file is missing, empty, too large or of an unknown format.
    """
    limits = limits or Limits()
    problems.max_text_chars = limits.text_chars
    raw = decompressed(_bytes(path, limits.file_bytes), 10 * limits.file_bytes, str(path))
    if _BINARY.search(raw[:16]) and not raw.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        known = next((f" ({kind})" for mark, kind in _BINARIES.items() if mark in raw[:16]), "")
        if not any(raw.startswith(mark) for mark, _, _ in _NOT_ROWS):
            raise InputFileError(f"{path} is a binary file{known}; supported are {TAKEN}.", _CONVERT)
    if raw[257:262] == b"ustar":
        raise InputFileError(f"{path} is a tar archive; supported are {TAKEN}.", "Unpack it: tar -xf FILE")
    rows = 0
    for number, value in _rows(raw, path, problems):
        rows += 1
        if rows > limits.rows:
            problems.add(number, "", f"is beyond the {limits.rows:,} rows that are read", "a sample of the file")
            break
        if value is not None:
            yield number, value
    if rows == 0 and not problems.count:
        raise InputFileError(f"{path} is empty.", "Give at least one row, such as one JSON object per line.")


def read_text(path: Path, problems: Problems, limits: Limits | None = None) -> str:
    """Return the text of a file, with \\n as line ends; if bytes are invalid, note a problem and return ""."""
    limits = limits or Limits()
    raw = decompressed(_bytes(path, limits.file_bytes), 10 * limits.file_bytes, str(path))
    return _text(raw, path, problems)


def _rows(raw: bytes, path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any] | None]]:
    columnar = columnar_rows(raw, problems)
    if columnar is not None:
        yield from columnar
        return
    is_yaml = _YAML.search(path.name) and raw.lstrip()[:1] not in (b"{", b"[", b"<")
    for mark, problem, fix in () if is_yaml else _NOT_ROWS:
        if raw.lstrip().startswith(mark):
            raise InputFileError(f"{path} {problem}; supported are {TAKEN}.", fix)
    text = _text(raw, path, problems).replace("\x1e", "")  # marks a record (RFC 7464)
    if not text.strip(" \t\n\ufeff"):
        return
    if is_yaml or not _is_csv(text, path):
        yield from json_rows(_json_of(text, path) if is_yaml else text, problems)
        return
    for number, row in csv_rows(text, problems):
        if all(name == (value or "").strip() for name, value in row.items()):  # tables put one behind the other
            problems.notes["rows repeat the names of the columns: they are left out"] += 1
        else:
            yield number, row


def _json_of(text: str, path: Path) -> str:
    """Convert YAML to JSON; several documents become a list."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _YAML_LOADER)):
            raise yaml.YAMLError("it has aliases (*name)")  # of which a few lines can make gigabytes
        documents = [document for document in yaml.load_all(text, _YAML_LOADER) if document]
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}," if mark else str(path)
        message = f"{where} is not YAML that can be read: {getattr(error, 'problem', None) or error}."
        raise InputFileError(message, "Correct it, or save the rows as JSON lines.") from None
    return json.dumps(documents[0] if len(documents) == 1 else documents)


def _is_csv(text: str, path: Path) -> bool:
    text = _REMARKS.sub("", text)
    head = text.lstrip("\ufeff \n")[:1]
    if text.lstrip("\ufeff \n").startswith('"{'):
        return False  # objects, each in a string
    if _CSV.search(path.name):
        return head not in ("{", "[")
    first, _, rest = text.strip().partition("\n")
    return head not in ("{", "[") and bool(rest) and any(mark in first for mark in DELIMITERS)


def _text(raw: bytes, path: Path, problems: Problems) -> str:
    try:
        text, remark = decoded(raw, str(path))
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        column = error.start - raw.rfind(b"\n", 0, error.start)
        problems.add_at(f"line {line}", "", f"is not {error.encoding.upper()} (byte {column})", "a file saved as UTF-8")
        return ""
    if remark:
        problems.notes[f"file {remark}"] += 1
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")  # old Macintosh line ends


def _bytes(path: Path, most: int) -> bytes:
    if not path.is_file():
        if _ADDRESS.match(str(path)):
            raise InputFileError(f"{path} is an address and not a file.", "Download it, and name the file.")
        kind = "a folder" if path.is_dir() else "not a regular file"
        what = f"{path} is {kind}." if path.exists() else f"There is no file {path}."
        raise InputFileError(what, f"Name a file that exists: {TAKEN}.")
    try:
        size = path.stat().st_size
        if size > most:
            raise InputFileError(
                f"{path} has {size / 1e6:,.0f} MB; at most {most / 1e6:,.0f} MB are read.",
                f"Use a sample, for example: shuf -n 2000 {path} > sample.jsonl",
            )
        return path.read_bytes()
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}.", "Name a file that may be read.") from None
