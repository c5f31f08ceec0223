"""A workload on another machine: its job and rows come from the data folder, its results go there.

    python -m sedi_dagster.workloads.remote --data s3://bucket/loop --name train-round-0001

The workload itself is run unchanged in a process of its own, in a folder of this machine, which is copied back while it
runs: a machine that is lost costs the steps since its last saved state. Below the data folder:

    work/<name>/job.json    what to run, and where its files lie       work/<name>/in/    rows that were sent
    work/<name>/out/        what the workload wrote, its saved states included

Nothing here knows Ray: any scheduler that runs a command will do.
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
from sedi_dagster.training.state import MARKER as STATE_IS_WHOLE
from sedi_dagster.workloads.process import KEYS

WORK = "work"
JOB = "job.json"
RESULTS = "results.jsonl"
STORE_IS_AWAY = os.EX_TEMPFAIL
"""Exit code: the data folder could not be reached, so nothing is known of the work."""
SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_TO_BRING_BACK = 900.0
_OWN = (JOB, "lock")


def main() -> int:
    """Run a job of the data folder; returns the exit code of the process."""
    parser = argparse.ArgumentParser(description="Run a workload whose job lies in the data folder.")
    parser.add_argument("--data", required=True, help="The data folder, as SEDI_DATA names it")
    parser.add_argument("--name", required=True, help="Name of the job below work/")
    arguments = parser.parse_args()
    store = Store(arguments.data)
    with tempfile.TemporaryDirectory(prefix="sedi-") as scratch:
        try:
            return run(store, arguments.name, Path(scratch))
        except StorageUnavailable as error:
            print(error, file=sys.stderr, flush=True)
            return STORE_IS_AWAY


def run(store: Store, name: str, scratch: Path) -> int:
    """Fetch, run, bring back. Returns the workload's exit code.

    Raises:
        StorageUnavailable: the data folder could not be reached, at the end for a quarter of an hour.
    """
    asked = json.loads(store.read_bytes(WORK, name, JOB))
    output = scratch / "out"
    output.mkdir()
    store.get(output, WORK, name, "out")
    job_file = output / JOB
    job_file.write_text(json.dumps(_local_job(store, asked, output, scratch)), encoding="utf-8")
    command = [*(asked["command"] or [sys.executable, "-m"]), asked["module"], "--job", str(job_file)]
    copy = Mirror(store, (WORK, name, "out"), output)
    process = subprocess.Popen(command, env={**os.environ, **dict.fromkeys(KEYS, "")})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: process.send_signal(got))
    ended = threading.Event()
    mirror = threading.Thread(target=copy.keep, args=(ended,), daemon=True)
    mirror.start()
    code = process.wait()
    ended.set()
    mirror.join()
    copy.finish()
    return code if code >= 0 else 128 - code


def _local_job(store: Store, asked: dict[str, Any], output: Path, scratch: Path) -> dict[str, Any]:
    """The job with every path as it is on this machine."""
    job = {**asked["job"], "output": str(output)}
    for field, parts in asked["files"].items():
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
    """Copies a folder under the root of a store as it grows: a file once it stands still, a saved state once whole."""

    def __init__(self, store: Store, parts: tuple[str, ...], folder: Path) -> None:
        self._store, self._parts, self._folder = store, parts, folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self._copied = {path: _stamp(path) for path in self._files()}  # what is there was fetched
        self._states = set(self._whole_states())

    def keep(self, ended: threading.Event) -> None:
        """Copy results to the store at intervals until the work has ended."""
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self.copy_new()
            except Exception as error:  # noqa: BLE001 - the work goes on; the next look, or the last, tries again
                print(f"Results cannot be copied at the moment: {error}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Copy what is left, however long the store is away, up to `SECONDS_TO_BRING_BACK`: it was worked for."""
        end = time.monotonic() + SECONDS_TO_BRING_BACK
        while True:
            try:
                return self.copy_new(last=True)
            except StorageUnavailable as error:
                if time.monotonic() > end:
                    raise
                print(f"Results cannot be copied at the moment: {error}", file=sys.stderr, flush=True)
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def copy_new(self, last: bool = False) -> None:
        """Copy what is new. `last`: nothing changes any more."""
        found = {path: _stamp(path) for path in self._files()}
        due = [f for f, stamp in found.items() if self._copied.get(f) != stamp and (last or self._seen.get(f) == stamp)]
        self._seen = found
        states = {name: _files_below(self._folder / STATE / name) for name in self._whole_states()}
        due += [f for name, files in states.items() if name not in self._states for f in files]
        markers = [f for f in due if f.name == STATE_IS_WHOLE]
        for files in ([f for f in due if f.name != STATE_IS_WHOLE], markers):
            self._store.put_files({f: (*self._parts, *f.relative_to(self._folder).parts) for f in files})
        self._copied |= {file: found[file] for file in due if file in found}
        for gone in self._states - states.keys():
            self._store.remove(*self._parts, STATE, gone)
        self._states = set(states)

    def _files(self) -> list[Path]:
        """All but those of saved states."""
        states = self._folder / STATE
        return [p for p in _files_below(self._folder) if p.name not in _OWN and states not in p.parents[1:]]

    def _whole_states(self) -> list[str]:
        return [marker.parent.name for marker in (self._folder / STATE).glob(f"*/{STATE_IS_WHOLE}")]


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
