"""A running `sedi ui`, and what a browser sends to it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "sedi_dagster"}
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
SWITCH_ON = """mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) {
  __typename ... on Sensor { name } ... on PythonError { message } } }"""
RUNS = """query($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { runId status } } } }"""
TERMINATE = """mutation($runId: String!) { terminateRun(runId: $runId) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
REPEAT = """mutation($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


class Ui:
    """What a browser sends."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with closing(urllib.request.urlopen(request, timeout=60)) as response:
            reply: dict[str, Any] = json.load(response)
        assert "errors" not in reply, reply
        data: dict[str, Any] = reply["data"]
        return data

    def wait_until_up(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                self.ask("{ version }")
                return
            except OSError:
                assert time.monotonic() < end, "the UI did not come up"
                time.sleep(1)

    def switch_on(self, sensor: str) -> None:
        switched = self.ask(SWITCH_ON, sensor={**REPOSITORY, "sensorName": sensor})["startSensor"]
        assert switched["__typename"] == "Sensor", switched

    def launch(self, job: str, config: dict[str, Any] | None = None) -> str:
        """Launch a job; returns the id of its run."""
        params = {"selector": {**REPOSITORY, "jobName": job}, "runConfigData": config or {}, "mode": "default"}
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def runs(self, **chosen: Any) -> dict[str, str]:
        """Runs by id, with their status, newest first."""
        found = self.ask(RUNS, filter=chosen)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def terminate(self, run_id: str) -> None:
        ended = self.ask(TERMINATE, runId=run_id)["terminateRun"]
        assert ended["__typename"] == "TerminateRunSuccess", ended

    def repeat(self, run_id: str) -> str:
        """Launch a run again; returns the id of the new one."""
        launched = self.ask(REPEAT, params={"parentRunId": run_id, "strategy": "ALL_STEPS"})["launchRunReexecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])


@contextmanager
def started_ui(project: Path) -> Iterator[tuple[Ui, subprocess.Popen[bytes]]]:
    """`sedi ui` as a process of its own, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sedi_dagster.cli", "ui", "--port", str(port)]
    with (project / "ui.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Ui(port)
            running.wait_until_up(300)
            yield running, process
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
