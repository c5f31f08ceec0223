"""The frame of a workload that runs in its own process: training and evaluation.

A workload reads a job file (JSON), does its work, and writes its results to the folder that the job names.
Started by Dagster Pipes it reports into the Dagster log; started by hand, the same command prints:

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
"""Variables with the keys of the endpoints, which workloads do not get."""
ASKED_BY = "WORKLOAD_ASKED_BY"
"""Variable that names the process that waits for a workload, as `this_process` does."""
SECONDS_BETWEEN_LOOKS = 0.5
Log = Callable[[str], None]


def workload_main(description: str, work: Callable[[Mapping[str, Any], Log], None], job_help: str = "") -> None:
    """Parse the command line, call `work(job, log)` and end the process.

    A `SediError` goes to `error.json` in the job's output folder and to stderr; the exit status is 2.

    Args:
        job_help: what the job file holds, for `--help`.
    """
    parser = argparse.ArgumentParser(
        description=description, epilog=job_help, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", type=Path, required=True, help="JSON file that says what to do")
    job = json.loads(parser.parse_args().job.read_text(encoding="utf-8"))
    for name, value in environment(job.get("offline", True)).items():
        os.environ.setdefault(name, value)
    try:
        if "DAGSTER_PIPES_CONTEXT" in os.environ:
            from dagster_pipes import open_dagster_pipes

            end_with_who_asked()
            with _alone_in(Path(job["output"])), open_dagster_pipes() as pipes:
                work(job, pipes.log.info)
        else:
            work(job, lambda line: print(line, flush=True))
    except SediError as error:
        Path(job["output"], ERROR_FILE).write_text(json.dumps({"problem": error.problem, "fix": error.fix}))
        print(error, file=sys.stderr)
        sys.exit(2)


def this_process() -> str:
    """Name of this process for `ASKED_BY`; it stays its own when the id is given again."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time()}"


def end_with_who_asked() -> None:
    """Be gone when the process that waits for this one is: its successor works in the same folder.

    A launcher or a warm worker may stand between them, and outlive it. On another machine only the parent is seen.
    """
    parent, asked_by = os.getppid(), os.environ.get(ASKED_BY, "").split()

    def watch() -> None:
        while os.getppid() == parent and (len(asked_by) != 3 or _lives(*asked_by)):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _lives(host: str, pid: str, started: str) -> bool:
    return host != socket.gethostname() or lives(int(pid), float(started))


def lives(pid: int, at: float) -> bool:
    """Whether the process that had this id at that time (seconds since the epoch) still runs: ids are given again."""
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + 1.0)
    except psutil.Error:
        return False


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process works in the folder; of several processes of one job, the first speaks for all."""
    with ExitStack() as stack:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            lock = stack.enter_context((folder / "lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment(offline: bool) -> dict[str, str]:
    """Variables that libraries read when they are imported, as a workload wants them where nobody has set them."""
    variables = {
        "HF_HUB_OFFLINE": "1" if offline else "0",
        # A thread that waits by spinning for long loses whole time slices once something else wants a core. Measured
        # on two cores, 12 answers of 48 tokens: quiet 4.9 s by default, 5.5 s so; beside one busy process over 45 s,
        # 20 s.
        "GOMP_SPINCOUNT": "2000",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if "LOCAL_RANK" not in os.environ:  # one process works on one device, also where more are visible
        variables["CUDA_VISIBLE_DEVICES"] = "0"
    return variables


def progress_log(log: Log, stage: str) -> Callable[[int, int, Mapping[str, int | float]], None]:
    """A `Progress` that writes progress lines to a workload's log."""
    return lambda done, total, figures: log(format_progress(stage, done, total, figures))
