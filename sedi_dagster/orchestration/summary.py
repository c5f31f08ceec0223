"""The summary at the end of `sedi run`: what happened, the results, and the next steps."""

import os
import shutil
import sys
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from sedi_dagster.evaluation.comparison import ALL, compare
from sedi_dagster.evaluation.statistics import passed_by_category, wilson_interval
from sedi_dagster.orchestration.deciding import attention_needed, targets_in_words
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import mean_losses, promoted_checkpoint, starting_checkpoint
from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.numbers import p_equation
from sedi_dagster.settings import SIMULATED, Settings
from sedi_dagster.storage.rounds import table_of


def print_summary(
    console: Console, settings: Settings, sedi: SediResource, first: int, ended: str, seconds: float
) -> None:
    """Print tables of the rounds and scores, then what happened, the results, the output paths, and the next steps.

    Args:
        console: a console with markup turned off.
        first: number of rounds that were finished before this run.
        ended: reason why the loop ended.
        seconds: duration of the run.
    """
    history = sedi.history()
    console.print()
    console.print(f"Ended after {seconds / 60:.1f} min: {ended}.", style="bold")
    if not history.finished:
        return
    ran, last = history.finished[first:] or history.finished[-1:], history.finished[-1]

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, soft_wrap=True)

    console.print(_rounds(ran, sedi))
    console.print(_scores(last, _passed_before(sedi, history.finished, first), sedi))
    for line in targets_in_words(sedi, last.categories):
        say(f"  {line}", "dim")
    for decision in ("weak", "stuck"):
        if names := [outcome.category for outcome in last.categories if outcome.decision == decision]:
            say(f"  {decision}: {', '.join(names)} (see the report for reasons)")
    if message := attention_needed(last.categories):
        say(f"  {message}", "bold")
    for line in recovered(history.finished):
        say(f"  recovered: {line}")
    say("\nWhat happened", "bold")
    for line in steps_with_scores(sedi, ran):
        say(f"  {line}")
    say("Results", "bold")
    for line in results(sedi, settings, ran):
        say(f"  {line}")
    store = sedi.store()
    say("Output", "bold")
    for name, path in {
        "report": store.path("reports", f"{last.round}.html"),
        "dataset": store.path("exports", "sft_dataset.jsonl"),
        "manifest": store.path("manifests", f"{last.round}.json"),
    }.items():
        say(f"  {name:<18}{path}")
    say("Next steps", "bold")
    for aim, how in next_steps(settings):
        say(f"  {aim:<18}{how}")


def _rounds(outcomes: list[RoundOutcome], sedi: SediResource) -> Table:
    table = Table(title="Rounds", title_justify="left")
    names = ("round", "categories", "candidates", "kept", "keep rate", "tokens", "tokens per kept", "score", "promoted")
    for name in names:
        table.add_column(name, justify="left" if name == "round" else "right")
    for o in outcomes:
        planned = len(sedi.plan(o.round).categories)
        per_kept = f"{o.tokens / o.kept:,.0f}" if o.kept else "-"
        counts = (str(planned), str(o.candidates), str(o.kept), f"{o.kept / max(1, o.candidates):.0%}")
        promoted = "yes" if o.promoted else "no"
        table.add_row(o.round, *counts, f"{o.tokens:,}", per_kept, f"{o.score:.1%}", promoted)
    return table


def _passed_before(sedi: SediResource, finished: list[RoundOutcome], first: int) -> dict[str, tuple[int, int]]:
    """(passed, items) by category before this run: after the previous round, or of the starting checkpoint."""
    if first:
        return {o.category: (o.passed, o.items) for o in finished[first - 1].categories}
    return passed_by_category(_items(sedi, starting_checkpoint(sedi)))


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
    """Describe the categories that were weak and have reached their target since."""
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


def steps_with_scores(sedi: SediResource, ran: list[RoundOutcome]) -> list[str]:
    """Describe the steps of a run in order, with the score after each."""
    tables = sedi.store().read_tables("baseline_scores")
    lines = [f"The untrained student: {_passed(tables['items'])}."]
    if "seed_items" in tables:
        rows = len({row for ids in tables["seed_steps"]["example_ids"].to_list() for row in ids})
        lines.append(f"After training on {rows} human seed tasks, without a teacher: {_passed(tables['seed_items'])}.")
    for outcome in ran:
        lines.append(
            f"{outcome.round}: the teacher wrote {outcome.candidates} candidates for {outcome.tokens:,} tokens, "
            f"{outcome.kept} passed the filters. After training on these too: {_passed(_items(sedi, outcome.round))}."
        )
    return lines


def results(sedi: SediResource, settings: Settings, ran: list[RoundOutcome]) -> list[str]:
    """Describe the effect of the seed tasks and of the teacher's examples, each with its significance."""
    tables = sedi.store().read_tables("baseline_scores")
    alpha = settings.evaluation.alpha
    lines = []
    if "seed_items" in tables:
        lines.append(f"Your seed tasks: {_change(tables['items'], tables['seed_items'], alpha)}.")
        lines += _graded(tables["items"], tables["seed_items"])
        losses = mean_losses(tables.get("seed_heldout"))
        if len(losses) > 1:
            lines.append(f"  Loss of held-out seed tasks: {losses[0]:.2f}, now {losses[-1]:.2f}.")
    if ran:
        before = _items(sedi, promoted_checkpoint(sedi, ran[0].round))
        name = SIMULATED if settings.teacher.is_simulated else "teacher"
        lines.append(f"The {name}'s examples, in addition: {_change(before, _items(sedi, ran[-1].round), alpha)}.")
    if settings.teacher.base_url is None:
        lines.append("The bundled teacher is no better than the student, so gains come from the seed tasks.")
    if settings.teacher.is_simulated:
        lines.append("A simulated teacher shows how the loop behaves, not how good real data is.")
    return lines


def next_steps(settings: Settings) -> list[tuple[str, str]]:
    """Return suggestions as (aim, how)."""
    steps = [("next round", command("run --rounds 1", settings)), ("preview it", command("plan", settings))]
    if settings.teacher.base_url is None:
        steps.append(("rehearsal", f"{_program()} run --profile rehearsal --rounds 3   (simulated; costs nothing)"))
    if settings.teacher.base_url is None or settings.teacher.is_simulated:
        steps += [
            ("your own teacher", "set in .env (see README.md):"),
            ("", "SEDI_TEACHER_BASE_URL=http://127.0.0.1:8000/v1"),
            ("", "SEDI_TEACHER_MODEL=the-name-it-serves"),
            ("", "SEDI_TEACHER_API_KEY=..."),
        ]
    return [*steps, ("Dagster UI", command("ui", settings) + "   (http://127.0.0.1:3000)")]


def command(words: str, settings: Settings) -> str:
    """Return a `sedi` command for the same data, with the profile, which may have been set by an option."""
    default = Settings.model_fields["profile"].default
    return f"{_program()} {words}" + (f" --profile {settings.profile}" if settings.profile != default else "")


def _program() -> str:
    """The command that starts this program from the working folder, in case it is not on the path."""
    script = Path(sys.argv[0])
    if script.name != "sedi" or not script.is_file() or shutil.which("sedi"):
        return "sedi"
    return os.path.relpath(script)


def _items(sedi: SediResource, checkpoint: str | None) -> pl.DataFrame:
    return sedi.store().read_table(*table_of(checkpoint, "items"))


def _passed(items: pl.DataFrame) -> str:
    passed = int(items["passed"].sum())
    return f"{passed} of {items.height} evaluation items passed ({passed / max(1, items.height):.0%})"


def _change(before: pl.DataFrame, after: pl.DataFrame, alpha: float) -> str:
    """The change in passed items, such as `+9 items (12 won, 3 lost; p = 0.018), a gain`."""
    row = compare("", before, after).row(0, named=True) if before.height and after.height else None
    if row is None or row["category"] != ALL:
        return "nothing to compare"
    won, lost = row["won"], row["lost"]
    if won == lost == 0:
        return "no answer changed"
    p, verdict = row["p_gain"], "a gain" if row["p_gain"] <= alpha else "could be chance"
    if lost > won:
        p, verdict = row["p_drop"], "a loss" if row["p_drop"] <= alpha else "could be chance"
    return f"{won - lost:+d} items ({won} won, {lost} lost; p {p_equation(p)}), {verdict}"


def _graded(before: pl.DataFrame, after: pl.DataFrame) -> list[str]:
    """The change of the mean score and of the reference loss, which are more sensitive than the few passed items."""
    row = compare("", before, after).row(0, named=True) if before.height and after.height else None
    if row is None:
        return []
    lines = []
    for name, column, measure, sign in (
        ("Score with partial credit", "score", "score", 1),
        ("Loss of the reference answers", "reference_loss", "loss", -1),
    ):
        low, high = row[f"{measure}_low"], row[f"{measure}_high"]
        if low is not None:  # a served student returns no losses
            was, now = (frame.select(pl.mean(column)).item() for frame in (before, after))
            verdict = "a gain" if min(sign * low, sign * high) > 0 else "could be chance"
            verdict = "a loss" if max(sign * low, sign * high) < 0 else verdict
            lines.append(f"  {name}: {was:.2f}, now {now:.2f} (change {low:+.2f} to {high:+.2f}, 95 %), {verdict}.")
    return lines
