"""The report of a round, and the index of all rounds.

A page is one HTML file that needs nothing else: styles and plots are inside, there is no script and no
address to fetch from. Reports are named after their round (`round-0001.html`); `index.html` lies beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl
from markupsafe import Markup

from sedi_dagster.evaluation.comparison import shared_items, swaps
from sedi_dagster.records import RoundOutcome, RoundPlan
from sedi_dagster.reporting import costs, figures, learning
from sedi_dagster.reporting.canvas import to_png, to_svg
from sedi_dagster.reporting.costs import Background, Spending
from sedi_dagster.reporting.funnel import funnel
from sedi_dagster.reporting.numbers import Rate, pass_rate, percent
from sedi_dagster.reporting.page import fill
from sedi_dagster.reporting.scores import (
    CategoryScore,
    Conclusion,
    beyond_seed_tasks,
    category_scores,
    forgotten,
    measures,
    round_conclusion,
    same_answers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RoundData:
    """All that is known of a finished round. The frames are the assets' tables (`orchestration.columns`).

    Attributes:
        promotion: words why the checkpoint was or was not promoted.
        items_before: of the checkpoint that the round started from.
        items_baseline: of the untrained student.
        earlier: outcomes of the earlier rounds, in order.
        teacher: its name, such as `smollm2-135m-instruct (bundled)`.
        simulated: the teacher is simulated; the page says so at the top.
        items_seed_tasks: of the student trained on the human seed tasks alone; empty if there is none.
    """

    plan: RoundPlan
    outcome: RoundOutcome
    promotion: str
    candidates: pl.DataFrame
    calls: pl.DataFrame
    verdicts: pl.DataFrame
    examples: pl.DataFrame
    batches: pl.DataFrame
    diversity: pl.DataFrame
    steps: pl.DataFrame
    seeds: pl.DataFrame
    changes: pl.DataFrame
    items: pl.DataFrame
    items_before: pl.DataFrame
    items_baseline: pl.DataFrame
    earlier: tuple[RoundOutcome, ...]
    teacher: str
    student: str
    simulated: bool
    items_seed_tasks: pl.DataFrame = field(default_factory=pl.DataFrame)
    comparisons: pl.DataFrame = field(default_factory=pl.DataFrame)
    considered: pl.DataFrame = field(default_factory=pl.DataFrame)
    heldout: pl.DataFrame = field(default_factory=pl.DataFrame)
    background: Background = field(default_factory=Background)


def render_report(data: RoundData) -> str:
    """The report of a round as one HTML page."""
    return fill(
        "report.html.j2",
        simulated=data.simulated,
        data=data,
        plan=data.plan,
        outcome=data.outcome,
        background=data.background,
        settings=json.dumps(data.background.settings, indent=2, ensure_ascii=False),
        **_generation_view(data),
        **_score_view(data),
        **_learning_view(data),
        **_account_view(data),
    )


def render_index(
    outcomes: Sequence[RoundOutcome],
    plans: Sequence[RoundPlan],
    starts: Mapping[str, Rate] | None = None,
    spending: Spending | None = None,
    next_step: str = "",
    bought: Conclusion | None = None,
    simulated: bool = False,
) -> str:
    """The index of all rounds, planned and finished, as one HTML page beside the reports.

    Args:
        outcomes, plans: in order.
        starts: pass rates of what the loop began with (`starts`).
        spending: of all rounds.
        next_step: one sentence.
        bought: what the teacher's tokens added to the human seed tasks, as of the last round.
    """
    rows = costs.history(outcomes)
    decisions = {outcome.round: {c.category: c for c in outcome.categories} for outcome in outcomes}
    return fill(
        "index.html.j2",
        simulated=simulated,
        plans=plans,
        starts=starts or {},
        spending=spending,
        next_step=next_step,
        bought=bought,
        finished={row.outcome.round: row for row in rows},
        rows=rows,
        best=max(rows, key=lambda row: row.outcome.score, default=None),
        categories=sorted({category for decided in decisions.values() for category in decided}),
        decisions=decisions,
        history_plots=_history_plots(rows, starts or {}),
    )


def starts(data: RoundData) -> dict[str, Rate]:
    """Pass rates of what the loop began with, by name, as far as they were measured."""
    rates = {"untrained": pass_rate(data.items_baseline), "seed tasks alone": pass_rate(data.items_seed_tasks)}
    return {name: rate for name, rate in rates.items() if rate is not None}


def bought(data: RoundData) -> Conclusion | None:
    """What the teacher's tokens of all rounds so far added to the human seed tasks; None: not measured."""
    tokens = sum(outcome.tokens for outcome in (*data.earlier, data.outcome))
    seed_tasks, after = pass_rate(data.items_seed_tasks), pass_rate(data.items)
    return beyond_seed_tasks(seed_tasks, after, tokens, data.comparisons, data.background.alpha)


def plot_scores(data: RoundData) -> bytes:
    """Pass rates by category against the target, as PNG."""
    return to_png(figures.score_figure(_scores(data)))


def plot_training(steps: pl.DataFrame) -> bytes:
    """Loss and gradient norm by step, as PNG."""
    return to_png(figures.training_figure(steps))


def _scores(data: RoundData) -> list[CategoryScore]:
    return category_scores(data.outcome.categories, data.items_before, data.items_baseline, data.items_seed_tasks)


def _generation_view(data: RoundData) -> dict[str, Any]:
    planned = {category.category: category.candidates for category in data.plan.categories}
    counted = funnel(planned, data.candidates, data.verdicts)
    return {
        "funnel": counted,
        "legend": figures.funnel_legend(counted),
        "funnel_plot": _plot(figures.funnel_figure(counted), "Candidates by category and what became of them"),
        "best_examples": best_examples(data.examples, data.considered),
        "kept_examples": _kept_examples(data.examples, data.plan.category_ids),
    }


def _score_view(data: RoundData) -> dict[str, Any]:
    scores = _scores(data)
    won, lost = swaps(shared_items(data.items_before, data.items))
    before, after = pass_rate(data.items_before), pass_rate(data.items)
    points = {"Untrained": data.items_baseline}
    points |= {} if data.items_seed_tasks.is_empty() else {"Seed tasks alone": data.items_seed_tasks}
    points |= {"Before": data.items_before, "After": data.items}
    return {
        "bought": bought(data),
        "conclusion": round_conclusion(before, after, data.comparisons, data.background.alpha),
        "forgotten": forgotten(data.comparisons),
        "scores": scores,
        "score_plot": _plot(figures.score_figure(scores), "Pass rates by category against their targets"),
        "points": list(points),
        "measures": measures(list(points.values())),
        "rate_seed_tasks": pass_rate(data.items_seed_tasks),
        "rate_before": before,
        "rate_after": after,
        "won": won,
        "lost": lost,
        "started_untrained": same_answers(data.items_before, data.items_baseline),
        "answers": _answers(data.items),
    }


def _learning_view(data: RoundData) -> dict[str, Any]:
    return {
        "training": learning.training_figures(data.steps),
        "loss_plot": _plot(figures.loss_figure(data.steps), "Training loss by optimizer step"),
        "norm_plot": _plot(figures.norm_figure(data.steps), "Gradient norm by optimizer step"),
        "batches": learning.batch_figures(data.batches, data.steps, data.diversity),
        "heldout": learning.heldout_losses(data.heldout),
        "set_measures": learning.set_measures(data.diversity),
        "seed_rows": learning.seed_rows(data.seeds, data.changes),
    }


def _account_view(data: RoundData) -> dict[str, Any]:
    rows = costs.history([*data.earlier, data.outcome])
    begun = starts(data)
    return {
        "cost_rows": costs.cost_by_purpose(data.calls),
        "cost_categories": costs.cost_by_category(data.calls, data.examples),
        "cost_total": costs.total_cost(data.calls, data.examples.height),
        "history": rows,
        "starts": begun,
        "history_plots": _history_plots(rows, begun),
    }


def _history_plots(rows: Sequence[costs.HistoryRow], starts: Mapping[str, Rate]) -> list[Markup]:
    """No plots of a single round: a line needs two points, and the figures stand in the table."""
    if len(rows) < 2:
        return []
    values = ", ".join(f"round {row.outcome.round[-4:].lstrip('0')} {percent(row.outcome.score)}" for row in rows)
    return [
        _plot(figures.score_history_figure(rows, starts), f"Overall pass rate by round: {values}"),
        _plot(figures.kept_history_figure(rows), "Candidates and kept examples by round"),
        _plot(figures.token_history_figure(rows), "Teacher tokens per kept example by round"),
    ]


def _plot(figure: Figure, label: str) -> Markup:
    """A plot as markup, with a label for who cannot see it. matplotlib escapes the names it writes into an SVG."""
    return Markup(to_svg(figure, label))


def _kept_examples(examples: pl.DataFrame, categories: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Up to two kept examples a category, in the order of `categories`; by id: effectively random, but reproducible."""
    names = dict.fromkeys([*categories, *examples["category"].to_list()])
    chosen = [
        (name, examples.filter(pl.col("category") == name).sort("example_id").head(2).to_dicts()) for name in names
    ]
    return [(name, rows) for name, rows in chosen if rows]


def best_examples(examples: pl.DataFrame, considered: pl.DataFrame) -> list[dict[str, Any]]:
    """The four kept examples with the highest training signal that became seeds, with `why`."""
    if considered.is_empty():
        return []
    chosen = considered.filter(pl.col("refused").is_null()).sort("signal", descending=True, nulls_last=True)
    joined = chosen.select("example_id", "signal", "why").join(examples, on="example_id", maintain_order="left")
    return joined.head(4).to_dicts()


def _answers(items: pl.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """A right and a wrong answer of the trained student for each category, where there is one."""
    chosen = items.sort("item_id").group_by("category", "passed", maintain_order=True).head(1)
    chosen = chosen.sort("category", "passed", descending=[False, True])
    return [(str(name), rows.to_dicts()) for (name,), rows in chosen.group_by("category", maintain_order=True)]
