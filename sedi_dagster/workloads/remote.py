"""Running a workload on another machine, which reads the job from the data folder and writes the results there.

    python -m sedi_dagster.workloads.remote --data s3://bucket/loop --name train-round-0001

The workload itself runs unchanged in its own process, in a local folder that is copied back while it runs. If the
machine is lost, only the steps since the last saved state are lost. Files below the data folder:

    work/<name>/job.json    the module to run, its job and the paths of its files
    work/<name>/in/         the rows sent to it
    work/<name>/out/        its output, including saved states

This module does not depend on Ray: any scheduler that can run a command can be used.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from sedi_dagster.errors import StorageUnavailable
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.store import Store
from sedi_dagster.student.loading import student_source
from sedi_dagster.training.state import FOLDER as STATE
from sedi_dagster.training.state import MARKER as STATE_MARKER
from sedi_dagster.workloads.process import KEYS

WORK = "work"
JOB = "job.json"
RESULTS = "results.jsonl"
STORE_UNAVAILABLE = os.EX_TEMPFAIL
"""Exit code if the data folder could not be reached, so that the outcome of the work is unknown."""
POLL_INTERVAL_S = 5.0
FINAL_COPY_TIMEOUT_S = 900.0
_NOT_COPIED = (JOB, "lock")


def main() -> int:
    """Run a job from the data folder; return the exit code of the process."""
    parser = argparse.ArgumentParser(description="Run a workload whose job is in the data folder.")
    parser.add_argument("--data", required=True, help="The data folder, as in SEDI_DATA")
    parser.add_argument("--name", required=True, help="Name of the job below work/")
    arguments = parser.parse_args()
    store = Store(arguments.data)
    with tempfile.TemporaryDirectory(prefix="sedi-") as scratch:
        try:
            return run(store, arguments.name, Path(scratch))
        except StorageUnavailable as error:
            print(error, file=sys.stderr, flush=True)
            return STORE_UNAVAILABLE


def run(store: Store, name: str, scratch: Path) -> int:
    """Fetch a job, run it in `scratch`, and copy its output back.

    Returns:
        The workload's exit code; 128 plus the signal number if it was killed.

    Raises:
        StorageUnavailable: the data folder could not be reached; at the end, after trying for 15 minutes.
    """
    request = json.loads(store.read_bytes(WORK, name, JOB))
    output = scratch / "out"
    output.mkdir()
    store.get(output, WORK, name, "out")
    job_file = output / JOB
    job_file.write_text(json.dumps(_local_job(store, request, output, scratch)), encoding="utf-8")
    command = [*(request["command"] or [sys.executable, "-m"]), request["module"], "--job", str(job_file)]
    mirror = Mirror(store, (WORK, name, "out"), output)
    process = subprocess.Popen(command, env={**os.environ, **dict.fromkeys(KEYS, "")})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: process.send_signal(received))
    ended = threading.Event()
    copying = threading.Thread(target=mirror.run, args=(ended,), daemon=True)
    copying.start()
    code = process.wait()
    ended.set()
    copying.join()
    mirror.finish()
    return code if code >= 0 else 128 - code


def _local_job(store: Store, request: dict[str, Any], output: Path, scratch: Path) -> dict[str, Any]:
    """The job with its files fetched, and with local paths."""
    job = {**request["job"], "output": str(output)}
    for field, parts in request["files"].items():
        local = scratch / "in" / field
        if "." in parts[-1]:
            local = local / parts[-1]
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(store.read_bytes(*parts))
        else:
            store.get(local, *parts)
        job[field] = str(local)
    if "results" in job:
        job["results"] = str(output / RESULTS)
    if "student" in job:
        settings = load_settings()
        job["student"] = student_source(job["student"], settings.path(settings.cache))
    return job


class Mirror:
    """Copies a growing folder to a store: files once they no longer change, saved states once they are valid."""

    def __init__(self, store: Store, parts: tuple[str, ...], folder: Path) -> None:
        """Copy `folder` to the path `parts` of the store; files that already exist were fetched from there."""
        self._store, self._parts, self._folder = store, parts, folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self._copied = {path: _stamp(path) for path in self._files()}
        self._states = set(self._valid_states())

    def run(self, ended: threading.Event) -> None:
        """Copy at intervals until the event is set."""
        while not ended.wait(POLL_INTERVAL_S):
            try:
                self.copy_new()
            except Exception as error:  # noqa: BLE001 - the work must go on; copying is tried again
                print(f"Results cannot be copied at the moment: {error}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Copy the rest, retrying for up to `FINAL_COPY_TIMEOUT_S` while the store is unavailable."""
        end = time.monotonic() + FINAL_COPY_TIMEOUT_S
        while True:
            try:
                return self.copy_new(last=True)
            except StorageUnavailable as error:
                if time.monotonic() > end:
                    raise
                print(f"Results cannot be copied at the moment: {error}", file=sys.stderr, flush=True)
                time.sleep(POLL_INTERVAL_S)

    def copy_new(self, last: bool = False) -> None:
        """Copy new files, and remove old states from the store.

        Args:
            last: the work has ended, so also copy files that have changed since the previous call.
        """
        now = {path: _stamp(path) for path in self._files()}
        due = [f for f, stamp in now.items() if self._copied.get(f) != stamp and (last or self._seen.get(f) == stamp)]
        self._seen = now
        states = {name: _files_below(self._folder / STATE / name) for name in self._valid_states()}
        due += [f for name, files in states.items() if name not in self._states for f in files]
        markers = [f for f in due if f.name == STATE_MARKER]  # copied last, as they declare a state valid
        for files in ([f for f in due if f.name != STATE_MARKER], markers):
            self._store.put_files({f: (*self._parts, *f.relative_to(self._folder).parts) for f in files})
        self._copied |= {file: now[file] for file in due if file in now}
        for removed in self._states - states.keys():
            self._store.remove(*self._parts, STATE, removed)
        self._states = set(states)

    def _files(self) -> list[Path]:
        """The files to copy, except those of saved states."""
        states = self._folder / STATE
        return [p for p in _files_below(self._folder) if p.name not in _NOT_COPIED and states not in p.parents[1:]]

    def _valid_states(self) -> list[str]:
        return [marker.parent.name for marker in (self._folder / STATE).glob(f"*/{STATE_MARKER}")]


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
