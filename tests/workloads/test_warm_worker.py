"""Jobs in forks of a warm worker behave as jobs in interpreters of their own. Real processes, a light module as job."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.workloads.warm_worker import address as addresses
from sedi_dagster.workloads.warm_worker.address import (
    address,
    connect,
    is_possible,
    server_environment,
    start,
    warm_worker_ready,
)
from sedi_dagster.workloads.warm_worker.server import cuda_is_initialized

pytestmark = pytest.mark.skipif(not addresses.is_possible(), reason="no fork server on this machine")

PROBE = """
import json, os, signal, subprocess, sys, time
kind, job = sys.argv[1], sys.argv[-1]
if kind == "describe":
    seen = {"name": __name__, "argv": sys.argv[1:], "cwd": os.getcwd(), "path": sys.path[0],
            "variables": {k: v for k, v in sorted(os.environ.items()) if k not in ("_", "PWD")},
            "said": sys.stdin.read(), "umask": os.umask(0), "threads": len(os.listdir("/proc/self/task"))}
    print(json.dumps(seen))
    print("to stderr", file=sys.stderr)
    sys.exit(7)
if kind == "raise":
    raise ValueError("no good")
if kind == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if kind == "torch":
    import torch
    print(torch.get_num_threads(), torch.ones(600, 600).mm(torch.ones(600, 600)).sum().item(),
          len(os.listdir("/proc/self/task")))
    sys.exit(0)
if kind == "polite":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(11))
children = [subprocess.Popen(["sleep", "60"])] if kind == "family" else []
try:
    print(os.getpid(), *(child.pid for child in children), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(9)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "job.json").write_text("{}")
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{PROJECT_ROOT}:{folder}", "SEDI_X": "y", "OMP_NUM_THREADS": "1"}


Serve = Callable[..., Path]


@pytest.fixture
def serve(folder: Path, environment: dict[str, str]) -> Iterator[Serve]:
    """`serve(*preloaded)`: the socket of a new server, which listens."""
    servers = []

    def started(*preloaded: str) -> Path:
        path = folder / f"{len(servers)}.sock"
        servers.append(start(path, {**environment, **addresses._FORKABLE}, folder, preloaded))
        wait_for(lambda: path.exists() or path.with_suffix(".declined").exists())
        return path

    started.servers = servers  # type: ignore[attr-defined]
    yield started
    for server in servers:
        server.kill()
        server.wait()


def client(socket_path: Path | None, kind: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A job as Dagster would start it; without a socket, in an interpreter of its own."""
    arguments = [kind, str(folder / "job.json")]
    code = (
        "import sys; from pathlib import Path; from sedi_dagster.workloads.warm_worker.client import run; "
        f"run('probe', sys.argv[1:], Path({str(socket_path)!r}))"
    )
    command = ["-c", code, *arguments] if socket_path else ["-m", "probe", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def wait_for(happened: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_forked_job_is_what_its_own_interpreter_would_have_been(
    serve: Serve, folder: Path, environment: dict[str, str]
) -> None:
    found = []
    for path in (serve(), None):
        job = client(path, "describe", folder, environment)
        out, err = job.communicate("from stdin")
        found.append((json.loads(out), err, job.returncode))
    assert found[0] == found[1] and found[0][2] == 7 and found[0][0]["said"] == "from stdin"
    assert found[0][0]["variables"]["SEDI_X"] == "y"


def test_an_error_is_told_on_stderr_and_by_the_exit_status(
    serve: Serve, folder: Path, environment: dict[str, str]
) -> None:
    job = client(serve(), "raise", folder, environment)
    _, err = job.communicate()
    assert job.returncode == 1 and err.rstrip().endswith("ValueError: no good")


@pytest.mark.parametrize(
    ("kind", "number", "status"), [("wait", signal.SIGINT, 9), ("polite", signal.SIGTERM, 11), ("wait", 15, -15)]
)
def test_signals_reach_the_job_and_its_end_reaches_the_caller(
    serve: Serve, folder: Path, environment: dict[str, str], kind: str, number: int, status: int
) -> None:
    job = client(serve(), kind, folder, environment)
    pid = int(job.stdout.readline())  # type: ignore[union-attr]
    job.send_signal(number)
    assert job.wait(120) == status and is_gone(pid)


def test_a_killed_job_ends_its_client_in_the_same_way(serve: Serve, folder: Path, environment: dict[str, str]) -> None:
    job = client(serve(), "kill", folder, environment)
    job.communicate()
    assert job.returncode == -signal.SIGKILL


def test_a_job_ends_with_its_client_and_so_does_what_it_started(
    serve: Serve, folder: Path, environment: dict[str, str]
) -> None:
    path = serve()
    job = client(path, "family", folder, environment)
    pids = [int(pid) for pid in job.stdout.readline().split()]  # type: ignore[union-attr]
    job.kill()
    wait_for(lambda: all(is_gone(pid) for pid in pids))
    with connect(path, True, folder):
        again = client(path, "raise", folder, environment)
        again.communicate()
    assert again.returncode == 1, "the server serves on"


def test_a_job_ends_with_the_server_and_the_client_says_so(
    serve: Serve, folder: Path, environment: dict[str, str]
) -> None:
    job = client(serve(), "wait", folder, environment)
    pid = int(job.stdout.readline())  # type: ignore[union-attr]
    serve.servers[0].kill()  # type: ignore[attr-defined]
    assert job.wait(120) == -signal.SIGKILL
    wait_for(lambda: is_gone(pid))


def test_several_jobs_run_at_once(serve: Serve, folder: Path, environment: dict[str, str]) -> None:
    path = serve()
    jobs = [client(path, "wait", folder, environment) for _ in range(4)]
    pids = {int(job.stdout.readline()) for job in jobs}  # type: ignore[union-attr]
    assert len(pids) == 4
    for job, number in zip(jobs, (signal.SIGINT, signal.SIGTERM) * 2, strict=True):
        job.send_signal(number)
        assert job.wait(120) in (9, -15)


def test_the_server_ends_with_the_last_who_kept_it_ready_and_not_before_a_job(
    serve: Serve, folder: Path, environment: dict[str, str]
) -> None:
    path = serve()
    server = serve.servers[0]  # type: ignore[attr-defined]
    with connect(path, True, folder), connect(path, True, folder) as other:
        other.close()
        job = client(path, "wait", folder, environment)
        job.stdout.readline()  # type: ignore[union-attr]
    time.sleep(0.2)
    assert server.poll() is None, "a job is under way"
    with connect(path, True, folder):
        job.send_signal(signal.SIGINT)
        assert job.wait(120) == 9
    assert server.wait(120) == 0 and not path.exists()


def test_a_server_that_would_fork_with_threads_declines_and_the_job_runs_all_the_same(
    serve: Serve, folder: Path, environment: dict[str, str]
) -> None:
    (folder / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
    )
    path = serve("threaded")
    job = client(path, "describe", folder, environment)
    out, _ = job.communicate("")
    assert job.returncode == 7 and json.loads(out)["threads"] == 1
    assert "threads" in path.with_suffix(".declined").read_text()
    with pytest.raises(OSError):
        connect(path, True, folder)


def test_without_a_private_folder_the_job_runs_in_an_interpreter_of_its_own(
    folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / f"sedi-workers-{os.getuid()}").mkdir(mode=0o755)
    command = [
        sys.executable,
        "-m",
        "sedi_dagster.workloads.warm_worker.client",
        "probe",
        "describe",
        str(folder / "job.json"),
    ]
    environment["XDG_RUNTIME_DIR"] = str(folder)
    done = subprocess.run(command, cwd=folder, env=environment, input="", capture_output=True, text=True)
    assert done.returncode == 7 and not list(folder.glob("*/*.sock"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    with warm_worker_ready(True, folder):  # nor is that an error
        pass


def test_a_request_that_is_none_does_no_harm(serve: Serve, folder: Path, environment: dict[str, str]) -> None:
    path = serve()
    with connect(path, True, folder):
        for said in (b"", b"xy", b"\x00\x00\x00\x02{}"):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(str(path))
                stranger.sendall(said)
        job = client(path, "raise", folder, environment)
        job.communicate()
        assert job.returncode == 1


def test_the_number_of_threads_is_the_jobs(serve: Serve, folder: Path, environment: dict[str, str]) -> None:
    path = serve("torch")
    with connect(path, True, folder):
        for threads in ("1", "2"):
            job = client(path, "torch", folder, {**environment, "OMP_NUM_THREADS": threads})
            out, err = job.communicate()
            assert out.split()[:2] == [threads, str(600.0**3)], err
            assert (int(out.split()[2]) == 1) == (threads == "1")


def test_only_processes_that_would_be_alike_share_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # other tests set it for the whole process
    here = address(True, folder)
    for name in ("OMP_NUM_THREADS", "SEDI_TEACHER_API_KEY", "DAGSTER_HOME", "HF_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "1")
    assert address(True, folder) == here
    assert not {"SEDI_TEACHER_API_KEY", "HF_TOKEN", "OPENAI_API_KEY"} & server_environment(True).keys()
    assert len({here, address(False, folder), address(True, folder / "elsewhere")}) == 3
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert address(True, folder) != here


@pytest.mark.parametrize(("code", "initialised"), [(0, True), (3, False), (34, False), (100, False)])
def test_only_a_driver_that_works_in_the_server_is_lost_by_a_fork(
    code: int, initialised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = type("Driver", (), {"cuDeviceGetCount": lambda *_: code})  # 34: a stub of the library; 100: no device
    monkeypatch.setattr("ctypes.CDLL", lambda _: driver())
    assert cuda_is_initialized() == initialised


def test_there_is_none_beside_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert is_possible()
    monkeypatch.setattr(addresses, "_OTHER_GPUS", (str(tmp_path),))
    assert not is_possible()
