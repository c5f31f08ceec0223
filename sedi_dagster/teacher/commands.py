"""`sedi calls`."""

import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from sedi_dagster.errors import SettingsError
from sedi_dagster.records import round_named
from sedi_dagster.settings import SIMULATED, Settings, load_settings
from sedi_dagster.storage.rounds import cut_short, load_history
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.answers import Reading
from sedi_dagster.teacher.budget import usd
from sedi_dagster.teacher.calls import STATES, SUM_BY, CallFilter, SumBy, list_calls, sum_calls, useless_calls
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.open import make_endpoint, open_ledger
from sedi_dagster.teacher.parameters import Parameters

_DAY_S = 86_400.0


def empty_batches(store: Store, category: str = "") -> list[tuple[str, str]]:
    """Return round and category of the open round's batches without passed candidates or cut short by a budget."""
    plan = load_history(store).open_round
    if plan is None:
        return []
    return [
        (plan.round, c)
        for c in plan.category_ids
        if category in ("", c)
        and store.tables_marker("generated_batches", plan.round, c) is not None
        and (
            not store.read_table("result", "generated_batches", plan.round, c)["passed"].sum()
            or cut_short(store, plan.round, c)
        )
    ]


def _filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    help_text = f"Only calls of this state: {', '.join(STATES)}."
    choice = click.Choice(("", *STATES))
    command = click.option("--state", type=choice, default="", metavar="STATE", help=help_text)(command)
    for name in ("run", "day", "purpose", "category", "round"):
        command = click.option(f"--{name}", default="", help=f"Only calls of this {name}.")(command)
    return command


def _call_filter(ledger: Ledger, options: dict[str, str]) -> CallFilter:
    """Return the filter that the options describe; raise `SettingsError` for a value that no call has."""
    options = options | {"round": round_named(options["round"])}
    for name in ("round", "category", "purpose", "day"):
        value = options[name]
        if value and value not in (known := [line.name for line in sum_calls(ledger, name)]):
            raise SettingsError(f"No call has the {name} {value!r}.", f"There are: {', '.join(known) or 'no calls'}.")
    return CallFilter(**options)


def _ledger() -> Ledger:
    return open_ledger(loaded_settings())


def loaded_settings() -> Settings:
    """Load the settings; with the simulated teacher, say so on stderr."""
    settings = load_settings()
    if settings.teacher.is_simulated:
        click.echo(f"Rehearsal with the {SIMULATED}.", err=True)
    return settings


@click.group("calls")
def calls_group() -> None:
    """Inspect the ledger of teacher calls."""


@calls_group.command("list")
@_filter_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Number of calls to show.")
def list_command(limit: int, **options: str) -> None:
    """List calls, newest first."""
    table = Table(Column("key", no_wrap=True), "state", "round", "category", "purpose", "tokens", "USD", "s", "end")
    with _ledger() as ledger:
        for line in list_calls(ledger, _call_filter(ledger, options), limit):
            table.add_row(
                line.key[:8],
                line.state,
                line.round,
                line.category,
                line.purpose,
                f"{line.prompt_tokens} + {line.completion_tokens}",
                money(usd(line.nanousd)),
                f"{line.latency_s:.1f}",
                line.error[:60] or line.finish_reason,
            )
    Console().print(table)


@calls_group.command("show")
@click.argument("key")
def show_command(key: str) -> None:
    """Show one call in full. KEY can be a prefix."""
    with _ledger() as ledger:
        call = ledger.read_call(key)
    if call is None:
        raise SettingsError(f"No single call begins with {key!r}.", "`sedi calls list` shows the keys.")
    console = Console()
    for name in call.__dataclass_fields__:
        if name not in ("request", "response"):
            console.print(f"[bold]{name}[/bold] {getattr(call, name)}", highlight=False)
    for name in ("request", "response"):
        text = getattr(call, name)
        console.rule(name)
        console.print(text if text is not None else "(pruned or missing)", markup=False, highlight=False)


@calls_group.command("sum")
@click.argument("by", type=click.Choice(SUM_BY), default="round")
@_filter_options
def sum_command(by: SumBy, **options: str) -> None:
    """Sum calls, tokens and cost by round, category, purpose, day, model or state."""
    table = Table(by, "calls", "answered", "prompt", "completion", "lost", "estimated", "USD", "model time, s")
    with _ledger() as ledger:
        for line in sum_calls(ledger, by, _call_filter(ledger, options)):
            table.add_row(
                line.name,
                f"{line.calls:,}",
                f"{line.answered:,}",
                f"{line.prompt_tokens:,}",
                f"{line.completion_tokens:,}",
                f"{line.lost_tokens:,}",
                f"{line.estimated:,}",
                money(usd(line.nanousd)),
                f"{line.latency_s:,.0f}",
            )
    Console().print(table)


@calls_group.command("retry")
@_filter_options
def retry_command(**options: str) -> None:
    """Send refused calls and calls without a text again in the next run.

    What was paid stays in the accounts. Answers with a text are kept. Batches of the open round that have no
    candidates, or that a budget cut short, are generated again.
    """
    settings = loaded_settings()
    with open_ledger(settings) as ledger:
        keys = useless_calls(ledger, _call_filter(ledger, options), Reading(settings.teacher.cleaning_rules))
        ledger.forget(keys)
    store = Store(settings.data_root)
    batches = empty_batches(store, options["category"])
    for round_key, category in batches:
        store.remove("assets", "generated_batches", round_key, category)
    click.echo(f"{len(keys):,} calls will be sent again when they are next needed.")
    for round_key, category in batches:
        click.echo(f"{category} of {round_key} will be generated again.")


@calls_group.command("parameters")
@click.option("--forget", is_flag=True, help="Send these fields again from now on.")
def parameters_command(forget: bool) -> None:
    """List request fields that the teacher's endpoint rejected and that are no longer sent."""
    settings = loaded_settings()
    with open_ledger(settings) as ledger:
        parameters = Parameters(ledger, make_endpoint(settings).identity, settings.teacher.model)
        parameters.recall()
        refused = ", ".join(sorted(parameters.refused)) or "none"
        if forget:
            parameters.forget()
    click.echo(f"{refused}{' (forgotten)' if forget else ''}")


@calls_group.command("prune")
@click.option(
    "--older-than-days", type=click.FloatRange(0), required=True, help="Minimum age of calls whose texts are deleted."
)
@click.confirmation_option(
    prompt="Delete requests and answers of these calls? The accounts stay; sending them again will be paid again."
)
def prune_command(older_than_days: float) -> None:
    """Delete the texts of old requests and answers. The accounts stay."""
    with _ledger() as ledger:
        count = ledger.prune(time.time() - older_than_days * _DAY_S)
    click.echo(f"{count:,} calls pruned.")


def money(amount: float | None) -> str:
    """Format an amount in USD; `unknown` if it is None."""
    return "unknown" if amount is None else f"{amount:.4f}"
