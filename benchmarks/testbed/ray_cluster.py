"""A Ray cluster on loopback: a head that takes jobs and workers that run them, each with processes of its own.

    with RayCluster(workers=2) as cluster:
        os.environ |= {"SEDI_COMPUTE": "ray", "SEDI_RAY_ADDRESS": cluster.address}
        cluster.kill_worker_that_runs("planted_student.py")

`ray start` gives every node the machine's outer address; Ray's own `Cluster` keeps all on 127.0.0.1.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

OBJECT_STORE_BYTES = 100_000_000
_ENVIRONMENT = {
    "RAY_JOB_STOP_WAIT_TIME_S": "60",  # a training saves its state
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else what joins takes the outer address for 127.0.0.1
    # A machine that has other things to do takes its time.
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "600",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_timeout_ms": "60000",
}
SECONDS_TO_START = 600.0


class RayCluster:
    """A running cluster; a context manager. Its nodes inherit this process's environment."""

    def __init__(self, workers: int = 2) -> None:
        self._count = workers
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self._port}"
        self._sessions = tempfile.TemporaryDirectory(prefix="sr-", ignore_cleanup_errors=True)  # sockets: a short path
        self._common = {
            "object_store_memory": OBJECT_STORE_BYTES,
            "node_ip_address": "127.0.0.1",
            "temp_dir": self._sessions.name,
        }
        self._cluster: Any = None
        self._before: dict[str, str | None] = {}
        self.workers: list[Any] = []

    def __enter__(self) -> Self:
        self._before = {name: os.environ.get(name) for name in _ENVIRONMENT}
        os.environ.update(_ENVIRONMENT)  # read when Ray is imported
        from ray.cluster_utils import Cluster

        Path("/tmp/ray").mkdir(exist_ok=True)  # `Cluster` writes its address there
        _wait_for_nodes_patiently()

        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": self._port}
        self._cluster = Cluster(initialize_head=True, head_node_args={"wait": False, **self._common, **head})
        for _ in range(self._count):
            self.add_worker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            self._cluster.shutdown()
        self._sessions.cleanup()
        for name, value in self._before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value

    def add_worker(self) -> None:
        self.workers.append(self._cluster.add_node(wait=False, num_cpus=1, **self._common))

    def kill_worker_that_runs(self, told: str) -> bool:
        """kill -9 of a node with all its processes, if one of them has this in its command; as a lost machine."""
        for worker in self.workers:
            family = [process for pid in _pids(worker) for process in _family(pid)]
            if any(told in " ".join(_command(process)) for process in family):
                for process in family:
                    _kill(process)
                self._cluster.remove_node(worker, allow_graceful=False)
                self.workers.remove(worker)
                return True
        return False


def _wait_for_nodes_patiently() -> None:
    """A node gives itself 30 s to be known to the cluster, which no setting changes."""
    from ray._private import services

    ask = services.get_node

    def wait(*arguments: Any, **named: Any) -> Any:
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                return ask(*arguments, **named)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    services.get_node = wait


def _pids(node: Any) -> list[int]:
    return [info.process.pid for started in node.all_processes.values() for info in started]


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
