"""Figures of the results: readable in print and by the colour-blind (Okabe and Ito's palette, markers, line styles)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.proof.arms import Plan
from benchmarks.proof.results import ENOUGH_SEEDS, curves
from benchmarks.proof.statistics import Curve

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES = ("-", "--", "-.", ":", "-", "--", "-.")
DOTS_PER_INCH = 150


def draw(name: str, ground: Mapping[str, Any], plan: Plan, folder: Path) -> list[Path]:
    """Write the figures of a ground; returns their files."""
    import matplotlib

    matplotlib.use("Agg")
    found = curves(ground)
    if not found:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    there = (n for n in plan.arms if n in found)
    main = sorted(there, key=lambda n: (-len(found[n]), bool(plan.arms[n].ablates)))[: len(COLOURS)]
    files = [_against_tokens(found, main, plan, folder / f"results_{name}_accuracy.png")]
    if plan.ours in found:
        files.append(_differences(found, ground, plan, folder / f"results_{name}_differences.png"))
    return files


def _against_tokens(found: Mapping[str, Mapping[int, Curve]], names: Sequence[str], plan: Plan, file: Path) -> Path:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for place, name in enumerate(names):
        by_seed = list(found[name].values())
        end = min(curve.end for curve in by_seed)
        grid = np.linspace(0, end, 60)
        values = np.array([[curve.accuracy(t) for t in grid] for curve in by_seed])
        colour = COLOURS[place]
        axes.plot(
            grid / 1000, values.mean(axis=0), STYLES[place], color=colour, marker=MARKERS[place], markevery=12,
            label=f"{plan.arms[name].label} ({len(by_seed)})",
        )  # fmt: skip
        axes.fill_between(grid / 1000, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.12, linewidth=0)
    axes.set(xlabel="teacher tokens, thousands", ylabel="share of items passed", ylim=(0, None), xlim=(0, None))
    axes.set_title(
        "Accuracy against teacher tokens (SIMULATED teacher); bands: least to most over project seeds", fontsize=10
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(file, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return file


def _differences(found: Mapping[str, Mapping[int, Curve]], ground: Mapping[str, Any], plan: Plan, file: Path) -> Path:
    from matplotlib import pyplot as plt

    from benchmarks.proof.statistics import compare

    wordings = [item["wording"] for item in ground["items"]]
    names = [n for n in plan.arms if n != plan.ours and found.get(n, {}).keys() & found[plan.ours].keys()]
    compared = [compare(found[plan.ours], found[n], wordings) for n in names]
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.38 * len(names)), layout="constrained")
    for row, comparison in enumerate(compared):
        pair = comparison.difference
        shown = comparison.seeds >= ENOUGH_SEEDS and (pair.low > 0 or pair.high < 0)
        axes.plot([100 * pair.low, 100 * pair.high], [row, row], color=COLOURS[0], linewidth=2)
        axes.plot(100 * pair.value, row, "o", color=COLOURS[0], markerfacecolor=COLOURS[0] if shown else "white")
    axes.axvline(0, color="black", linewidth=0.8)
    labels = [f"{plan.arms[n].label} ({c.seeds})" for n, c in zip(names, compared, strict=True)]
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("points by which ours is ahead at equal teacher tokens", fontsize=9)
    axes.set_title(
        f"95 % intervals (project seeds); hollow: not shown, or by fewer than {ENOUGH_SEEDS} seeds", fontsize=10
    )
    axes.grid(alpha=0.3, axis="x")
    figure.savefig(file, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return file
