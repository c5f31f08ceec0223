"""Alerts by webhook or command, for failed runs that are not retried automatically.

Off unless `SEDI_ALERTS_WEBHOOK` or `SEDI_ALERTS_COMMAND` is set.
"""

import json
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.due import Wait, due
from sedi_dagster.orchestration.planning import BY_SENSOR
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import WORK, end_cause
from sedi_dagster.orchestration.state import read_state
from sedi_dagster.settings import SIMULATED, AlertSettings, load_settings

SECONDS = 20.0
"""Longest time for a webhook to answer or a command to end."""


@dg.run_failure_sensor(
    name="alert_on_failure",
    default_status=dg.DefaultSensorStatus.RUNNING if load_settings().alerts.are_on else dg.DefaultSensorStatus.STOPPED,
    description="Sends an alert to SEDI_ALERTS_WEBHOOK or SEDI_ALERTS_COMMAND when a run failed and will not be "
    "retried automatically. It is on by default if one of them is set.",
)
def alert_on_failure(context: dg.RunFailureSensorContext, sedi: SediResource) -> dg.SkipReason | None:
    alerts = sedi.settings().alerts
    if not alerts.are_on:
        return dg.SkipReason("Neither SEDI_ALERTS_WEBHOOK nor SEDI_ALERTS_COMMAND is set.")
    message = _alert_message(sedi, context.instance, context.dagster_run)
    if message["tried_again"] and not alerts.every_failure:
        return dg.SkipReason("The run will be retried automatically.")
    for problem in send_alert(alerts, message):
        context.log.error(problem)
    return None


def _alert_message(sedi: SediResource, instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, Any]:
    """The alert about a failed run. `text` is self-contained, for receivers that show nothing else."""
    cause, error = end_cause(instance, run)
    work, user_action = run.tags.get(WORK, run.job_name), _user_action(sedi, instance, run)
    outlook = user_action or "It will be retried automatically."
    rehearsal = f"[{SIMULATED}] " if sedi.settings().teacher.is_simulated else ""
    return {
        "text": f"{rehearsal}sedi: {work} failed ({cause}). {error} {outlook} Run {run.run_id}.",
        "run_id": run.run_id,
        "job": run.job_name,
        "work": work,
        "cause": cause,
        "said": error,
        "tried_again": not user_action,
    }


def _user_action(sedi: SediResource, instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What the user must do about a failed run; empty if it is retried."""
    if WORK not in run.tags:
        return "This run was not launched by the loop and is not retried: see its page in the UI."
    try:
        steps = due(read_state(sedi, instance, BY_SENSOR))
    except SediError as error:
        return str(error)
    waits = [step for step in steps if isinstance(step, Wait) and step.needs_user]
    return next((wait.reason for wait in waits if wait.attempt and wait.attempt.run_id == run.run_id), "")


def send_alert(alerts: AlertSettings, message: dict[str, Any]) -> list[str]:
    """Send a message to all configured receivers and return the problems.

    Problems name the host of the webhook but not its URL, which may contain a secret.
    """
    body, url = json.dumps(message).encode(), alerts.webhook.get_secret_value()
    problems = [_post(url, body) if url else "", _run(alerts.command, body) if alerts.command else ""]
    return [problem for problem in problems if problem]


def _post(url: str, body: bytes) -> str:
    host = urlsplit(url).hostname or "?"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"The webhook at {host} answered {error.code}."
    except (OSError, ValueError) as error:
        return f"The webhook at {host} cannot be reached ({type(error).__name__})."


def _run(command: str, body: bytes) -> str:
    try:
        done = subprocess.run(shlex.split(command), input=body, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"SEDI_ALERTS_COMMAND cannot be run ({type(error).__name__})."
    return f"SEDI_ALERTS_COMMAND ended with {done.returncode}." if done.returncode else ""
