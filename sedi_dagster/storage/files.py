"""Files, JSON records and folders of the data folder, at a local path or any fsspec URL.

An object store has no folders and no rename, but writes an object completely or not at all. Listings are not cached.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

from upath import UPath

from sedi_dagster.errors import StorageError, StorageUnavailable
from sedi_dagster.storage.object_store import as_storage_error, check_bucket, is_conflict, is_local, is_taken, open_root
from sedi_dagster.storage.sealing import json_text, sealed

if TYPE_CHECKING:
    from io import BufferedIOBase

CONFLICTS = 25
"""Attempts to create an object while other processes are writing it."""


class Files:
    """Reads and writes under one root, such as `data` or `s3://bucket/prefix`."""

    def __init__(self, root: str) -> None:
        """Open the root. Raises `StorageError` if there is no file system for that kind of URL."""
        self.root = open_root(root)
        self.is_local = is_local(self.root)
        self._bucket_checked = self.is_local
        self._in_one_request = {"max_concurrency": 1} if self.root.protocol in ("s3", "s3a") else {}

    def path(self, *parts: str) -> UPath:
        """Return the path of a file or folder under the root. In all methods, a part may contain slashes."""
        return self.root.joinpath(*parts)

    def below(self, *parts: str) -> Self:
        """Return a folder under the root as a root."""
        return type(self)(str(self.path(*parts)))

    def check_writable(self) -> None:
        """Make sure, before anything is spent, that files can be created under the root but not created twice.

        Raises:
            StorageError: the root cannot be written, or the store replaces an object that should only be created.
        """
        probe = f".write-probe-{uuid.uuid4().hex[:8]}"
        if not self.is_local:
            check_bucket(self.root)
        try:
            if not (self.create_json("ok", probe) and not self.create_json("other", probe)):
                raise StorageError(
                    f"{self.root} replaces existing objects although it is told not to (it ignores If-None-Match).",
                    "Use a store with conditional writes; otherwise two processes could overwrite each other's plan.",
                )
            self.remove_file(probe)
        except OSError as error:
            raise StorageError(
                f"The data folder {self.root} cannot be written: {error}.",
                "Set SEDI_DATA to a folder (or URL) that this user may write to.",
            ) from None

    def exists(self, *parts: str) -> bool:
        """Return whether the file or folder exists."""
        with as_storage_error(self.root):
            return bool(self.path(*parts).exists())

    def read_bytes(self, *parts: str) -> bytes:
        """Read a file. Raises `FileNotFoundError` if there is no such file."""
        path = self.path(*parts)
        with as_storage_error(self.root):
            return bytes(path.fs.cat_file(path.path, **self._in_one_request))

    @contextmanager
    def reading(self, *parts: str) -> Iterator[IO[bytes]]:
        """Open a file for reading. Raises `FileNotFoundError` if there is no such file."""
        with as_storage_error(self.root), self.path(*parts).open("rb") as opened:
            yield opened

    def write_bytes(self, content: bytes, *parts: str) -> None:
        """Write a file atomically: as a temporary file that is then renamed, or as one object."""
        target = self.path(*parts)
        if self.is_local:
            temporary = _temporary_path(Path(target.path))
            temporary.write_bytes(content)
            temporary.replace(target.path)
        else:
            with as_storage_error(self.root):
                target.fs.pipe_file(target.path, content)

    def write_text(self, text: str, *parts: str) -> None:
        """Write a UTF-8 text atomically."""
        self.write_bytes(text.encode("utf-8"), *parts)

    def write_json(self, value: Any, *parts: str) -> None:
        """Write a JSON value atomically."""
        self.write_text(json_text(value), *parts)

    def write_sealed(self, record: Mapping[str, Any], *parts: str) -> None:
        """Write a JSON record with a seal, which shows if it was changed or moved (`sealing`)."""
        self.write_json(sealed(record, *parts), *parts)

    def create_json(self, value: Any, *parts: str) -> bool:
        """Write a JSON file if it does not exist. Returns False if it does."""
        content, target = json_text(value).encode("utf-8"), self.path(*parts)
        if self.is_local:
            temporary = _temporary_path(Path(target.path))
            temporary.write_bytes(content)
            try:
                os.link(temporary, target.path)  # atomic, and fails if the file exists
            except FileExistsError:
                return False
            finally:
                temporary.unlink()
            return True
        with as_storage_error(self.root):
            for _ in range(CONFLICTS):
                try:
                    target.fs.pipe_file(target.path, content, mode="create")
                    return True
                except OSError as error:
                    if is_conflict(error):
                        time.sleep(0.2)
                        continue
                    if not is_taken(error):
                        raise
                    # The response to our own write may have been lost, and the write repeated.
                    return self.read_bytes(*parts) == content
        raise StorageUnavailable(f"{target} is being written by other processes.", "Try again.")

    def read_json(self, *parts: str) -> Any:
        """Read a JSON value; None if there is no such file."""
        try:
            content = self.read_bytes(*parts)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StorageError(
                f"{self.path(*parts)} is not JSON: {error}.", "Restore the file from a backup."
            ) from None

    # listings

    def names(self, *parts: str) -> list[str]:
        """Return the sorted names of the files and folders in a folder; empty if it does not exist."""
        return sorted(self.stamps(*parts))

    def record_names(self, *parts: str) -> list[str]:
        """Return the sorted names of the JSON files in a folder, without `.json`."""
        return [name.removesuffix(".json") for name in self.names(*parts) if name.endswith(".json")]

    def stamps(self, *parts: str) -> dict[str, str]:
        """Return the files and folders in a folder, each with a stamp that changes when it is written.

        Costs one request per thousand names.
        """
        folder = self.path(*parts)
        if self.is_local:
            try:
                entries = list(os.scandir(folder.path))
            except (FileNotFoundError, NotADirectoryError):
                return {}
            stamps: dict[str, str] = {}
            for entry in entries:
                with suppress(FileNotFoundError):  # a temporary file that is gone by now, a broken link
                    stamps[entry.name] = f"{entry.stat().st_mtime_ns} {entry.stat().st_size}"
            return stamps
        with as_storage_error(self.root):
            try:
                listed = folder.fs.ls(folder.path, detail=True)
            except FileNotFoundError:
                listed = []
        if not listed and not self._bucket_checked:
            check_bucket(self.root)  # otherwise a mistyped bucket would look like an empty data folder
        self._bucket_checked = True
        by_path = {str(entry["name"]).strip("/"): entry for entry in listed}
        by_path.pop(folder.path.strip("/"), None)  # some stores list the folder itself
        return {path.rpartition("/")[2]: _stamp(entry) for path, entry in by_path.items()}

    def files(self, *parts: str) -> list[str]:
        """Return all files in a folder and below it, as sorted paths under the root; empty if there are none."""
        folder = self.path(*parts)
        if self.is_local:
            root = Path(self.root.path)
            below = (Path(at, name) for at, _, names in os.walk(folder.path) for name in names)
            return sorted(file.relative_to(root).as_posix() for file in below)
        prefix = f"{self.root.path.rstrip('/')}/"
        with as_storage_error(self.root):
            return sorted(str(found).removeprefix(prefix) for found in folder.fs.find(folder.path))

    # folders, such as checkpoints

    def upload(self, folder: Path, *parts: str) -> None:
        """Copy a local folder to the root. A folder that it replaces is kept until the copy is complete."""
        temporary = (*parts[:-1], f".{parts[-1]}.new")
        self.remove(*temporary)
        self.put_files({file: (*temporary, *file.relative_to(folder).parts) for file in files_below(folder)})
        if self.is_local:
            self.remove(*parts)
            Path(self.path(*temporary).path).rename(self.path(*parts).path)
            return
        # An object store copies object by object. An incomplete folder does not match its recorded hashes.
        self.copy(temporary, parts)
        uploaded = {"/".join((*parts, *file.relative_to(folder).parts)) for file in files_below(folder)}
        for file in self.files(*parts):
            if file not in uploaded:
                self.remove_file(file)
        self.remove(*temporary)

    def put_files(self, files: Mapping[Path, tuple[str, ...]]) -> None:
        """Copy local files to paths under the root, in parallel on an object store."""
        if self.is_local:
            for file, parts in files.items():
                target = Path(self.path(*parts).path)
                temporary = _temporary_path(target)
                shutil.copyfile(file, temporary)
                temporary.replace(target)
        elif files:
            with as_storage_error(self.root):
                self.root.fs.put([str(file) for file in files], [self.path(*parts).path for parts in files.values()])

    def get(self, target: Path, *parts: str, without: tuple[str, ...] = ()) -> None:
        """Copy the files of a folder, if it exists, to a local folder, without the subfolders named in `without`."""
        prefix = "/".join(parts) + "/"
        files = [file for file in self.files(*parts) if file.removeprefix(prefix).split("/")[0] not in without]
        pairs = [(file, target / file.removeprefix(prefix)) for file in files]
        for _, local in pairs:
            local.parent.mkdir(parents=True, exist_ok=True)
        if pairs:
            with as_storage_error(self.root):
                self.root.fs.get([self.path(file).path for file, _ in pairs], [str(local) for _, local in pairs])

    def copy(self, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        """Copy a folder recursively, if it exists."""
        for file in self.files(*source):
            destination = self.path(*target, *file.split("/")[len(source) :])
            if self.is_local:
                Path(destination.path).parent.mkdir(parents=True, exist_ok=True)
            with as_storage_error(self.root):
                self.root.fs.copy(self.path(file).path, destination.path)

    def remove_file(self, *parts: str) -> None:
        """Delete a file if it exists."""
        target = self.path(*parts)
        with as_storage_error(self.root):
            try:
                target.fs.rm_file(target.path)
            except (FileNotFoundError, NotADirectoryError):
                return

    def remove(self, *parts: str) -> None:
        """Delete a file or folder if it exists."""
        target = self.path(*parts)
        with as_storage_error(self.root):
            try:
                target.fs.rm(target.path, recursive=True)
            except (FileNotFoundError, NotADirectoryError):
                return

    def local_copy(self, cache: Path, *parts: str) -> Path:
        """Return a folder as a local path: its own if the root is local, otherwise that of a copy in `cache`."""
        if self.is_local:
            return Path(self.path(*parts).path)
        target = cache.joinpath("copies", *parts)
        shutil.rmtree(target, ignore_errors=True)
        self.get(target, *parts)
        return target

    def parts_of(self, local: Path, cache: Path) -> tuple[str, ...] | None:
        """Return the path under the root of a local path, also of one from `local_copy`; None if it is elsewhere."""
        root = Path(self.root.path) if self.is_local else cache / "copies"
        return local.relative_to(root).parts if local.is_relative_to(root) else None


def _temporary_path(target: Path) -> Path:
    """Return a path next to the target that no other thread or process uses."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(f"{target}.{os.getpid()}-{threading.get_ident()}.tmp")


def _stamp(entry: Mapping[str, Any]) -> str:
    parts = [
        entry.get(name) for name in ("ETag", "etag", "LastModified", "last_modified", "updated", "created", "size")
    ]
    return " ".join(str(value) for value in parts if value is not None)


def files_below(folder: Path, *patterns: str) -> list[Path]:
    """Return all files in a local folder and below it, or those that match one of the patterns, sorted."""
    return sorted({file for pattern in patterns or ("*",) for file in folder.rglob(pattern) if file.is_file()})


def folder_hashes(folder: Path, patterns: Sequence[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder, by relative path."""
    return {str(file.relative_to(folder)): file_sha256(file) for file in files_below(folder, *patterns)}


def file_sha256(file: Path | UPath) -> str:
    """Return the SHA-256 of a file in hex, reading it in blocks."""
    with file.open("rb") as opened:
        return sha256_of(opened)


def sha256_of(opened: IO[bytes]) -> str:
    """Return the SHA-256 of an open file in hex."""
    return hashlib.file_digest(cast("BufferedIOBase", opened), "sha256").hexdigest()
