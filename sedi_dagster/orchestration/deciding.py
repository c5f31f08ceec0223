"""The outcome of a round: category decisions, comparisons, and promotion of the checkpoint.

Combines the packages evaluation and feedback, which do not import each other.
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
from sedi_dagster.targets import REFERENCE, describe_target, resolve, target_specs
from sedi_dagster.texts.markdown import markdown_table

Evaluate = Callable[[str | None], pl.DataFrame]
"""Maps a checkpoint (None: the untrained student) to its answers and scores; stored results are reused."""

OUTCOME_TYPES: dict[str, Any] = {
    "errors": pl.List(pl.String),
    "reference_loss": pl.Float64,
    "items_to_decide": pl.Int64,
    "gain_p": pl.Float64,
}
"""Types of columns that may contain only nulls or empty lists, from which no type can be inferred."""


@dataclass(frozen=True)
class RoundDecisions:
    """All decisions after a round.

    Attributes:
        before: items of the checkpoint that this one would replace.
        promotion: reason why the checkpoint was promoted or not.
    """

    outcomes: list[CategoryOutcome]
    before: pl.DataFrame
    comparisons: pl.DataFrame
    promoted: bool
    promotion: str


def decide(
    sedi: SediResource, plan: RoundPlan, items: pl.DataFrame, reference: pl.DataFrame | None, evaluate: Evaluate
) -> RoundDecisions:
    """Decide the outcome of each category and whether the checkpoint is promoted.

    Args:
        items: answers and scores of the student after the round.
        reference: answers and scores of the reference model, if there is one.
    """
    settings, history = sedi.settings(), sedi.history()
    parent = promoted_checkpoint(sedi, plan.round)
    before = evaluate(parent)
    losses = held_out_losses(sedi, plan.round, parent)
    alpha = settings.evaluation.alpha
    promoted, promotion = judge_promotion(before, items, alpha, settings.evaluation.max_drop, losses)
    earlier = [outcome for outcome in history.before(plan.round) if is_of_this_student(sedi, outcome.round)]
    baselines = {"untrained": None, "before": parent, "best": _best(earlier)}
    if settings.training.seed_epochs:
        baselines["seed tasks"] = SEED_TASKS
    comparisons = pl.concat([compare(name, evaluate(checkpoint), items) for name, checkpoint in baselines.items()])
    rules = WeaknessRules(alpha, settings.evaluation.min_gap, settings.evaluation.confirm_alpha)
    results = {"untrained": evaluate(None), "best": evaluate(_best(earlier) or starting_checkpoint(sedi))}
    if reference is not None:
        results[REFERENCE] = reference
    targets = resolve(sedi.categories(), {name: passed_by_category(frame) for name, frame in results.items()})
    judged = judge_categories(items, targets, rules, first_half(plan.number), reference)
    status_rules = StatusRules(alpha, settings.loop.cool_down_rounds, settings.loop.stuck_after)
    current = plan.round if promoted else (parent or "")
    outcomes = []
    for outcome in judged:
        previous = earlier[-1].of(outcome.category) if earlier else None
        if previous is not None and previous.decision in ("weak", "stuck"):
            outcome = replace(outcome, gain_p=gain_p_value(evaluate(previous.since or None), items, outcome.category))
        requested = outcome.category in plan.category_ids
        outcomes.append(status_over_rounds(outcome, previous, requested, current, status_rules))
    return RoundDecisions(outcomes, before, comparisons, promoted, promotion)


def held_out_losses(sedi: SediResource, round_key: str, parent: str | None) -> HeldOut | None:
    """Return the held-out loss of the parent checkpoint and of the new one; None if either was not measured.

    If the parent is the untrained student (None), its loss is what this round's training measured before its first
    step.
    """
    store = sedi.store()
    losses = mean_losses(store.find_table(*table_of(round_key, "heldout")))
    before = losses[:1] if parent is None else mean_losses(store.find_table(*table_of(parent, "heldout")))
    return HeldOut(before[-1], losses[-1]) if losses and before else None


def _best(earlier: list[RoundOutcome]) -> str | None:
    """The promoted round with the best overall score; None if no round was promoted."""
    promoted = [outcome for outcome in earlier if outcome.promoted]
    return max(promoted, key=lambda o: o.score).round if promoted else None


def outcome_table(outcomes: list[CategoryOutcome]) -> pl.DataFrame:
    """Return outcomes as a table, whose rows `CategoryOutcome.from_json` can read."""
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
    """Summarise a round for the planner: its score, and candidates, kept examples and tokens by category.

    Args:
        categories: an `outcome_table`.
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
    """Return outcomes as a Markdown table for the Dagster UI."""
    return markdown_table(
        ("category", "passed", "95 % interval (Wilson)", "decision"),
        [
            (o.category, f"{o.passed}/{o.items}", f"{o.low:.2f} to {o.high:.2f}", f"{o.decision}: {o.reason}")
            for o in outcomes
        ],
    )


def attention_needed(outcomes: Sequence[CategoryOutcome]) -> str:
    """Return the message about stuck categories; empty if there are none."""
    stuck = [outcome.category for outcome in outcomes if outcome.decision == "stuck"]
    if not stuck:
        return ""
    pronoun = "them" if len(stuck) > 1 else "it"
    return (
        f"Stuck: {', '.join(stuck)}. No more tokens are spent on {pronoun} until you name {pronoun} explicitly "
        "(`sedi run --categories`). A better teacher, other seed tasks or another target may help."
    )


def targets_in_words(sedi: SediResource, outcomes: Sequence[CategoryOutcome]) -> list[str]:
    """Describe the targets, one line per kind of target with its categories and, after a round, their pass rates."""
    rates = {outcome.category: f" {outcome.target:.0%}" for outcome in outcomes}
    by_target: dict[str, list[str]] = {}
    for name, target in target_specs(sedi.categories(), bool(sedi.settings().evaluation.reference)).items():
        by_target.setdefault(describe_target(target), []).append(f"{name}{rates.get(name, '')}")
    return [f"Target {target}: {', '.join(names)}." for target, names in by_target.items()]
