"""How often a loop chases noise, and how surely it finds what is weak: simulated loops, three rules side by side.

    python benchmarks/decisions.py                                     # the table, about three minutes on one core
    python benchmarks/decisions.py --figure docs/images/decisions.png  # and the figure of docs/statistics.md

Twelve categories of differing difficulty, each with its target. Items come in clusters (templates) that do alike, and
an item's answer in one round tells of its answer in the next, as with a student that is trained on. Every pass rate is
exact by construction (a Gaussian copula), so "nothing is weak" means that every true rate equals its target: the
hardest case for a false alarm. Rules: this project's (judged and settled with memory, as in a loop), "the lowest
score", and "five points under the mean".
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sedi_dagster.evaluation.items import first_half
from sedi_dagster.evaluation.weakness import WeaknessRules, judge_categories
from sedi_dagster.feedback.category_status import StatusRules, status_over_rounds
from sedi_dagster.records import CategoryOutcome, round_key
from sedi_dagster.targets import Target

TARGETS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
NAMES = tuple(f"category-{i:02d}" for i in range(12))
KNOWN = {n: Target(t) for n, t in zip(NAMES, TARGETS, strict=True)}
CLUSTER_SIZES = (1, 1, 1, 1, 2, 3, 4, 6)  # as in seeds/evaluation_items.jsonl: most items alone, some templates of many
PERSISTENCE = 0.5
"""Share of an item's luck that stays from round to round."""
ROUNDS = 6
ITEMS = (50, 100, 200)
GAPS = (0.0, 0.10, 0.15)

Frame = pl.DataFrame
Rule = Callable[[list[Frame]], list[set[str]]]
"""Evaluations of the rounds of a loop -> the categories that each round would spend on."""


@dataclass(frozen=True)
class World:
    """What is simulated: items a category, how alike a cluster's items are, the gap of the one weak category."""

    items: int
    alike: float
    gap: float


def simulated_loop(world: World, rng: np.random.Generator) -> tuple[list[Frame], str | None]:
    """The evaluations of a loop in which nothing is learnt, and the category that is weak (None: none is)."""
    from scipy.special import ndtri

    weak = int(rng.integers(12)) if world.gap else None
    categories = []
    for i, name in enumerate(NAMES):
        cluster = _clusters(world.items, rng)
        common = np.sqrt(world.alike) * rng.standard_normal(cluster.max() + 1)[cluster]
        own = np.sqrt((1 - world.alike) * PERSISTENCE) * rng.standard_normal(world.items)
        luck = np.sqrt((1 - world.alike) * (1 - PERSISTENCE)) * rng.standard_normal((ROUNDS, world.items))
        rate = TARGETS[i] - (world.gap if i == weak else 0.0)
        passed = common + own + luck < ndtri(rate)
        categories.append((name, cluster, passed))
    return _frames(categories), None if weak is None else NAMES[weak]


def _clusters(items: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    sizes = rng.choice(CLUSTER_SIZES, size=items)
    return np.repeat(np.arange(items), sizes)[:items]


def _frames(categories: list[tuple[str, Any, Any]]) -> list[Frame]:
    """One evaluation a round: the same items, answered anew."""
    names = np.repeat([name for name, _, _ in categories], [len(cluster) for _, cluster, _ in categories])
    cluster = np.concatenate([cluster for _, cluster, _ in categories])
    items = pl.DataFrame(
        {
            "item_id": [f"item-{i}" for i in range(len(names))],
            "category": names.tolist(),
            "cluster": cluster.astype(str).tolist(),
            "half": np.where(cluster % 2 == 0, "A", "B").tolist(),
            "difficulty": ["medium"] * len(names),
            "reference_loss": np.ones(len(names)),
        }
    ).with_columns(errors=pl.lit([], pl.List(pl.String)))
    return [
        items.with_columns(passed=pl.Series(np.concatenate([passed[number] for _, _, passed in categories])))
        for number in range(ROUNDS)
    ]


def this_project(evaluations: list[Frame]) -> list[set[str]]:
    """Judged every round with the halves changing places, settled with what was before."""
    before: dict[str, CategoryOutcome] = {}
    asked: list[set[str]] = []
    for number, items in enumerate(evaluations, start=1):
        planned = asked[-1] if asked else set(NAMES)
        for outcome in judge_categories(items, KNOWN, WeaknessRules(), first_half(number)):
            seen = before.get(outcome.category)
            before[outcome.category] = status_over_rounds(
                outcome, seen, outcome.category in planned, round_key(number), StatusRules()
            )
        asked.append({o.category for o in before.values() if o.decision == "weak"})
    return asked


def lowest_score(evaluations: list[Frame]) -> list[set[str]]:
    return [{min(rates, key=lambda name: rates[name])} for rates in map(_rates, evaluations)]


def under_the_mean(evaluations: list[Frame]) -> list[set[str]]:
    found = []
    for rates in map(_rates, evaluations):
        mean = sum(rates.values()) / len(rates)
        found.append({name for name, rate in rates.items() if rate < mean - 0.05})
    return found


def five_under_target(evaluations: list[Frame]) -> list[set[str]]:
    return [
        {name for name, rate in rates.items() if rate < KNOWN[name].rate - 0.05} for rates in map(_rates, evaluations)
    ]


def _rates(items: Frame) -> dict[str, float]:
    return dict(items.group_by("category").agg(pl.col("passed").mean()).iter_rows())


RULES: dict[str, Rule] = {
    "this project": this_project,
    "lowest score": lowest_score,
    "5 points under the mean": under_the_mean,
    "5 points under the target": five_under_target,
}


def measure(world: World, loops: int) -> list[dict[str, Any]]:
    """For each rule: how often a round spends on a category that is not weak, and how surely it finds the weak one."""
    rng = np.random.default_rng([world.items, round(100 * world.alike), round(100 * world.gap)])
    false_rounds, found_first, found_any = (dict.fromkeys(RULES, 0) for _ in range(3))
    for _ in range(loops):
        evaluations, weak = simulated_loop(world, rng)
        for name, rule in RULES.items():
            asked = rule(evaluations)
            false_rounds[name] += sum(bool(chosen - {weak}) for chosen in asked)
            found_first[name] += weak in asked[0]
            found_any[name] += any(weak in chosen for chosen in asked[:3])
    return [
        {
            "items": world.items,
            "alike": world.alike,
            "gap": world.gap,
            "rule": name,
            "false_alarm": false_rounds[name] / (loops * ROUNDS),
            "power_first": found_first[name] / loops if world.gap else None,
            "power_three": found_any[name] / loops if world.gap else None,
        }
        for name in RULES
    ]


def draw(results: pl.DataFrame, file: Path) -> None:
    """False alarms with nothing weak, and power for the two gaps, against the number of items."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(RULES, ("#2456c4", "#c22f2b", "#e08b1f", "#7d8798"), strict=True))
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    panels = ((0.0, "false_alarm", "Nothing is weak: rounds that spend anyway"),)
    panels += tuple((gap, "power_first", f"{100 * gap:.0f} points weak: found at once") for gap in GAPS[1:])
    for axis, (gap, column, title) in zip(axes, panels, strict=True):
        for alike, style in ((0.0, "-"), (0.2, "--")):
            for rule, colour in colours.items():
                rows = results.filter((pl.col("gap") == gap) & (pl.col("rule") == rule) & (pl.col("alike") == alike))
                label = rule if alike == 0 and axis is axes[0] else None
                axis.plot(rows["items"], rows[column], style, color=colour, marker="o", markersize=4, label=label)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="items a category", xticks=ITEMS, ylim=(-0.03, 1.03))
        axis.grid(alpha=0.25)
    axes[0].axhline(0.1, color="#1a2332", linewidth=0.8, linestyle=":")
    axes[0].set_ylabel("share of rounds or loops")
    figure.legend(loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(file, dpi=130)


@click.command()
@click.option("--loops", default=150, show_default=True, help="Simulated loops of each kind, of six rounds each.")
@click.option("--figure", type=click.Path(path_type=Path), help="Write the figure there.")
def main(loops: int, figure: Path | None) -> None:
    rows: list[dict[str, Any]] = []
    for alike in (0.0, 0.2):
        for gap in GAPS:
            for items in ITEMS:
                rows += measure(World(items, alike, gap), loops)
                for row in rows[-len(RULES) :]:
                    power = "" if row["power_first"] is None else f"  found at once {row['power_first']:.0%}"
                    power += "" if row["power_three"] is None else f", within 3 rounds {row['power_three']:.0%}"
                    print(
                        f"{items:>4} items  alike {alike:.1f}  gap {gap:.2f}  {row['rule']:<26}"
                        f"rounds with a false alarm {row['false_alarm']:.1%}{power}",
                        flush=True,
                    )
    if figure:
        draw(pl.DataFrame(rows), figure)
        print(f"written: {figure}")


if __name__ == "__main__":
    main()
