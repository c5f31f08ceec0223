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
from sedi_dagster.orchestration.runs import WORK, why_it_ended
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
    message = message_of(sedi, context.instance, context.dagster_run)
    if message["tried_again"] and not alerts.every_failure:
        return dg.SkipReason("It will be retried automatically.")
    for problem in tell(alerts, message):
        context.log.error(problem)
    return None


def message_of(sedi: SediResource, instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, Any]:
    """The message about a failed run. `text` is complete by itself, for receivers that show only that."""
    cause, message = why_it_ended(instance, run)
    what, gives_up = run.tags.get(WORK, run.job_name), _what_the_user_must_do(sedi, instance, run)
    after = gives_up or "It will be retried automatically."
    rehearsal = f"[{SIMULATED}] " if sedi.settings().teacher.is_simulated else ""
    return {
        "text": f"{rehearsal}sedi: {what} failed ({cause}). {message} {after} Run {run.run_id}.",
        "run_id": run.run_id,
        "job": run.job_name,
        "work": what,
        "cause": cause,
        "said": message,
        "tried_again": not gives_up,
    }


def _what_the_user_must_do(sedi: SediResource, instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What the user must do about a run; empty if it is retried."""
    if WORK not in run.tags:
        return "This run was not launched by the loop and is not retried: see its page in the UI."
    try:
        steps = due(read_state(sedi, instance, BY_SENSOR))
    except SediError as error:
        return str(error)
    waits = [step for step in steps if isinstance(step, Wait) and step.person]
    return next((wait.why for wait in waits if wait.attempt and wait.attempt.run_id == run.run_id), "")


def tell(alerts: AlertSettings, message: dict[str, Any]) -> list[str]:
    """Send a message to all configured receivers. Returns the problems, without the URL, which may contain a secret."""
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
