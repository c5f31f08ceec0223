"""The entry point of workloads, which run in their own process.

A workload reads a job file (JSON), does its work, and writes its results to the folder named in the job. If it was
started by Dagster Pipes, it logs to Dagster; started by hand, the same command prints to the console:

    python -m sedi_dagster.training --job job.json
"""

import argparse
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from sedi_dagster.errors import SediError
from sedi_dagster.workloads.progress import format_progress

ERROR_FILE = "error.json"
KEYS = ("SEDI_TEACHER_API_KEY", "SEDI_EVALUATION_API_KEY", "SEDI_EVALUATION_JUDGE_API_KEY")
"""Environment variables with API keys, which are not passed on to workloads."""
CALLER = "WORKLOAD_ASKED_BY"
"""Environment variable that identifies the process waiting for a workload, with the value of `this_process`."""
_POLL_INTERVAL_S = 0.5
Log = Callable[[str], None]


def workload_main(description: str, work: Callable[[Mapping[str, Any], Log], None], job_help: str = "") -> None:
    """Parse the command line and call `work(job, log)`.

    A `SediError` is written to `error.json` in the job's output folder and to stderr; the exit status is then 2.

    Args:
        job_help: description of the job file, for `--help`.
    """
    parser = argparse.ArgumentParser(
        description=description, epilog=job_help, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", type=Path, required=True, help="JSON file that describes the job")
    job = json.loads(parser.parse_args().job.read_text(encoding="utf-8"))
    for name, value in environment(job.get("offline", True)).items():
        os.environ.setdefault(name, value)
    try:
        if "DAGSTER_PIPES_CONTEXT" in os.environ:
            from dagster_pipes import open_dagster_pipes

            exit_with_caller()
            with _lock(Path(job["output"])), open_dagster_pipes() as pipes:
                work(job, pipes.log.info)
        else:
            work(job, lambda line: print(line, flush=True))
    except SediError as error:
        Path(job["output"], ERROR_FILE).write_text(json.dumps({"problem": error.problem, "fix": error.fix}))
        print(error, file=sys.stderr)
        sys.exit(2)


def this_process() -> str:
    """Return the value of `CALLER` for this process: host, id and start time, because ids are reused."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time()}"


def exit_with_caller() -> None:
    """Exit as soon as the process waiting for this one has ended, because its successor works in the same folder.

    A launcher or a warm worker between the two may outlive the caller, so watching the parent is not enough. If the
    caller runs on another machine, only the parent is watched.
    """
    parent, caller = os.getppid(), os.environ.get(CALLER, "").split()

    def is_running(host: str, pid: str, started: str) -> bool:
        return host != socket.gethostname() or lives(int(pid), float(started))

    def watch() -> None:
        while os.getppid() == parent and (len(caller) != 3 or is_running(*caller)):
            time.sleep(_POLL_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def lives(pid: int, at: float) -> bool:
    """Return whether the process that had this id at a time (in seconds since the epoch) is still running.

    A process that was given the id later does not count.
    """
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + 1.0)
    except psutil.Error:
        return False


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock the folder, after waiting for any other job in it; of a job's processes, the first holds the lock."""
    with ExitStack() as stack:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            lock = stack.enter_context((folder / "lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment(offline: bool) -> dict[str, str]:
    """Return defaults for the environment variables that libraries read when they are imported."""
    variables = {
        "HF_HUB_OFFLINE": "1" if offline else "0",
        # Threads that spin for long lose whole time slices when another process needs a core. Measured on two cores
        # with 12 answers of 48 tokens: 5.5 s instead of the default's 4.9 s on an idle machine, but 20 s instead of
        # more than 45 s next to one busy process.
        "GOMP_SPINCOUNT": "2000",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if "LOCAL_RANK" not in os.environ:  # a single process uses one device, even if several are visible
        variables["CUDA_VISIBLE_DEVICES"] = "0"
    return variables


def progress_log(log: Log, stage: str) -> Callable[[int, int, Mapping[str, int | float]], None]:
    """Return a `Progress` that writes progress lines to a workload's log."""
    return lambda done, total, figures: log(format_progress(stage, done, total, figures))
