"""`sedi status`: rounds, spending, and what the loop is waiting for. Changes nothing."""

import time
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table

from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.deciding import attention_needed, targets_in_words
from sedi_dagster.orchestration.due import Launch, Step, due
from sedi_dagster.orchestration.home import ensure_dagster_home
from sedi_dagster.orchestration.ownership import driver_is_running
from sedi_dagster.orchestration.planning import BY_SENSOR, describe_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import daemon_is_down
from sedi_dagster.orchestration.state import read_state
from sedi_dagster.records import RoundOutcome, RoundPlan
from sedi_dagster.settings import SIMULATED, Settings

SHOWN_ROUNDS = 12
SENSORS = ("round_ready_sensor", "weak_category_sensor")


def print_status(settings: Settings) -> None:
    """Print the finished rounds, the spending, and what is due.

    Raises:
        SediError: a user's file cannot be read.
    """
    console, sedi = Console(highlight=False, markup=False), SediResource()
    history = sedi.history()
    if settings.teacher.is_simulated:
        console.print(f"Rehearsal with the {SIMULATED}.", style="bold")

    def say(text: str) -> None:
        console.print(text, soft_wrap=not console.is_terminal)

    say(f"Data: {settings.data_root}")
    home = ensure_dagster_home(settings.profile)
    if history.finished:
        console.print(_rounds(history.finished))
    say(_spending(settings, history.finished))
    for line in targets_in_words(sedi, history.finished[-1].categories if history.finished else ()):
        say(line)
    with dg.DagsterInstance.get() as instance:
        say(f"Driven by: {_driver(instance, home)}")
        for step in due(read_state(sedi, instance, BY_SENSOR)):
            say(f"Due: {describe_step(step, time.time())}")
    if history.finished and (message := attention_needed(history.finished[-1].categories)):
        console.print(message, style="bold")


def describe_step(step: Step, now: float) -> str:
    """Return a step as text.

    Args:
        now: seconds since the epoch.
    """
    if isinstance(step, Launch):
        again = f" (attempt {step.number})" if step.number > 1 else ""
        return f"{step.work.round or 'preparation'}: {step.work.name}{again}."
    if isinstance(step, RoundPlan):
        return f"open {step.round}: {describe_plan(step)}."
    if isinstance(step, Stop):
        return f"nothing. The loop has stopped: {step.reason.rstrip('.')}."
    if step.until is not None:
        return f"wait. {step.reason} Next attempt in {max(0.0, step.until - now):.0f} s."
    return f"wait. {step.reason}"


def _rounds(finished: list[RoundOutcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("round", "kept", "of", "tokens", "USD", "score", "promoted", "weak"):
        table.add_column(name, justify="left" if name in ("round", "weak") else "right", no_wrap=name != "weak")
    for done in finished[-SHOWN_ROUNDS:]:
        usd = "-" if done.cost_usd is None else f"{done.cost_usd:.2f}"
        weak = ", ".join(c.category for c in done.categories if c.decision == "weak")
        counts = (str(done.kept), str(done.candidates), f"{done.tokens:,}", usd, f"{done.score:.0%}")
        table.add_row(done.round, *counts, "yes" if done.promoted else "no", weak)
    return table


def _spending(settings: Settings, finished: list[RoundOutcome]) -> str:
    tokens, usd = sum(done.tokens for done in finished), sum(done.cost_usd or 0.0 for done in finished)
    max_tokens, max_usd = settings.loop.max_tokens, settings.budget.max_usd
    of_tokens = f" of {max_tokens:,}" if max_tokens else " (no limit)"
    of_usd = f" of {max_usd:.2f}" if max_usd else " (no limit)"
    return f"Spent in {len(finished)} finished rounds: {tokens:,} tokens{of_tokens}, {usd:.2f} USD{of_usd}."


def _driver(instance: dg.DagsterInstance, home: Path) -> str:
    """What drives the loop now, as text."""
    if driver_is_running(home):
        return "`sedi run`."
    if daemon_is_down(instance):
        return "nothing. `sedi run` or `sedi ui` continues."
    states = {state.instigator_name: state.is_running for state in instance.all_instigator_state()}
    off = [name for name in SENSORS if not states.get(name)]
    if off:
        return f"the daemon, but these sensors are off: {', '.join(off)} (turn them on under Automation in the UI)."
    return "the daemon; both sensors are on."
