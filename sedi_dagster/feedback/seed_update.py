"""The seed set of the next round: examples are promoted by a training signal, unproductive seeds retired.

SeDi-Instruct (arXiv 2502.04774) promotes the examples of the batches with the highest gradient norm and drops
unproductive seeds. Here the signal is a setting (`signals.py`), promotion has conditions (`gate.py`), and unproductive
seeds rest for some rounds (`retirement.py`). Human seeds always stay in the pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.feedback.gate import GateRules, NearDuplicates, pass_gate
from sedi_dagster.feedback.retirement import (
    Change,
    RestRules,
    bring_back,
    retire,
    retire_unproductive,
    set_weights,
)
from sedi_dagster.feedback.seed_statistics import STATISTICS, STATISTICS_SCHEMA, add_statistics
from sedi_dagster.texts.markdown import markdown_table

SEED_SET_SCHEMA: dict[str, Any] = {
    "seed_id": pl.String,
    "category": pl.String,
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
    "origin": pl.String,  # human, machine
    "since_round": pl.String,
    "signal": pl.Float64,
    "depth": pl.Int64,  # generations from a human seed; 0 for human ones
    "weight": pl.Float64,  # relative frequency in prompts; 0: it rests
    "rested_since": pl.String,
    **{name: STATISTICS_SCHEMA[name] for name in STATISTICS},
}
CHANGE_SCHEMA: dict[str, Any] = {
    "seed_id": pl.String,
    "category": pl.String,
    "change": pl.String,  # promoted, retired (rests), returned
    "signal": pl.Float64,
    "reason": pl.String,
    "instruction": pl.String,
    "origin": pl.String,
}
CONSIDERED_SCHEMA: dict[str, Any] = {
    "example_id": pl.String,
    "category": pl.String,
    "signal": pl.Float64,
    "why": pl.String,
    "depth": pl.Int64,
    "refused": pl.String,  # null if it was promoted
}
_NEW: dict[str, Any] = {
    "since_round": None,
    "signal": None,
    "depth": 0,
    "weight": 1.0,
    "rested_since": None,
    **dict.fromkeys(STATISTICS, 0),
}


@dataclass(frozen=True)
class Updated:
    """`seeds` (`SEED_SET_SCHEMA`), `changes` (`CHANGE_SCHEMA`), `considered` (`CONSIDERED_SCHEMA`)."""

    seeds: pl.DataFrame
    changes: pl.DataFrame
    considered: pl.DataFrame


def seed_set(human: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """Return all seeds of a round: the human ones, and the machine-made ones promoted by earlier rounds.

    Args:
        human: the validated seed pool.
        before: the set after the previous round, with its statistics and weights; None before the first round.
    """
    pool = _completed(human)
    if before is None:
        return pool
    before = _completed(before)
    known = before.filter(pl.col("origin") == "human", pl.col("seed_id").is_in(pool["seed_id"].implode()))
    new = pool.filter(~pl.col("seed_id").is_in(known["seed_id"].implode()))
    order = pool.select("seed_id")
    humans = order.join(pl.concat([known, new]), on="seed_id", how="left", maintain_order="left")
    return pl.concat([humans.select(*SEED_SET_SCHEMA), before.filter(pl.col("origin") == "machine")])


def prompting(seeds: pl.DataFrame) -> pl.DataFrame:
    """Return the seeds that prompts may show, which are those that do not rest."""
    return seeds.filter(pl.col("weight") > 0)


def update_seeds(
    round_key: str,
    seeds: pl.DataFrame,
    examples: pl.DataFrame,
    scores: pl.DataFrame,
    statistics: pl.DataFrame,
    gate: GateRules,
    rules: RestRules,
    near_duplicates: NearDuplicates,
) -> Updated:
    """Promote examples and retire, displace or return seeds after a round.

    Args:
        seeds: the seed set of this round (`SEED_SET_SCHEMA`).
        examples: examples that may be promoted: the columns of seeds with `example_id`, and `depth`, `ifd`, `kept`.
        scores: signal and reason of each example considered (`signals.SCORE_SCHEMA`).
        statistics: this round's statistics of the seeds (`STATISTICS_SCHEMA`).
    """
    pool = add_statistics(seeds, statistics).to_dicts()
    leaving = retire_unproductive(round_key, pool, rules)
    ranked = examples.join(scores, on="example_id", how="inner", maintain_order="left").sort(
        ["signal", "example_id"], descending=[True, False]
    )
    verdicts = pass_gate(ranked.to_dicts(), seeds, gate, near_duplicates)
    passed = [_as_seed(row, round_key) for row, refused in verdicts if not refused]
    arrivals, displaced, no_room = _make_room(round_key, pool, passed, rules, rules.max_leaving - len(leaving))
    reasons = {row["example_id"]: row["reason"] for row, _ in verdicts}
    promoted: list[Change] = [(seed, "promoted", reasons[seed["seed_id"]]) for seed in arrivals]
    after = pool + arrivals
    returned = bring_back(round_key, after, rules)
    set_weights(after)
    considered = [
        {**row, "why": row["reason"], "refused": refused or no_room.get(row["example_id"])} for row, refused in verdicts
    ]
    return Updated(
        pl.DataFrame(after, schema=SEED_SET_SCHEMA),
        pl.DataFrame([_change(*change) for change in promoted + leaving + displaced + returned], schema=CHANGE_SCHEMA),
        pl.DataFrame([{name: row[name] for name in CONSIDERED_SCHEMA} for row in considered], schema=CONSIDERED_SCHEMA),
    )


def _make_room(
    round_key: str,
    pool: Sequence[dict[str, Any]],
    arrivals: Sequence[dict[str, Any]],
    rules: RestRules,
    may_leave: int,
) -> tuple[list[dict[str, Any]], list[Change], dict[str, str]]:
    """Add promoted seeds while their category has room; if it is full, retire its least productive machine-made seed.

    Among equally productive seeds the oldest is retired, as its signal was measured on an older student.

    Returns:
        The seeds added, the changes, and the reason for each seed that was not added.
    """
    most = rules.max_machine_per_category
    entered: list[dict[str, Any]] = []
    changes: list[Change] = []
    refused: dict[str, str] = {}
    for seed in arrivals:
        category = seed["category"]
        active = [s for s in pool if s["origin"] == "machine" and s["category"] == category and s["weight"] > 0]
        full = len(active) + sum(s["category"] == category for s in entered) >= most
        if full and (not active or len(changes) >= may_leave):
            refused[seed["seed_id"]] = f"no room: {most} machine-made seeds in {category}"
            continue
        if full:
            least = min(active, key=lambda s: (s["weight"], s["since_round"] or "", s["signal"] or 0, s["seed_id"]))
            why = f"makes room for {seed['seed_id']}: of {most} machine-made in {category} it pays least or is oldest"
            changes.append(retire(round_key, least, why))
        entered.append(seed)
    return entered, changes, refused


def seed_table(seeds: pl.DataFrame) -> str:
    """Return the number of seeds by category and origin, as Markdown."""
    counts = Counter((s["category"], s["origin"], s["weight"] > 0) for s in seeds.iter_rows(named=True))
    rows = [
        (category, *(counts[category, origin, active] for origin in ("human", "machine") for active in (True, False)))
        for category in sorted(seeds["category"].unique().to_list())
    ]
    return markdown_table(("category", "human", "resting", "machine", "resting"), rows)


def change_table(changes: pl.DataFrame) -> str:
    """Return the changes with their reasons, as Markdown."""
    if changes.is_empty():
        return "No changes."
    shown = changes.sort("change", "category", "seed_id").select(
        "change", "category", "origin", "instruction", "reason"
    )
    rows = [(*row[:3], f"{row[3][:77]}..." if len(row[3]) > 80 else row[3], row[4]) for row in shown.iter_rows()]
    return markdown_table(("change", "category", "origin", "instruction", "why"), rows)


def _completed(seeds: pl.DataFrame) -> pl.DataFrame:
    """Add the missing columns of the schema; a seed without history starts with zero statistics."""
    missing = [
        pl.lit(value, SEED_SET_SCHEMA[name]).alias(name) for name, value in _NEW.items() if name not in seeds.columns
    ]
    return seeds.with_columns(missing).select(*SEED_SET_SCHEMA)


def _as_seed(row: Mapping[str, Any], round_key: str) -> dict[str, Any]:
    kept = ("category", "instruction", "input", "output", "is_classification", "signal", "depth")
    return {
        **_NEW,
        **{name: row[name] for name in kept},
        "seed_id": row["example_id"],
        "origin": "machine",
        "since_round": round_key,
    }


def _change(seed: Mapping[str, Any], change: str, reason: str) -> dict[str, Any]:
    shared = {name: seed[name] for name in ("seed_id", "category", "signal", "instruction", "origin")}
    return {**shared, "change": change, "reason": reason}
