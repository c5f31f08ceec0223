"""The outcome of a round: category decisions, comparisons, and promotion of the checkpoint.

Combines evaluation and feedback, which are both pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from sedi_dagster.evaluation.comparison import HeldOut, compare, gain_p_value, judge_promotion
from sedi_dagster.evaluation.items import first_half
from sedi_dagster.evaluation.statistics import pass_rate, passed_by_category
from sedi_dagster.evaluation.weakness import WeaknessRules, judge_categories
from sedi_dagster.feedback.category_status import StatusRules, status_over_rounds
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import (
    is_of_this_student,
    mean_losses,
    promoted_checkpoint,
    starting_checkpoint,
)
from sedi_dagster.records import CategoryOutcome, RoundOutcome, RoundPlan
from sedi_dagster.storage.rounds import SEED_TASKS, table_of
from sedi_dagster.targets import REFERENCE, asked_targets, in_words, resolve
from sedi_dagster.texts.markdown import markdown_table

Evaluate = Callable[[str | None], pl.DataFrame]
"""Items as the student after a round answers them, or as the untrained one does (None). Costs nothing if known."""

OUTCOME_TYPES: dict[str, Any] = {
    "errors": pl.List(pl.String),
    "reference_loss": pl.Float64,
    "items_to_decide": pl.Int64,
    "gain_p": pl.Float64,
}
"""Columns of a table of outcomes whose type may not show in its rows."""


@dataclass(frozen=True)
class Decided:
    """`before`: the items of the checkpoint that this one would replace."""

    outcomes: list[CategoryOutcome]
    before: pl.DataFrame
    comparisons: pl.DataFrame
    promoted: bool
    promotion: str


def decide(
    sedi: SediResource, plan: RoundPlan, items: pl.DataFrame, reference: pl.DataFrame | None, evaluate: Evaluate
) -> Decided:
    """All decisions after a round.

    Args:
        items: as the student answers them after the round.
        reference: as the reference model answers them, if there is one.
    """
    settings, history = sedi.settings(), sedi.history()
    parent = promoted_checkpoint(sedi, plan.round)
    before = evaluate(parent)
    rules_of_promotion = (settings.evaluation.alpha, settings.evaluation.max_drop)
    promoted, promotion = judge_promotion(before, items, *rules_of_promotion, held_out_losses(sedi, plan.round, parent))
    earlier = [outcome for outcome in history.before(plan.round) if is_of_this_student(sedi, outcome.round)]
    against = {"untrained": None, "before": parent, "best": _best(earlier)}
    if settings.training.seed_epochs:
        against["seed tasks"] = SEED_TASKS
    comparisons = pl.concat([compare(name, evaluate(checkpoint), items) for name, checkpoint in against.items()])
    rules = WeaknessRules(settings.evaluation.alpha, settings.evaluation.min_gap, settings.evaluation.confirm_alpha)
    known = {"untrained": evaluate(None), "best": evaluate(_best(earlier) or starting_checkpoint(sedi))}
    if reference is not None:
        known[REFERENCE] = reference
    targets = resolve(sedi.categories(), {name: passed_by_category(frame) for name, frame in known.items()})
    judged = judge_categories(items, targets, rules, first_half(plan.number), reference)
    status_rules = StatusRules(settings.evaluation.alpha, settings.loop.cool_down_rounds, settings.loop.stuck_after)
    last = earlier[-1] if earlier else None
    stands_now = plan.round if promoted else (parent or "")
    outcomes = []
    for outcome in judged:
        seen = last.of(outcome.category) if last else None
        if seen is not None and seen.decision in ("weak", "stuck"):
            outcome = replace(outcome, gain_p=gain_p_value(evaluate(seen.since or None), items, outcome.category))
        asked_for = outcome.category in plan.category_ids
        outcomes.append(status_over_rounds(outcome, seen, asked_for, stands_now, status_rules))
    return Decided(outcomes, before, comparisons, promoted, promotion)


def held_out_losses(sedi: SediResource, round_key: str, parent: str | None) -> HeldOut | None:
    """The held-out loss of the checkpoint that would be replaced, and of the new one; None if none was measured.

    Before any checkpoint there is the untrained student: what this round's training measured before its first step.
    """
    store = sedi.store()
    own = mean_losses(store.find_table(*table_of(round_key, "heldout")))
    earlier = own[:1] if parent is None else mean_losses(store.find_table(*table_of(parent, "heldout")))
    return HeldOut(earlier[-1], own[-1]) if own and earlier else None


def _best(earlier: list[RoundOutcome]) -> str | None:
    """The promoted round with the best overall score so far; None: there is none but the untrained student."""
    promoted = [outcome for outcome in earlier if outcome.promoted]
    return max(promoted, key=lambda o: o.score).round if promoted else None


def outcome_table(outcomes: list[CategoryOutcome]) -> pl.DataFrame:
    """Outcomes as a table; `CategoryOutcome.from_json` reads its rows back."""
    rows = [{**vars(outcome), "errors": list(outcome.errors)} for outcome in outcomes]
    return pl.DataFrame(rows, schema_overrides=OUTCOME_TYPES)


def round_outcome(
    plan: RoundPlan,
    verdicts: pl.DataFrame,
    calls: pl.DataFrame,
    items: pl.DataFrame,
    categories: pl.DataFrame,
    promoted: bool,
) -> RoundOutcome:
    """What the planner will know of the round: scores, and by category what was asked for, kept and spent.

    Args:
        categories: as `outcome_table` wrote it.
    """
    calls = calls.with_columns(tokens=pl.col("prompt_tokens") + pl.col("completion_tokens"))
    candidates = dict(verdicts.group_by("category").len().iter_rows())
    kept = dict(verdicts.filter(pl.col("state") == "kept").group_by("category").len().iter_rows())
    tokens = dict(calls.group_by("category").agg(pl.col("tokens").sum()).iter_rows())
    costs = calls["cost_usd"]
    return RoundOutcome(
        round=plan.round,
        kept=sum(kept.values()),
        candidates=verdicts.height,
        tokens=int(calls["tokens"].sum()),
        score=pass_rate(items),
        promoted=promoted,
        categories=tuple(
            replace(
                CategoryOutcome.from_json(row),
                candidates=candidates.get(row["category"], 0),
                kept=kept.get(row["category"], 0),
                tokens=int(tokens.get(row["category"], 0)),
            )
            for row in categories.iter_rows(named=True)
        ),
        cost_usd=None if costs.null_count() else float(costs.sum()),
    )


def outcome_lines(outcomes: list[CategoryOutcome]) -> str:
    """Outcomes as a Markdown table for the Dagster UI."""
    return markdown_table(
        ("category", "passed", "95 % interval (Wilson)", "decision"),
        [
            (o.category, f"{o.passed}/{o.items}", f"{o.low:.2f} to {o.high:.2f}", f"{o.decision}: {o.reason}")
            for o in outcomes
        ],
    )


def attention_needed(outcomes: Sequence[CategoryOutcome]) -> str:
    """The message about categories that are given up; empty if there are none."""
    stuck = [outcome for outcome in outcomes if outcome.decision == "stuck"]
    if not stuck:
        return ""
    return (
        f"Stuck: {', '.join(o.category for o in stuck)}. No more tokens are spent on "
        f"{'them' if len(stuck) > 1 else 'it'} until you name {'them' if len(stuck) > 1 else 'it'} explicitly "
        "(`sedi run --categories`). A better teacher, other seed tasks or another target may help."
    )


def targets_in_words(sedi: SediResource, outcomes: Sequence[CategoryOutcome]) -> list[str]:
    """What the categories are to reach, those asked alike together, with the rates that hold after a round."""
    rates = {outcome.category: f" {outcome.target:.0%}" for outcome in outcomes}
    by_target: dict[str, list[str]] = {}
    for name, asked in asked_targets(sedi.categories(), bool(sedi.settings().evaluation.reference)).items():
        by_target.setdefault(in_words(asked), []).append(f"{name}{rates.get(name, '')}")
    return [f"Target {target}: {', '.join(names)}." for target, names in by_target.items()]
