"""The report of a round, and the index of all rounds.

Pages are self-contained HTML files: they include styles and plots, and no scripts. Reports are named after their round
(`round-0001.html`), with `index.html` next to them.
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
from sedi_dagster.reporting.costs import ReportFacts, Spending
from sedi_dagster.reporting.funnel import funnel
from sedi_dagster.reporting.numbers import Rate, pass_rate, percent
from sedi_dagster.reporting.page import render_page
from sedi_dagster.reporting.scores import (
    CategoryScore,
    Conclusion,
    category_scores,
    forgotten,
    gain_over_seed_tasks,
    measures,
    round_conclusion,
    same_answers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RoundData:
    """The data of a finished round. The frames are tables of the assets (`orchestration/columns.yaml`).

    Attributes:
        promotion: reason why the checkpoint was or was not promoted.
        items_before: items of the checkpoint that the round is compared with.
        items_baseline: items of the untrained student.
        earlier: outcomes of the earlier rounds, in order.
        teacher: name of the teacher, such as `smollm2-135m-instruct (bundled)`.
        simulated: whether the teacher is simulated.
        items_seed_tasks: items of the student trained on the human seed tasks alone; empty if there is none.
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
    facts: ReportFacts = field(default_factory=ReportFacts)


def render_report(data: RoundData) -> str:
    """Return the report of a round as one HTML page."""
    return render_page(
        "report.html.j2",
        simulated=data.simulated,
        data=data,
        plan=data.plan,
        outcome=data.outcome,
        facts=data.facts,
        settings=json.dumps(data.facts.settings, indent=2, ensure_ascii=False),
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
    teacher_gain: Conclusion | None = None,
    simulated: bool = False,
) -> str:
    """Return the index of all planned and finished rounds as one HTML page.

    Args:
        outcomes: outcomes of the finished rounds, in order.
        plans: all plans, in order.
        starts: pass rates before the first round (`starting_rates`).
        spending: spending of all rounds.
        next_step: what comes next, in one sentence.
        teacher_gain: what the teacher's data added (`teacher_gain`), as of the last round.
        simulated: whether the teacher is simulated.
    """
    rows = costs.history(outcomes)
    decisions = {outcome.round: {c.category: c for c in outcome.categories} for outcome in outcomes}
    return render_page(
        "index.html.j2",
        simulated=simulated,
        plans=plans,
        starts=starts or {},
        spending=spending,
        next_step=next_step,
        teacher_gain=teacher_gain,
        finished={row.outcome.round: row for row in rows},
        rows=rows,
        best=max(rows, key=lambda row: row.outcome.score, default=None),
        categories=sorted({category for decided in decisions.values() for category in decided}),
        decisions=decisions,
        history_plots=_history_plots(rows, starts or {}),
    )


def starting_rates(data: RoundData) -> dict[str, Rate]:
    """Return the pass rates measured before the first round, by name."""
    rates = {"untrained": pass_rate(data.items_baseline), "seed tasks alone": pass_rate(data.items_seed_tasks)}
    return {name: rate for name, rate in rates.items() if rate is not None}


def teacher_gain(data: RoundData) -> Conclusion | None:
    """Return what the teacher's data of all rounds added to the human seed tasks; None if it was not measured."""
    tokens = sum(outcome.tokens for outcome in (*data.earlier, data.outcome))
    seed_tasks, after = pass_rate(data.items_seed_tasks), pass_rate(data.items)
    return gain_over_seed_tasks(seed_tasks, after, tokens, data.comparisons, data.facts.alpha)


def plot_scores(data: RoundData) -> bytes:
    """Return a plot of the pass rates by category against the targets, as PNG."""
    return to_png(figures.score_figure(_scores(data)))


def plot_training(steps: pl.DataFrame) -> bytes:
    """Return a plot of loss and gradient norm by step, as PNG."""
    return to_png(figures.training_figure(steps))


def _scores(data: RoundData) -> list[CategoryScore]:
    return category_scores(data.outcome.categories, data.items_before, data.items_baseline, data.items_seed_tasks)


def _generation_view(data: RoundData) -> dict[str, Any]:
    planned = {category.category: category.candidates for category in data.plan.categories}
    counted = funnel(planned, data.candidates, data.verdicts)
    return {
        "funnel": counted,
        "legend": figures.funnel_legend(counted),
        "funnel_plot": _plot(figures.funnel_figure(counted), "Candidates by category and outcome"),
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
        "teacher_gain": teacher_gain(data),
        "conclusion": round_conclusion(before, after, data.comparisons, data.facts.alpha),
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
    starts = starting_rates(data)
    return {
        "cost_rows": costs.cost_by_purpose(data.calls),
        "cost_categories": costs.cost_by_category(data.calls, data.examples),
        "cost_total": costs.total_cost(data.calls, data.examples.height),
        "history": rows,
        "starts": starts,
        "history_plots": _history_plots(rows, starts),
    }


def _history_plots(rows: Sequence[costs.HistoryRow], starts: Mapping[str, Rate]) -> list[Markup]:
    """Plots over rounds, if there are at least two."""
    if len(rows) < 2:
        return []
    values = ", ".join(f"round {row.outcome.round[-4:].lstrip('0')} {percent(row.outcome.score)}" for row in rows)
    return [
        _plot(figures.score_history_figure(rows, starts), f"Overall pass rate by round: {values}"),
        _plot(figures.kept_history_figure(rows), "Candidates and kept examples by round"),
        _plot(figures.token_history_figure(rows), "Teacher tokens per kept example by round"),
    ]


def _plot(figure: Figure, label: str) -> Markup:
    """A plot as markup with a label for screen readers. matplotlib escapes the text in an SVG."""
    return Markup(to_svg(figure, label))


def _kept_examples(examples: pl.DataFrame, categories: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Up to two kept examples per category, chosen by id: effectively random, but reproducible."""
    names = dict.fromkeys([*categories, *examples["category"].to_list()])
    chosen = [
        (name, examples.filter(pl.col("category") == name).sort("example_id").head(2).to_dicts()) for name in names
    ]
    return [(name, rows) for name, rows in chosen if rows]


def best_examples(examples: pl.DataFrame, considered: pl.DataFrame) -> list[dict[str, Any]]:
    """Return up to four examples that became seeds, by descending training signal, with the reason (`why`)."""
    if considered.is_empty():
        return []
    chosen = considered.filter(pl.col("refused").is_null()).sort("signal", descending=True, nulls_last=True)
    joined = chosen.select("example_id", "signal", "why").join(examples, on="example_id", maintain_order="left")
    return joined.head(4).to_dicts()


def _answers(items: pl.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """A right and a wrong answer of the trained student per category, if available."""
    chosen = items.sort("item_id").group_by("category", "passed", maintain_order=True).head(1)
    chosen = chosen.sort("category", "passed", descending=[False, True])
    return [(str(name), rows.to_dicts()) for (name,), rows in chosen.group_by("category", maintain_order=True)]
