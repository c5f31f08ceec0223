"""Files, JSON records and folders of the data folder, on a local path or any fsspec URL.

An object store has no folders and no rename, but puts an object whole or not at all; nothing is read from a cache.
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
"""So often a write that must not replace anything is tried while others write in the same place."""


class Files:
    """Reads and writes under one root, such as `data` or `s3://bucket/prefix`."""

    def __init__(self, root: str) -> None:
        """Raise `StorageError` if there is no file system for that kind of URL."""
        self.root = open_root(root)
        self.is_local = is_local(self.root)
        self._bucket_seen = self.is_local
        self._in_one_request = {"max_concurrency": 1} if self.root.protocol in ("s3", "s3a") else {}

    def path(self, *parts: str) -> UPath:
        """The path of a file or folder under the root. Here as everywhere below, a part may be a path with slashes."""
        return self.root.joinpath(*parts)

    def below(self, *parts: str) -> Self:
        """A folder under the root as a root of its own."""
        return type(self)(str(self.path(*parts)))

    def check_writable(self) -> None:
        """Raise `StorageError` if the root cannot be written; called before anything is spent.

        A store that would replace a plan that is there is refused too.
        """
        probe = f".write-probe-{uuid.uuid4().hex[:8]}"
        if not self.is_local:
            check_bucket(self.root)
        try:
            if not (self.create_json("ok", probe) and not self.create_json("other", probe)):
                raise StorageError(
                    f"{self.root} writes over an object that must not be replaced (If-None-Match is ignored).",
                    "Use a store with conditional writes; otherwise two processes could overwrite each other's plan.",
                )
            self.remove_file(probe)
        except OSError as error:
            raise StorageError(
                f"The data folder {self.root} cannot be written: {error}.",
                "Set SEDI_DATA to a folder (or URL) that this user may write to.",
            ) from None

    def exists(self, *parts: str) -> bool:
        """Whether the file or folder is there."""
        with as_storage_error(self.root):
            return bool(self.path(*parts).exists())

    def read_bytes(self, *parts: str) -> bytes:
        """Raise `FileNotFoundError` if there is no such file."""
        path = self.path(*parts)
        with as_storage_error(self.root):
            return bytes(path.fs.cat_file(path.path, **self._in_one_request))

    @contextmanager
    def reading(self, *parts: str) -> Iterator[IO[bytes]]:
        """A file open for reading; `FileNotFoundError` if there is none."""
        with as_storage_error(self.root), self.path(*parts).open("rb") as opened:
            yield opened

    def write_bytes(self, content: bytes, *parts: str) -> None:
        """Write a file whole or not at all: under a name of its own and then renamed, or as one object."""
        target = self.path(*parts)
        if self.is_local:
            temporary = _beside(Path(target.path))
            temporary.write_bytes(content)
            temporary.replace(target.path)
        else:
            with as_storage_error(self.root):
                target.fs.pipe_file(target.path, content)

    def write_text(self, text: str, *parts: str) -> None:
        """Write a UTF-8 text, whole or not at all."""
        self.write_bytes(text.encode("utf-8"), *parts)

    def write_json(self, value: Any, *parts: str) -> None:
        """Write a JSON value, whole or not at all."""
        self.write_text(json_text(value), *parts)

    def write_sealed(self, record: Mapping[str, Any], *parts: str) -> None:
        """Write a JSON record that tells if it is changed or put elsewhere (`sealing`)."""
        self.write_json(sealed(record, *parts), *parts)

    def create_json(self, value: Any, *parts: str) -> bool:
        """Write a JSON file only where none is. False if there is one already."""
        content, target = json_text(value).encode("utf-8"), self.path(*parts)
        if self.is_local:
            temporary = _beside(Path(target.path))
            temporary.write_bytes(content)
            try:
                os.link(temporary, target.path)  # whole or not at all, and never over another
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
                    # The answer to our own write may have been lost on the way, and the write repeated.
                    return self.read_bytes(*parts) == content
        raise StorageUnavailable(f"{target} is being written by others all the time.", "Try again.")

    def read_json(self, *parts: str) -> Any:
        """The JSON value, or None if there is no such file."""
        try:
            content = self.read_bytes(*parts)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StorageError(
                f"{self.path(*parts)} is not JSON: {error}.", "Restore the file from a backup or remove it."
            ) from None

    # listings

    def names(self, *parts: str) -> list[str]:
        """Sorted names of what lies in a folder; empty if there is none."""
        return sorted(self.stamps(*parts))

    def record_names(self, *parts: str) -> list[str]:
        """Sorted names of the JSON files in a folder, without `.json`."""
        return [name.removesuffix(".json") for name in self.names(*parts) if name.endswith(".json")]

    def stamps(self, *parts: str) -> dict[str, str]:
        """What lies in a folder, each with what tells whether it was written anew since; one request a thousand."""
        folder = self.path(*parts)
        if self.is_local:
            try:
                entries = list(os.scandir(folder.path))
            except (FileNotFoundError, NotADirectoryError):
                return {}
            stats: dict[str, str] = {}
            for entry in entries:
                with suppress(FileNotFoundError):  # a temporary file that has gone since, a link to nowhere
                    stats[entry.name] = f"{entry.stat().st_mtime_ns} {entry.stat().st_size}"
            return stats
        with as_storage_error(self.root):
            try:
                listed = folder.fs.ls(folder.path, detail=True)
            except FileNotFoundError:
                listed = []
        if not listed and not self._bucket_seen:
            check_bucket(self.root)  # else a mistyped bucket would look like a loop that has not begun
        self._bucket_seen = True
        own = folder.path.strip("/")
        found = {str(entry["name"]).rstrip("/"): entry for entry in listed}
        return {path.rpartition("/")[2]: _stamp(entry) for path, entry in found.items() if path.strip("/") != own}

    def files(self, *parts: str) -> list[str]:
        """All files in a folder and below it, as sorted paths under the root; empty if there is none."""
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
        """Put a local folder under the root. What was there stays until its replacement is whole."""
        beside = (*parts[:-1], f".{parts[-1]}.new")
        self.remove(*beside)
        self.put_files({file: (*beside, *file.relative_to(folder).parts) for file in files_below(folder)})
        target = self.path(*parts)
        if self.is_local:
            self.remove(*parts)
            Path(self.path(*beside).path).rename(target.path)
            return
        # An object store copies by itself, object by object; what is half there fails by its hashes until it is whole.
        self.copy(beside, parts)
        wanted = {file.relative_to(folder).as_posix() for file in files_below(folder)}
        for file in self.files(*parts):
            if file.removeprefix(f"{'/'.join(parts)}/") not in wanted:
                self.remove_file(file)
        self.remove(*beside)

    def put_files(self, files: Mapping[Path, tuple[str, ...]]) -> None:
        """Copy local files to their places under the root, several at once."""
        if self.is_local:
            for file, parts in files.items():
                target = Path(self.path(*parts).path)
                temporary = _beside(target)
                shutil.copyfile(file, temporary)
                temporary.replace(target)
        elif files:
            with as_storage_error(self.root):
                self.root.fs.put([str(file) for file in files], [self.path(*parts).path for parts in files.values()])

    def get(self, target: Path, *parts: str, without: tuple[str, ...] = ()) -> None:
        """Copy all files of a folder to a local one, but for these folders in it; nothing happens if there are none."""
        prefix = "/".join(parts) + "/"
        files = [file for file in self.files(*parts) if file.removeprefix(prefix).split("/")[0] not in without]
        pairs = [(file, target / file.removeprefix(prefix)) for file in files]
        for _, local in pairs:
            local.parent.mkdir(parents=True, exist_ok=True)
        if pairs:
            with as_storage_error(self.root):
                self.root.fs.get([self.path(file).path for file, _ in pairs], [str(local) for _, local in pairs])

    def copy(self, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        """Copy a folder with all that is in it; nothing happens if it is not there."""
        for file in self.files(*source):
            destination = self.path(*target, *file.split("/")[len(source) :])
            if self.is_local:
                Path(destination.path).parent.mkdir(parents=True, exist_ok=True)
            with as_storage_error(self.root):
                self.root.fs.copy(self.path(file).path, destination.path)

    def remove_file(self, *parts: str) -> None:
        """Delete a file; nothing happens if there is none."""
        target = self.path(*parts)
        with as_storage_error(self.root):
            try:
                target.fs.rm_file(target.path)
            except (FileNotFoundError, NotADirectoryError):
                return

    def remove(self, *parts: str) -> None:
        """Delete a file, or a folder and what is in it; nothing happens if there is none."""
        target = self.path(*parts)
        with as_storage_error(self.root):
            try:
                target.fs.rm(target.path, recursive=True)
            except (FileNotFoundError, NotADirectoryError):
                return

    def local_copy(self, cache: Path, *parts: str) -> Path:
        """The folder as a local path: itself when the root is local, else a copy in `cache`."""
        if self.is_local:
            return Path(self.path(*parts).path)
        target = cache.joinpath("copies", *parts)
        shutil.rmtree(target, ignore_errors=True)
        self.get(target, *parts)
        return target

    def parts_of(self, local: Path, cache: Path) -> tuple[str, ...] | None:
        """Where a local path lies under the root, if it is there, or is a copy that `local_copy` made."""
        root = Path(self.root.path) if self.is_local else cache / "copies"
        return local.relative_to(root).parts if local.is_relative_to(root) else None


def _beside(target: Path) -> Path:
    """A name of this thread's own, so that two that write the same file do not mix their contents."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(f"{target}.{os.getpid()}-{threading.get_ident()}.tmp")


def _stamp(entry: Mapping[str, Any]) -> str:
    parts = [
        entry.get(name) for name in ("ETag", "etag", "LastModified", "last_modified", "updated", "created", "size")
    ]
    return " ".join(str(value) for value in parts if value is not None)


def files_below(folder: Path, *patterns: str) -> list[Path]:
    """All files in a local folder and below it, or those that match one of the patterns, sorted."""
    return sorted({file for pattern in patterns or ("*",) for file in folder.rglob(pattern) if file.is_file()})


def folder_hashes(folder: Path, patterns: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of each file in a folder, by relative path."""
    return {str(file.relative_to(folder)): file_sha256(file) for file in files_below(folder, *patterns)}


def file_sha256(file: Path | UPath) -> str:
    """SHA-256 of a file in hex, read in blocks."""
    with file.open("rb") as opened:
        return sha256_of(opened)


def sha256_of(opened: IO[bytes]) -> str:
    """SHA-256 of what an open file holds, in hex."""
    return hashlib.file_digest(cast("BufferedIOBase", opened), "sha256").hexdigest()
