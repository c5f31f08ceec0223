"""The summary of a run for a new user: what happened, the results, and the next steps."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import polars as pl

from sedi_dagster.evaluation.comparison import ALL, compare
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import promoted_checkpoint, starting_checkpoint
from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.numbers import p_equation
from sedi_dagster.settings import SIMULATED, Settings


def what_happened(sedi: SediResource, ran: list[RoundOutcome]) -> list[str]:
    """The steps of a run in their order, with the score after each."""
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


def what_it_shows(sedi: SediResource, settings: Settings, ran: list[RoundOutcome]) -> list[str]:
    """What the seed tasks gave, and what the teacher's examples added, each with its test."""
    tables = sedi.store().read_tables("baseline_scores")
    alpha = settings.evaluation.alpha
    lines = []
    if "seed_items" in tables:
        lines.append(f"Your seed tasks: {_change(tables['items'], tables['seed_items'], alpha)}.")
        lines += _graded(tables["items"], tables["seed_items"])
        lines += _held_out(tables.get("seed_heldout"))
    if ran:
        start = promoted_checkpoint(sedi, ran[0].round)
        before = tables["items"]
        if start is not None:
            before = tables["seed_items"] if start == starting_checkpoint(sedi) else _items(sedi, start)
        name = SIMULATED if settings.teacher.is_simulated else "teacher"
        lines.append(f"The {name}'s examples, in addition: {_change(before, _items(sedi, ran[-1].round), alpha)}.")
    if settings.teacher.base_url is None:
        lines.append("The bundled teacher is no better than the student, so gains come from the seed tasks.")
    if settings.teacher.is_simulated:
        lines.append("A simulated teacher shows how the loop behaves, not how good real data is.")
    return lines


def what_next(settings: Settings) -> list[tuple[str, str]]:
    """What to do now, as (aim, how)."""
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
    """A command for the data that this one worked on: with the profile, which may have been an option of it."""
    default = Settings.model_fields["profile"].default
    return f"{_program()} {words}" + (f" --profile {settings.profile}" if settings.profile != default else "")


def _program() -> str:
    """How this program is called from where it was called: it need not be on the path."""
    script = Path(sys.argv[0])
    if script.name != "sedi" or not script.is_file() or shutil.which("sedi"):
        return "sedi"
    return os.path.relpath(script)


def _items(sedi: SediResource, round_key: str) -> pl.DataFrame:
    return sedi.store().read_table("items", "evaluation_scores", round_key)


def _passed(items: pl.DataFrame) -> str:
    passed = int(items["passed"].sum())
    return f"{passed} of {items.height} evaluation items passed ({passed / max(1, items.height):.0%})"


def _change(before: pl.DataFrame, after: pl.DataFrame, alpha: float) -> str:
    """`+9 items (12 won, 3 lost; p = 0.018), a gain`."""
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
    """The mean score with partial credit, and how likely the right answers are: they say more than so few passes."""
    row = compare("", before, after).row(0, named=True) if before.height and after.height else None
    if row is None:
        return []
    lines = []
    for what, column, measure, good in (
        ("Score with partial credit", "score", "score", 1),
        ("Loss of the reference answers", "reference_loss", "loss", -1),
    ):
        low, high = row[f"{measure}_low"], row[f"{measure}_high"]
        if low is not None:  # a served student tells no losses
            was, now = (frame.select(pl.mean(column)).item() for frame in (before, after))
            verdict = "a gain" if min(good * low, good * high) > 0 else "could be chance"
            verdict = "a loss" if max(good * low, good * high) < 0 else verdict
            lines.append(f"  {what}: {was:.2f}, now {now:.2f} (change {low:+.2f} to {high:+.2f}, 95 %), {verdict}.")
    return lines


def _held_out(losses: pl.DataFrame | None) -> list[str]:
    """The loss of seed tasks that were never trained on, before and after."""
    if losses is None or losses["step"].n_unique() < 2:
        return []
    by_step = losses.group_by("step").agg(pl.mean("loss")).sort("step")["loss"]
    return [f"  Loss of held-out seed tasks: {by_step[0]:.2f}, now {by_step[-1]:.2f}."]
