"""Retirement of unproductive seeds: they leave the prompts for some rounds and then return.

A seed is judged by its children: how many were kept, by how much training reduced their loss, and what they cost
(`seed_statistics.py`). A resting seed has weight 0; nothing is ever deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sedi_dagster.feedback.seed_statistics import STATISTICS
from sedi_dagster.records import round_number

PRIOR_CHILDREN = 10
"""A seed's keep rate is shrunk towards that of its category, with the weight of this many children."""
WEIGHT_LIMITS = (0.5, 2.0)

Change = tuple[dict[str, Any], str, str]
"""(seed, change, reason); the change is "promoted", "retired" or "returned"."""


@dataclass(frozen=True)
class RestRules:
    """When seeds rest, and how many.

    Attributes:
        min_children: smallest number of children for a seed to be judged.
        alpha: significance level of the test, corrected for the number of judged seeds.
        rest_rounds: rounds after which a seed returns.
        max_leaving: largest number of seeds retired per round.
        min_human_per_category: smallest number of human seeds in each category's prompts.
        max_machine_per_category: largest number of machine-made seeds in each category's prompts.
    """

    min_children: int
    alpha: float
    rest_rounds: int
    max_leaving: int
    min_human_per_category: int
    max_machine_per_category: int


def bring_back(round_key: str, seeds: list[dict[str, Any]], rules: RestRules) -> list[Change]:
    """Return rested seeds to the prompts, with fresh statistics; machine-made ones only if there is room."""
    changes: list[Change] = []
    active = Counter(s["category"] for s in seeds if s["origin"] == "machine" and s["weight"] > 0)
    for seed in seeds:
        if seed["weight"] > 0 or seed["rested_since"] is None:
            continue
        rested = round_number(round_key) - round_number(seed["rested_since"])
        room = seed["origin"] == "human" or active[seed["category"]] < rules.max_machine_per_category
        if rested >= rules.rest_rounds and room:
            seed |= {"weight": 1.0, "rested_since": None, **dict.fromkeys(STATISTICS, 0)}
            active[seed["category"]] += seed["origin"] == "machine"
            changes.append((seed, "returned", f"rested {rested} rounds; its statistics start over"))
    return changes


def retire_unproductive(round_key: str, seeds: list[dict[str, Any]], rules: RestRules) -> list[Change]:
    """Retire seeds whose children are kept less often than others of the category, or do not lower their loss.

    Those with the smallest p-value are retired first. The test is the one-sided exact binomial test, corrected for the
    number of judged seeds (Benjamini and Hochberg 1995).
    """
    from scipy.stats import binomtest, false_discovery_control

    judged = [s for s in seeds if s["weight"] > 0 and s["children"] >= rules.min_children]
    if not judged:
        return []
    others = [_keep_rate_of_others(seed, seeds) for seed in judged]
    p_values = [
        1.0 if rate is None else float(binomtest(seed["kept"], seed["children"], rate, alternative="less").pvalue)
        for seed, rate in zip(judged, others, strict=True)
    ]
    adjusted = false_discovery_control(p_values).tolist()
    reasons: list[tuple[float, dict[str, Any], str]] = []
    for seed, rate, p in zip(judged, others, adjusted, strict=True):
        if rate is not None and p < rules.alpha:
            why = f"{_in_words(seed)}; {rate:.0%} of the category's other children are kept (adjusted p {p:.3f})"
            reasons.append((p, seed, why))
        elif seed["measured"] >= rules.min_children and seed["loss_drop"] <= 0:
            reasons.append((1.0, seed, f"{_in_words(seed)}: training on them did not lower their loss"))
    humans = Counter(s["category"] for s in seeds if s["origin"] == "human" and s["weight"] > 0)
    changes: list[Change] = []
    for _, seed, why in sorted(reasons, key=lambda reason: (reason[0], reason[1]["seed_id"])):
        if len(changes) == rules.max_leaving:
            break
        if seed["origin"] == "human":
            if humans[seed["category"]] <= rules.min_human_per_category:
                continue
            humans[seed["category"]] -= 1
        changes.append(retire(round_key, seed, why))
    return changes


def retire(round_key: str, seed: dict[str, Any], reason: str) -> Change:
    """Take a seed out of the prompts."""
    seed |= {"weight": 0.0, "rested_since": round_key}
    return seed, "retired", reason


def set_weights(seeds: list[dict[str, Any]]) -> None:
    """Set the weight of each active seed in prompts: its shrunk keep rate relative to the category's."""
    for seed in seeds:
        if seed["weight"] > 0:
            rate = _keep_rate_of_others(seed, seeds)
            shrunk = (seed["kept"] + PRIOR_CHILDREN * (rate or 0)) / (seed["children"] + PRIOR_CHILDREN)
            seed["weight"] = min(max(shrunk / rate, WEIGHT_LIMITS[0]), WEIGHT_LIMITS[1]) if rate else 1.0


def _keep_rate_of_others(seed: Mapping[str, Any], seeds: list[dict[str, Any]]) -> float | None:
    """The keep rate of the children of the category's other seeds; None if they have no children."""
    same = [s for s in seeds if s["category"] == seed["category"] and s["seed_id"] != seed["seed_id"]]
    children = sum(s["children"] for s in same)
    return sum(s["kept"] for s in same) / children if children else None


def _in_words(seed: Mapping[str, Any]) -> str:
    words = f"{seed['kept']} of {seed['children']} children kept"
    if seed["measured"]:
        words += f", loss drop {seed['loss_drop'] / seed['measured']:.2f} each"
    return words + f", {seed['tokens'] / max(1, seed['kept']):,.0f} tokens a kept child"
