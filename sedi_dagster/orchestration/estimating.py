"""`sedi plan` and `sedi estimate`: the planner's decision on the next round, and its cost by generation method."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from sedi_dagster.categories import load_categories
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.generation.methods import METHODS, check_mix
from sedi_dagster.orchestration.deciding import attention_needed
from sedi_dagster.orchestration.planning import BY_SEDI_RUN, next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.summary import command
from sedi_dagster.records import CallShape, RoundPlan
from sedi_dagster.settings import Settings
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.budget import Budget, known_price, today
from sedi_dagster.teacher.calls import mean_calls
from sedi_dagster.teacher.commands import loaded_settings, money
from sedi_dagster.teacher.estimate import Allowance, Estimate, allowance, estimate_calls
from sedi_dagster.teacher.open import make_endpoint, open_ledger


@click.command("estimate")
@click.option("--candidates", type=click.IntRange(1), help="Total number of candidates. Default: by the settings.")
@click.option("--categories", type=click.IntRange(1), help="Number of categories in the round. Default: all.")
def estimate_command(candidates: int | None, categories: int | None) -> None:
    """Estimate calls, tokens, cost and time of a round. `sedi plan` does so for the next one."""
    settings = loaded_settings()
    if candidates is None:
        number = categories or len(load_categories(settings.path(settings.categories)))
        candidates = number * settings.generation.candidates_per_category
    print_estimate(settings, candidates)


def estimate_round(settings: Settings, candidates: int) -> dict[str, Estimate]:
    """Estimate the cost of each method of the mix for its share of the candidates.

    Raises:
        SettingsError: the mix of methods is invalid.
    """
    mix = settings.generation.methods
    check_mix(mix)
    price = known_price(settings)
    with open_ledger(settings) as ledger:
        means = mean_calls(ledger, make_endpoint(settings).identity, settings.teacher.model)
    counts = _counts_by_method(Store(settings.data_root), settings.teacher.model)
    return {
        name: estimate_calls(
            candidates * share,
            _observed(METHODS[name].call_shapes(settings.generation, settings.teacher.asks_in_chat), counts.get(name)),
            price,
            settings.teacher.max_concurrency,
            means,
        )
        for name, share in mix.items()
    }


def _counts_by_method(store: Store, teacher: str) -> dict[str, tuple[int, Counter[str]]]:
    """By method, the teacher's well-formed candidates of all rounds, and the calls for them by purpose."""
    counts: dict[str, tuple[int, Counter[str]]] = {}
    for plan in load_history(store).plans:
        for category in plan.category_ids:
            if store.tables_marker("generated_batches", plan.round, category) is None:
                continue
            tables = store.read_tables("generated_batches", plan.round, category)
            for (method,), rows in tables["candidates"].filter(pl.col("teacher") == teacher).group_by("method"):
                well_formed, calls = counts.setdefault(str(method), (0, Counter()))
                keys = [rows["instruction_key"], rows["answer_key"], rows["further_keys"].explode()]
                made_by = pl.concat([k.alias("key") for k in keys]).unique().implode()
                calls.update(tables["calls"].filter(pl.col("request_key").is_in(made_by))["purpose"])
                counts[str(method)] = (well_formed + int(rows["problem"].is_null().sum()), calls)
    return counts


def _observed(shapes: Sequence[CallShape], counts: tuple[int, Counter[str]] | None) -> list[CallShape]:
    """The shapes with the observed number of calls per candidate, if there are candidates so far."""
    if counts is None or not counts[0]:
        return list(shapes)
    candidates, calls = counts
    return [replace(shape, per_candidate=calls[shape.purpose] / candidates) for shape in shapes]


def print_estimate(settings: Settings, candidates: int) -> None:
    """Print the estimated calls, tokens, cost and time of generating `candidates` candidates, by method."""
    estimates = estimate_round(settings, candidates)
    measured = any(estimate.measured for estimate in estimates.values())
    basis = "earlier calls of this teacher" if measured else "the settings' limits (no calls so far)"
    table = Table(title=f"{candidates:,} candidates, from {basis}")
    for column in ("method", "calls", "tokens", "worst case", "USD", "worst case", "minutes"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, estimate in estimates.items():
        table.add_row(name, *_cells([estimate]))
    if len(estimates) > 1:
        table.add_section()
        table.add_row("all", *_cells(list(estimates.values())))
    console = Console()
    console.print(table)
    console.print(_bound(round_allowance(settings)))


def round_allowance(settings: Settings) -> Allowance:
    """Return what the budget caps leave for the next round, the upper bound of its cost."""
    caps = Budget.from_settings(settings).caps("next", today())
    with open_ledger(settings) as ledger:
        return allowance(caps, ledger.account)


def _bound(left: Allowance) -> str:
    if not left.settings:
        return (
            "Worst case: every call uses its token limit. No cap is set, so a round may cost even more if answers "
            "are unusable and calls are repeated. Set SEDI_LOOP_MAX_TOKENS_PER_ROUND to limit it."
        )
    limits = [f"{left.tokens:,} tokens"] if left.tokens is not None else []
    limits += [f"{left.usd:.4f} USD"] if left.usd is not None else []
    return f"Upper bound: {' and '.join(limits)}, set by {', '.join(left.settings)}."


def _cells(estimates: list[Estimate]) -> list[str]:
    return [
        f"{sum(e.calls for e in estimates):,}",
        f"{sum(e.tokens for e in estimates):,}",
        f"{sum(e.most_tokens for e in estimates):,}",
        money(_sum([e.usd for e in estimates])),
        money(_sum([e.most_usd for e in estimates])),
        f"{sum(e.seconds for e in estimates) / 60:.1f}",
    ]


def _sum(amounts: list[float | None]) -> float | None:
    return None if None in amounts else sum(filter(None, amounts))


def print_next_plan(settings: Settings, categories: Sequence[str] | None, candidates_per_category: int | None) -> None:
    """Print the plan that a sensor, the schedule, the job `open_round` or `sedi run` would get now, and its cost.

    Raises:
        SediError: an unknown category was named, or a file cannot be read.
    """
    sedi, console = SediResource(), Console(highlight=False, markup=False)
    decided = next_plan(sedi, BY_SEDI_RUN, categories, candidates_per_category)
    history = sedi.history()
    finished = history.finished
    if isinstance(decided, Stop):
        console.print(f"No round would be opened: {decided.reason}.", soft_wrap=True)
        if history.open_round is not None:
            console.print("`sedi status` shows what it is waiting for; `sedi run --rounds 1` finishes it.")
        if finished and (message := attention_needed(finished[-1].categories)):
            console.print(message, style="bold", soft_wrap=True)
        return
    console.print(_plan_table(decided))
    for reason in _reasons(decided):
        console.print(f"  {reason}", soft_wrap=True)
    if decided.max_tokens is not None:
        console.print(f"At most {decided.max_tokens:,} teacher tokens, limited by the budget.")
    print_estimate(settings, sum(c.candidates for c in decided.categories))
    console.print(f"This is a preview. `{command('run --rounds 1', settings)}` runs it.")


def _plan_table(plan: RoundPlan) -> Table:
    table = Table(title=f"Plan of {plan.round}", title_justify="left")
    for name in ("category", "to keep", "candidates", "difficulty", "errors seen"):
        table.add_column(name, justify="right" if name in ("to keep", "candidates") else "left", no_wrap=True)
    for c in plan.categories:
        to_keep = "-" if c.wanted is None else str(c.wanted)
        table.add_row(c.category, to_keep, str(c.candidates), c.difficulty or "any", ", ".join(c.errors[:2]))
    return table


def _reasons(plan: RoundPlan) -> list[str]:
    """The reasons, each with the categories that it applies to."""
    by_reason: dict[str, list[str]] = {}
    for c in plan.categories:
        by_reason.setdefault(c.reason, []).append(c.category)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
