"""By clicking: a round opened in the UI is carried into the next one by the daemon alone. Minutes long."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.rounds import load_history
from sedi_dagster.store import Store

pytestmark = pytest.mark.slow

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "sedi_dagster"}
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
SWITCH_ON = """mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) {
  __typename ... on Sensor { name } ... on PythonError { message } } }"""


class Ui:
    """What a browser sends."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with closing(urllib.request.urlopen(request, timeout=60)) as response:
            told: dict[str, Any] = json.load(response)
        assert "errors" not in told, told
        data: dict[str, Any] = told["data"]
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


@pytest.fixture
def ui(project: Path) -> Iterator[Ui]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sedi_dagster.cli", "ui", "--port", str(port)]
    with (project / "ui.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Ui(port)
            running.wait_until_up(120)
            yield running
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_a_round_opened_by_a_click_is_carried_into_the_next_round(ui: Ui, project: Path) -> None:
    for name in ("round_ready_sensor", "weak_category_sensor"):
        switched = ui.ask(SWITCH_ON, sensor={**REPOSITORY, "sensorName": name})["startSensor"]
        assert switched["__typename"] == "Sensor", switched
    selector = {**REPOSITORY, "jobName": "open_round"}
    launched = ui.ask(LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched

    store = Store(os.environ["SEDI_DATA"])
    end = time.monotonic() + 900
    while len(load_history(store).finished) < 2:
        assert time.monotonic() < end, (project / "ui.log").read_text()[-3000:]
        time.sleep(2)
    history = load_history(store)
    assert [plan.trigger for plan in history.plans[:2]] == ["person", "weak_category_sensor"]
    weak = {o.category for o in history.finished[0].categories if o.decision == "weak"}
    assert set(history.plans[1].category_ids) == weak
