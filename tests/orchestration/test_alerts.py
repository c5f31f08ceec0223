"""A person is told when a run failed that nothing tries again, by a webhook or a command, and no secret is."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from sedi_dagster.definitions import defs
from sedi_dagster.orchestration.alerts import alert_on_failure, send_alert
from sedi_dagster.orchestration.due import RETRY_POLICIES
from sedi_dagster.orchestration.planning import next_plan, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import CAUSE, INPUTS, WORK
from sedi_dagster.orchestration.state import inputs_fingerprint
from sedi_dagster.records import RoundPlan
from sedi_dagster.settings import AlertSettings

SECRET = "T0KEN-4711"


class Webhook:
    """A real server on loopback that keeps what is posted to it."""

    def __init__(self) -> None:
        self.posted: list[dict[str, object]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posted.append({"path": self.path, "kind": self.headers["Content-Type"], **json.loads(body)})
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/{SECRET}"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    threading.Thread(target=hook.server.serve_forever, daemon=True).start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def failed(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> object:
    """What the sensor says to a run that failed."""
    run = instance.create_run_for_job(defs().resolve_job_def("prepare"), tags=tags or {})
    instance.report_run_failed(run)
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert event.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=event.dagster_event,
        dagster_instance=instance,
        dagster_run=record.dagster_run,
        resources={"sedi": SediResource()},
    ).for_run_failure()
    return alert_on_failure(context)


def test_it_is_off_by_default(project: Path, instance: dg.DagsterInstance) -> None:
    assert alert_on_failure.default_status == dg.DefaultSensorStatus.STOPPED
    text = failed(instance)
    assert isinstance(text, dg.SkipReason) and "SEDI_ALERTS_WEBHOOK" in str(text.skip_message)


def test_a_run_that_a_person_launched_is_told_at_once(
    project: Path, instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_ALERTS_WEBHOOK", webhook.url)
    monkeypatch.setenv("SEDI_TEACHER_BASE_URL", "simulated:")
    assert failed(instance) is None
    (posted,) = webhook.posted
    assert posted["kind"] == "application/json" and posted["job"] == "prepare"
    assert "SIMULATED" in str(posted["text"]) and str(posted["run_id"]) in str(posted["text"])


def test_what_is_tried_again_is_told_only_when_the_loop_gives_it_up(
    project: Path, instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_ALERTS_WEBHOOK", webhook.url)
    sedi = SediResource()
    plan = next_plan(sedi, "person")
    assert isinstance(plan, RoundPlan)
    start_round(sedi, instance, plan)
    tags = {WORK: "prepare|seed_pool", INPUTS: inputs_fingerprint(sedi, plan), CAUSE: "defect"}
    for _ in range(RETRY_POLICIES["defect"].attempts - 1):
        assert isinstance(failed(instance, tags), dg.SkipReason)
    assert not webhook.posted
    assert failed(instance, tags) is None
    (posted,) = webhook.posted
    assert posted["tried_again"] is False and "given up after" in str(posted["text"])


def test_a_command_gets_the_message_on_its_standard_input(tmp_path: Path) -> None:
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    kept = tmp_path / "told; touch no-shell"
    alerts = AlertSettings(command=f"{sys.executable} -c '{script}' '{kept}'")
    assert send_alert(alerts, {"text": "it's down"}) == []
    assert json.loads(kept.read_text()) == {"text": "it's down"}
    assert send_alert(AlertSettings(command="/no/such/program"), {}) == [
        "SEDI_ALERTS_COMMAND cannot be run (FileNotFoundError)."
    ]
    assert send_alert(AlertSettings(command="false"), {}) == ["SEDI_ALERTS_COMMAND ended with 1."]


def test_a_webhook_that_does_not_work_is_told_without_its_address(webhook: Webhook) -> None:
    webhook.status = 500
    for url in (webhook.url, f"http://127.0.0.1:9/{SECRET}"):
        (problem,) = send_alert(AlertSettings(webhook=url), {"text": "x"})  # type: ignore[arg-type]
        assert SECRET not in problem
