"""The plots. Each function returns a figure, which `canvas` converts to SVG or PNG."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from sedi_dagster.reporting.canvas import blank
from sedi_dagster.reporting.costs import HistoryRow
from sedi_dagster.reporting.funnel import Funnel
from sedi_dagster.reporting.numbers import Rate, words
from sedi_dagster.reporting.palette import DECISION_COLOUR, LIGHT
from sedi_dagster.reporting.scores import CategoryScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDE, HALF, THIRD = 9.2, 5.2, 3.7  # width in inches of one, two or three plots in a row
LOSS_TITLE = "loss (nats per answer token)"
NORM_TITLE = "gradient norm, before clipping"
COLOURED_REASONS = 4  # rules with their own colour; the others share one


def score_figure(scores: Sequence[CategoryScore]) -> Figure:
    """Plot pass rates by category against the targets, with Wilson intervals, weak categories first."""
    from matplotlib.ticker import PercentFormatter

    seed_tasks = any(score.seed_tasks for score in scores)
    figure, (axes,) = blank(WIDE, 1.3 + (0.52 if seed_tasks else 0.44) * max(len(scores), 1))
    for row, score in enumerate(scores):
        colour = LIGHT[DECISION_COLOUR[score.outcome.decision]]
        _point(axes, row - 0.3, score.baseline, LIGHT["baseline"], "none")
        if seed_tasks:
            _point(axes, row - 0.1, score.seed_tasks, LIGHT["seed-tasks"], LIGHT["seed-tasks"], "D")
        _point(axes, row + (0.1 if seed_tasks else 0), score.before, LIGHT["before"], LIGHT["before"])
        axes.plot([score.outcome.low, score.outcome.high], [row + 0.3] * 2, color=colour, linewidth=2.2)
        axes.plot([score.after.share], [row + 0.3], "o", color=colour, markersize=6.5)
        axes.plot([score.outcome.target] * 2, [row - 0.42, row + 0.44], color=LIGHT["ink"], linewidth=1.4)
    axes.set_yticks(range(len(scores)), [words(score.category) for score in scores])
    for label, score in zip(axes.get_yticklabels(), scores, strict=True):
        if score.outcome.decision == "weak":
            label.set(color=LIGHT["bad"], fontweight="bold")
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.set_xlim(-0.01, 1.01)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="x")
    axes.set_xlabel("items passed, with 95% Wilson intervals")
    _score_legend(figure, seed_tasks, {score.outcome.decision for score in scores})
    return figure


def funnel_figure(funnel: Funnel) -> Figure:
    """Plot the candidates of each category by outcome: kept, rejected by rule, malformed. See `funnel_legend`."""
    figure, (axes,) = blank(WIDE, 0.7 + 0.32 * max(len(funnel.rows), 1))
    names = [words(row.category) for row in funnel.rows]
    left, colours = [0] * len(names), reason_colours(funnel)
    parts = [("kept", [row.kept for row in funnel.rows])]
    for i in sorted(range(len(colours)), key=lambda i: colours[i] == "malformed"):
        parts.append((colours[i], [row.dropped[i] for row in funnel.rows]))
    for colour, widths in parts:
        axes.barh(range(len(names)), widths, left=left, height=0.66, color=LIGHT[colour])
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for number, row in enumerate(funnel.rows):
        label = f"{row.kept} of {row.candidates}"
        axes.annotate(
            label, (left[number], number), (6, 0), textcoords="offset points", va="center", color=LIGHT["muted"]
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max([*left, 1]) * 1.14)
    axes.grid(axis="x")
    _whole_numbers(axes.xaxis)
    axes.set_xlabel("candidates (label: kept of written)")
    return figure


def reason_colours(funnel: Funnel) -> list[str]:
    """Return a colour name for each reason. Malformed ones share a colour; the most frequent rules have their own."""
    colours, coloured = [], 0
    for reason in funnel.reasons:
        if reason.state == "malformed":
            colours.append("malformed")
        else:
            coloured += 1
            colours.append(f"reason-{coloured}" if coloured <= COLOURED_REASONS else "reason-rest")
    return colours


def funnel_legend(funnel: Funnel) -> list[tuple[str, str]]:
    """Return (label, colour name) for each colour in `funnel_figure`."""
    shared = {"malformed": "malformed", "reason-rest": "other rules"}
    named = zip(reason_colours(funnel), funnel.reasons, strict=True)
    labels = {colour: shared.get(colour, reason.name) for colour, reason in named}
    return [("kept", "kept"), *((labels[c], c) for c in sorted(labels, key=lambda c: (c == "malformed", c)))]


def loss_figure(steps: pl.DataFrame) -> Figure:
    """Plot the training loss by optimizer step."""
    return _steps_figure(steps, "loss", LOSS_TITLE, "accent")


def norm_figure(steps: pl.DataFrame) -> Figure:
    """Plot the gradient norm by optimizer step, with the highest marked."""
    figure = _steps_figure(steps, "grad_norm", NORM_TITLE, "reason-2")
    finite = steps.filter(pl.col("grad_norm").is_finite()).sort("grad_norm", descending=True)
    if finite.height:
        top = finite.row(0, named=True)
        axes = figure.axes[0]
        axes.plot([top["step"]], [top["grad_norm"]], "o", markersize=7, color=LIGHT["bad"], fillstyle="none")
    return figure


def training_figure(steps: pl.DataFrame) -> Figure:
    """Plot loss and gradient norm by optimizer step, one above the other."""
    figure, (above, below) = blank(WIDE, 5.0, panels=2)
    _draw_steps(above, steps, "loss", LOSS_TITLE, "accent")
    _draw_steps(below, steps, "grad_norm", NORM_TITLE, "reason-2")
    return figure


def score_history_figure(rows: Sequence[HistoryRow], starts: Mapping[str, Rate]) -> Figure:
    """Plot the overall pass rate by round, with hollow markers for checkpoints that were not promoted.

    Args:
        starts: pass rates before the first round, by name, drawn as dashed lines.
    """
    from matplotlib.ticker import PercentFormatter

    figure, (axes,) = blank(THIRD, 2.4)
    numbers = _numbers(rows)
    axes.plot(numbers, [row.outcome.score for row in rows], color=LIGHT["accent"], linewidth=1.6)
    for number, row in zip(numbers, rows, strict=True):
        if row.rate.items:
            axes.plot([number] * 2, [row.rate.low, row.rate.high], color=LIGHT["tint"], linewidth=3, zorder=1)
        face = LIGHT["accent"] if row.outcome.promoted else LIGHT["surface"]
        axes.plot([number], [row.outcome.score], "o", markersize=6, color=LIGHT["accent"], markerfacecolor=face)
    for number, (name, rate) in enumerate(starts.items()):
        colour, side = (LIGHT["seed-tasks"], 1) if number else (LIGHT["before"], 0)
        axes.axhline(rate.share, color=colour, linewidth=1.1, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(  # one on the left, one on the right, as they may be close to each other
            name, (side, rate.share), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right" if side else "left", color=LIGHT["muted"], fontsize=8,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y")
    _round_axis(axes, numbers, "overall pass rate (hollow: not promoted)")
    return figure


def kept_history_figure(rows: Sequence[HistoryRow]) -> Figure:
    """Plot the number of candidates and of kept examples by round."""
    bars = {"tint": [row.outcome.candidates for row in rows], "kept": [row.outcome.kept for row in rows]}
    figure = _bars(rows, bars, "candidates (light) and kept (dark)")
    _whole_numbers(figure.axes[0].yaxis)
    return figure


def token_history_figure(rows: Sequence[HistoryRow]) -> Figure:
    """Plot teacher tokens per kept example by round. A round in which nothing was kept has no bar."""
    bars = {"reason-3": [row.tokens_per_kept or 0.0 for row in rows]}
    figure = _bars(rows, bars, "teacher tokens per kept example")
    figure.axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def _bars(rows: Sequence[HistoryRow], bars: Mapping[str, Sequence[float]], title: str) -> Figure:
    figure, (axes,) = blank(THIRD, 2.4)
    for colour, heights in bars.items():
        axes.bar(_numbers(rows), heights, width=0.62, color=LIGHT[colour])
    axes.grid(axis="y")
    _round_axis(axes, _numbers(rows), title)
    return figure


def _point(axes: Axes, row: float, rate: Any, colour: str, face: str, marker: str = "o") -> None:
    if rate is not None:
        axes.plot([rate.low, rate.high], [row, row], color=colour, linewidth=1.3)
        axes.plot([rate.share], [row], marker, color=colour, markerfacecolor=face, markersize=4.8)


def _score_legend(figure: Figure, seed_tasks: bool, decisions: Collection[str]) -> None:
    from matplotlib.lines import Line2D

    def entry(label: str, colour: str, marker: str = "o", **style: Any) -> Line2D:
        return Line2D([], [], color=LIGHT[colour], marker=marker, label=label, **style)

    handles = [
        entry("untrained", "baseline", markersize=4.8, markerfacecolor="none", linewidth=1.3),
        *([entry("seed tasks alone", "seed-tasks", "D", markersize=4.8, linewidth=1.3)] if seed_tasks else []),
        entry("before", "before", markersize=4.8, linewidth=1.3),
        *(
            entry(f"after: {decision}", colour, markersize=6.5, linewidth=2.2)
            for decision, colour in DECISION_COLOUR.items()
            if decision in decisions
        ),
        Line2D([], [], color=LIGHT["ink"], marker="|", markersize=11, linestyle="none", label="target"),
    ]
    figure.legend(
        handles=handles,
        ncols=4 if len(handles) > 6 else 6,
        loc="outside upper left",
        frameon=False,
        labelcolor=LIGHT["ink"],
        handlelength=1.6,
        columnspacing=1.4,
    )


def _steps_figure(steps: pl.DataFrame, column: str, title: str, colour: str) -> Figure:
    figure, (axes,) = blank(HALF, 2.6)
    _draw_steps(axes, steps, column, title, colour)
    return figure


def _draw_steps(axes: Axes, steps: pl.DataFrame, column: str, title: str, colour: str) -> None:
    ordered = steps.sort("step")
    values = [value if math.isfinite(value) else math.nan for value in ordered[column].to_list()]
    dots = "o" if len(values) <= 60 else ""
    axes.plot(ordered["step"].to_list(), values, dots + "-", color=LIGHT[colour], linewidth=1.5, markersize=3)
    axes.set_title(title, loc="left", fontsize=9.5, color=LIGHT["ink"])
    axes.set_xlabel("optimizer step")
    _whole_numbers(axes.xaxis)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")


def _whole_numbers(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))


def _numbers(rows: Sequence[HistoryRow]) -> list[int]:
    return [int(row.outcome.round.rpartition("-")[2]) for row in rows]


def _round_axis(axes: Axes, numbers: Sequence[int], title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=LIGHT["ink"])
    axes.set_xlabel("round")
    _whole_numbers(axes.xaxis)
    if numbers:
        axes.set_xlim(min(numbers) - 0.6, max(numbers) + 0.6)
