"""What a Ray job is given, what its end means, and what is said where there is no Ray. No cluster is needed here."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.errors import ComputeUnavailable, SettingsError, StorageUnavailable, WorkloadDied, WorkloadError
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.ray_jobs import _failure, _submission, check_ray
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.workloads.remote import STORE_UNAVAILABLE

MODULES = {
    "training": "sedi_dagster.training",
    "evaluation": "sedi_dagster.evaluation",
    "ifd": "sedi_dagster.filtering.ifd",
    "embedding": "sedi_dagster.batching.embed_rows",
}


def on_ray(**given: Any) -> Settings:
    return load_settings({"compute": "ray", "ray": given})


def submission(stage: str, resources: dict[str, Any], **given: Any) -> dict[str, Any]:
    told = _submission(on_ray(resources=resources, **given), MODULES[stage], "work")
    return {key: value for key, value in told.items() if key.startswith("entrypoint")}


@pytest.mark.parametrize("stage", MODULES)
def test_each_stage_gets_its_own_resources_and_else_one_processor(stage: str) -> None:
    asked = {"num_cpus": 8, "num_gpus": 1, "memory": 3e9, "big_disk": 1}
    given = submission(stage, {stage: asked})
    assert (given["entrypoint_num_cpus"], given["entrypoint_num_gpus"]) == (8, 1)
    assert given["entrypoint_memory"] == 3_000_000_000 and type(given["entrypoint_memory"]) is int  # or Ray refuses it
    assert given["entrypoint_resources"] == {"big_disk": 1}
    assert submission(stage, {})["entrypoint_num_cpus"] == 1


def test_a_folder_with_blanks_and_a_command_as_interpreter_reach_the_worker_whole(tmp_path: Path) -> None:
    settings = load_settings({"data": str(tmp_path / "my data"), "ray": {"python": "/opt/env/python -X utf8"}})
    told = _submission(settings, MODULES["training"], "train-round-0001")
    assert told["entrypoint"] == (
        "exec /opt/env/python -X utf8 -m sedi_dagster.workloads.remote "
        f"--data '{tmp_path / 'my data'}' --name train-round-0001"
    )


@pytest.mark.parametrize(
    "given",
    [
        {"resources": {"generation": {"num_cpus": 1}}},
        {"resources": {"training": {"num_gpus": -1}}},
        {"address": "127.0.0.1:8265"},
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="SEDI_RAY_"):
        on_ray(**given)


@pytest.mark.parametrize(
    ("status", "code", "error_type", "kind"),
    [
        ("SUCCEEDED", 0, None, type(None)),
        ("FAILED", 1, "JOB_ENTRYPOINT_COMMAND_ERROR", WorkloadError),
        ("FAILED", 137, "JOB_ENTRYPOINT_COMMAND_ERROR", WorkloadDied),
        ("FAILED", -9, "JOB_ENTRYPOINT_COMMAND_ERROR", WorkloadDied),
        ("FAILED", None, "JOB_SUPERVISOR_ACTOR_DIED", WorkloadDied),
        ("STOPPED", None, None, WorkloadDied),
        ("FAILED", STORE_UNAVAILABLE, "JOB_ENTRYPOINT_COMMAND_ERROR", StorageUnavailable),
        ("FAILED", None, "JOB_SUPERVISOR_ACTOR_START_TIMEOUT", ComputeUnavailable),
        ("FAILED", None, "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE", ComputeUnavailable),
    ],
)
def test_what_the_end_of_a_job_means(status: str, code: int | None, error_type: str | None, kind: type) -> None:
    told = SimpleNamespace(
        status=SimpleNamespace(value=status), driver_exit_code=code, error_type=error_type, message="As Ray says."
    )
    client: Any = SimpleNamespace(get_job_info=lambda submission: told)
    found = _failure(client, "sedi-work-1", "some.module", "gave up")
    assert type(found) is kind
    assert found is None or "As Ray says." in str(found)


def test_a_job_that_a_new_head_does_not_know_is_lost() -> None:
    def forgotten(submission: str) -> None:
        raise RuntimeError("Request failed with status code 404: Job does not exist.")

    client: Any = SimpleNamespace(get_job_info=forgotten)
    assert type(_failure(client, "sedi-work-1", "some.module", "gave up")) is WorkloadDied


def test_without_the_extra_one_line_says_what_to_install_before_the_teacher_is_asked(
    project: Path, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_COMPUTE", "ray")
    monkeypatch.setitem(sys.modules, "dagster_ray.core.pipes", None)
    monkeypatch.setitem(sys.modules, "dagster_ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'sedi-dagster\[ray\]'"):
        preflight(SediResource())
    assert simulated_teacher.meter.requests == 0


@pytest.fixture
def ray_client() -> None:
    pytest.importorskip("dagster_ray", reason="Ray is not installed: pip install '.[ray]'")


@pytest.mark.usefixtures("ray_client")
def test_an_address_where_nobody_answers_is_told_before_the_teacher_is_asked(
    project: Path, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("SEDI_COMPUTE", "ray")
    monkeypatch.setenv("SEDI_RAY_ADDRESS", address)
    with pytest.raises(ComputeUnavailable, match=f"{address} cannot be reached"):
        preflight(SediResource())
    assert simulated_teacher.meter.requests == 0


@pytest.mark.usefixtures("ray_client")
def test_an_address_that_takes_connections_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sedi_dagster.orchestration.ray_jobs.ANSWER_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ComputeUnavailable, match="timed out"):
            check_ray(on_ray(address=f"http://127.0.0.1:{silent.getsockname()[1]}"))


class Greeting(http.server.BaseHTTPRequestHandler):
    """A web server that is no Ray: one page for everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Hello</h1>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_service() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("ray_client")
def test_another_service_at_the_address_is_a_wrong_setting(other_service: str) -> None:
    with pytest.raises(SettingsError, match=f"SEDI_RAY_ADDRESS={other_service} is not the dashboard"):
        check_ray(on_ray(address=other_service))
