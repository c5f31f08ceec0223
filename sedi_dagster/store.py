"""The data folder: Polars tables by asset and partition, JSON records, checkpoint folders.

Works on a local path or any fsspec URL. A partition's tables count as there only when their marker
`_tables.json` is, and the marker is written last: a process killed while writing leaves no half partition.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from upath import UPath

from sedi_dagster.errors import StorageError
from sedi_dagster.records import Tables
from sedi_dagster.sealing import json_text, sealed

MARKER = "_tables.json"


class Store:
    """Reads and writes under one root, such as `data` or `s3://bucket/prefix`."""

    def __init__(self, root: str) -> None:
        """Raise `StorageError` if there is no file system for that kind of URL."""
        try:
            self.root = UPath(root)
            _ = self.root.fs
        except (ValueError, ImportError) as error:
            raise StorageError(
                f"The data folder {root} cannot be opened: {error}.",
                "Set SEDI_DATA to a folder, or to a URL whose fsspec package (s3fs, gcsfs, ...) is installed.",
            ) from None

    def path(self, *parts: str) -> UPath:
        return self.root.joinpath(*parts)

    def check_writable(self) -> None:
        """Raise `StorageError` if the root cannot be written; called before anything is spent."""
        probe = self.path(".write-probe")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_text("ok")
            probe.unlink()
        except OSError as error:
            raise StorageError(
                f"The data folder {self.root} cannot be written: {error}.",
                "Set SEDI_DATA to a folder (or URL) that this user may write to.",
            ) from None

    # JSON records

    def write_text(self, text: str, *parts: str) -> None:
        """Write a file whole or not at all (temporary name, then rename) where the file system can rename."""
        target = self.path(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.protocol in ("", "file"):
            # A name of its own, so that two processes that write the same file do not mix their texts.
            temporary = Path(f"{target.path}.{os.getpid()}-{threading.get_ident()}.tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target.path)
        else:  # object stores put an object whole or not at all
            target.write_text(text, encoding="utf-8")

    def write_json(self, value: Any, *parts: str) -> None:
        self.write_text(json_text(value), *parts)

    def write_sealed(self, record: Mapping[str, Any], *parts: str) -> None:
        """Write a JSON record that tells if it is changed or put elsewhere (`sealing`)."""
        self.write_json(sealed(record, *parts), *parts)

    def create_json(self, value: Any, *parts: str) -> bool:
        """Write a JSON file only where none is. False if there is one: somebody else was first."""
        text, target = json_text(value), self.path(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if target.protocol in ("", "file"):
                temporary = Path(f"{target.path}.{os.getpid()}-{threading.get_ident()}.tmp")
                temporary.write_text(text, encoding="utf-8")
                try:
                    os.link(temporary, target.path)  # whole or not at all, and never over another
                finally:
                    temporary.unlink()
            else:
                target.fs.pipe_file(target.path, text.encode(), mode="create")
        except FileExistsError:
            return False
        return True

    def read_json(self, *parts: str) -> Any:
        """The JSON value, or None if there is no such file."""
        path = self.path(*parts)
        path.fs.invalidate_cache(path.parent.path)  # see `names`
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StorageError(
                f"{path} is not JSON: {error}.", "Restore the file from a backup or remove it."
            ) from None

    def names(self, *parts: str) -> list[str]:
        """Sorted names of what lies in a folder; empty if there is none."""
        folder = self.path(*parts)
        folder.fs.invalidate_cache(folder.path)  # object stores remember listings, and would miss new files
        return sorted(child.name for child in folder.iterdir()) if folder.exists() else []

    def files(self, *parts: str) -> list[str]:
        """All files in a folder and below it, as sorted paths under the root; empty if there is none."""
        folder = self.path(*parts)
        if folder.protocol in ("", "file"):
            root = Path(self.root.path)
            below = (Path(at, name) for at, _, names in os.walk(folder.path) for name in names)
            return sorted(file.relative_to(root).as_posix() for file in below)
        prefix = f"{self.root.path.rstrip('/')}/"
        return sorted(str(found).removeprefix(prefix) for found in folder.fs.find(folder.path))

    # tables

    def write_tables(self, tables: Tables, *parts: str) -> dict[str, Any]:
        """Replace the tables of a partition. Returns the marker: rows, columns and hash of each, data version."""
        folder = self.path("assets", *parts)
        folder.mkdir(parents=True, exist_ok=True)
        marker = folder / MARKER
        marker.unlink(missing_ok=True)
        for stale in folder.glob("*.parquet"):
            stale.unlink()
        contents = {name: parquet_bytes(frame) for name, frame in tables.items()}
        for name, content in contents.items():
            (folder / f"{name}.parquet").write_bytes(content)
        record = marker_of(contents)
        self.write_json(record, "assets", *parts, MARKER)
        return record

    def tables_marker(self, *parts: str) -> dict[str, Any] | None:
        """The marker of a complete partition, None if it is not (wholly) there."""
        marker: dict[str, Any] | None = self.read_json("assets", *parts, MARKER)
        return marker

    def read_tables(self, *parts: str) -> Tables:
        """All tables of a partition.

        Raises:
            StorageError: the partition was never (completely) written, or a file is not what was written.
        """
        marker = self.tables_marker(*parts)
        if marker is None:
            raise StorageError(
                f"There is no complete data for {'/'.join(parts)} in {self.root}.",
                "Materialize that asset partition first (in the UI, or with `sedi run`).",
            )
        return {
            name: self._read_table(self.path("assets", *parts, f"{name}.parquet"), described["blake2b"])
            for name, described in marker["tables"].items()
        }

    def read_table(self, name: str, *parts: str) -> pl.DataFrame:
        """One table of a partition; raises as `read_tables`, and if the partition has no such table."""
        marker = self.tables_marker(*parts) or {"tables": {}}
        described = marker["tables"].get(name)
        if described is None:
            raise StorageError(
                f"There is no table {name} of {'/'.join(parts)} in {self.root}.", "Materialize that asset partition."
            )
        return self._read_table(self.path("assets", *parts, f"{name}.parquet"), described["blake2b"])

    def _read_table(self, file: UPath, written: str) -> pl.DataFrame:
        content = file.read_bytes() if file.exists() else b""
        if content_hash(content) != written:
            raise StorageError(
                f"{file} is missing or not as it was written.", "Materialize that asset partition again."
            )
        return pl.read_parquet(io.BytesIO(content))

    # folders (checkpoints)

    def upload(self, folder: Path, *parts: str) -> None:
        """Put a local folder under the root. What was there stays until its replacement is whole."""
        beside = (*parts[:-1], f".{parts[-1]}.new")
        self.remove(*beside)
        for source in sorted(p for p in folder.rglob("*") if p.is_file()):
            destination = self.path(*beside).joinpath(*source.relative_to(folder).parts)
            destination.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as reading, destination.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
        self.remove(*parts)
        target = self.path(*parts)
        target.fs.mv(self.path(*beside).path, target.path, recursive=True)

    def copy(self, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        """Copy a file, or a folder with all that is in it; nothing happens if it is not there."""
        there = self.path(*source)
        for file in [there] if there.is_file() else sorted(there.rglob("*")):
            if file.is_file():
                destination = self.path(*target).joinpath(*file.relative_to(there).parts)
                destination.parent.mkdir(parents=True, exist_ok=True)
                there.fs.copy(file.path, destination.path)

    def remove(self, *parts: str) -> None:
        """Delete a folder and what is in it; nothing happens if there is none."""
        target = self.path(*parts)
        if target.exists():
            target.fs.rm(target.path, recursive=True)

    def local_copy(self, cache: Path, *parts: str) -> Path:
        """The folder as a local path: itself when the root is local, else a copy in `cache`."""
        source = self.path(*parts)
        if source.protocol in ("", "file"):
            return Path(source.path)
        target = cache.joinpath("copies", *parts)
        shutil.rmtree(target, ignore_errors=True)
        for file in source.rglob("*"):
            if file.is_file():
                destination = target.joinpath(*file.relative_to(source).parts)
                destination.parent.mkdir(parents=True, exist_ok=True)
                destination.write_bytes(file.read_bytes())
        return target


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def marker_of(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """The marker that a partition of these Parquet files has, by table in the order in which they were written."""
    described = {}
    for name, content in contents.items():
        frame = pl.read_parquet(io.BytesIO(content))
        described[name] = {"rows": frame.height, "columns": frame.columns, "blake2b": content_hash(content)}
    return {"data_version": version_of(contents), "tables": described}


def version_of(contents: Mapping[str, bytes]) -> str:
    """The data version of a partition of these Parquet files."""
    return content_hash(*(part for name in sorted(contents) for part in (name.encode(), contents[name])))


def tables_version(tables: Tables) -> str:
    """Hash of the tables' contents: equal data, equal version (for one Polars version)."""
    return version_of({name: parquet_bytes(frame) for name, frame in tables.items()})


def folder_hashes(folder: Path, patterns: Sequence[str] = ("*",)) -> dict[str, str]:
    """SHA-256 of each file in a folder, by relative path."""
    files = sorted({file for pattern in patterns for file in folder.rglob(pattern) if file.is_file()})
    return {str(file.relative_to(folder)): file_sha256(file) for file in files}


def file_sha256(file: Path | UPath) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as reading:
        while block := reading.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_hash(*parts: bytes) -> str:
    """32 hex digits of BLAKE2b, as a marker has it."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
