"""The summary at the end of `sedi run`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sedi_dagster.evaluation.statistics import passed_by_category, wilson_interval
from sedi_dagster.orchestration.deciding import person_needed, targets_in_words
from sedi_dagster.orchestration.findings import what_happened, what_it_shows, what_next
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import starting_checkpoint
from sedi_dagster.records import RoundOutcome
from sedi_dagster.settings import Settings


def print_summary(
    console: Console, settings: Settings, sedi: SediResource, first: int, ended: str, seconds: float
) -> None:
    """Rounds, cost, score by category; then in words what happened, what it shows, where everything is, what next.

    Args:
        first: how many rounds were finished before this run.
        ended: why the loop ended.
    """
    history = sedi.history()
    console.print()
    console.print(f"Ended after {seconds / 60:.1f} min: {ended}.", style="bold", highlight=False)
    if not history.finished:
        return
    ran, last = history.finished[first:] or history.finished[-1:], history.finished[-1]

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    console.print(_rounds(ran, sedi))
    console.print(_scores(last, _passed_before(sedi, history.finished, first), sedi))
    for line in targets_in_words(sedi, last.categories):
        say(f"  {line}", "dim")
    for decision in ("weak", "stuck"):
        if names := [outcome.category for outcome in last.categories if outcome.decision == decision]:
            say(f"  {decision}: {', '.join(names)} (see the report for reasons)")
    needed = person_needed(list(last.categories))
    if needed:
        say(f"  {needed}", "bold")
    for line in recovered(history.finished):
        say(f"  recovered: {line}")
    say("\nWhat happened", "bold")
    for line in what_happened(sedi, ran):
        say(f"  {line}")
    say("Results", "bold")
    for line in what_it_shows(sedi, settings, ran):
        say(f"  {line}")
    store = sedi.store()
    say("Output", "bold")
    for name, place in {
        "report": store.path("reports", f"{last.round}.html"),
        "dataset": store.path("exports", "sft_dataset.jsonl"),
        "manifest": store.path("manifests", f"{last.round}.json"),
    }.items():
        say(f"  {name:<18}{place}")
    say("Next steps", "bold")
    for aim, how in what_next(settings):
        say(f"  {aim:<18}{how}")


def _rounds(outcomes: list[RoundOutcome], sedi: SediResource) -> Table:
    table = Table(title="Rounds", title_justify="left")
    for name in (
        "round",
        "categories",
        "candidates",
        "kept",
        "keep rate",
        "tokens",
        "tokens per kept",
        "score",
        "promoted",
    ):
        table.add_column(name, justify="left" if name == "round" else "right")
    for o in outcomes:
        planned = len(sedi.plan(o.round).categories)
        per_kept = f"{o.tokens / o.kept:,.0f}" if o.kept else "-"
        promoted = "yes" if o.promoted else "no"
        rate = f"{o.kept / max(1, o.candidates):.0%}"
        counts = (str(planned), str(o.candidates), str(o.kept), rate)
        table.add_row(o.round, *counts, f"{o.tokens:,}", per_kept, f"{o.score:.1%}", promoted)
    return table


def _passed_before(sedi: SediResource, finished: list[RoundOutcome], first: int) -> dict[str, tuple[int, int]]:
    """(passed, items) by category before this run: of the round before it, or of what the first one built on."""
    if first:
        return {o.category: (o.passed, o.items) for o in finished[first - 1].categories}
    items = sedi.store().read_table("seed_items" if starting_checkpoint(sedi) else "items", "baseline_scores")
    return passed_by_category(items)


def _scores(last: RoundOutcome, before: dict[str, tuple[int, int]], sedi: SediResource) -> Table:
    table = Table(title="Score by category: passed/items, rate (95 % Wilson interval)", title_justify="left")
    for name in ("category", "before", "after", "target", "decision"):
        table.add_column(name, justify="left" if name in ("category", "decision") else "right")
    for o in last.categories:
        was, now = _interval(*before.get(o.category, (0, 0))), _interval(o.passed, o.items)
        table.add_row(o.category, was, now, f"{o.target:.0%}", o.decision)
    k, n = (sum(x) for x in zip(*before.values(), strict=True)) if before else (0, 0)
    passed, items = sum(o.passed for o in last.categories), sum(o.items for o in last.categories)
    table.add_section()
    table.add_row("all", _interval(k, n), _interval(passed, items), "", "")
    return table


def recovered(finished: list[RoundOutcome]) -> list[str]:
    """Categories that were weak and have reached their target, with the last round after which they were weak."""
    weak_after = {o.category: outcome.round for outcome in finished for o in outcome.categories if o.decision == "weak"}
    return [
        f"{o.category}: weak after {weak_after[o.category]}, now {o.passed} of {o.items} ({o.decision})"
        for o in finished[-1].categories
        if o.gap <= 0 and o.category in weak_after
    ]


def _interval(passed: int, items: int) -> str:
    if not items:
        return "-"
    low, high = wilson_interval(passed, items)
    return f"{passed}/{items} {passed / items:.0%} ({100 * low:.0f}-{100 * high:.0f})"
