"""The promotion gate: the conditions, besides a high signal, for an example to become a seed.

A seed influences many children, so a bad seed costs more than a bad example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

NearDuplicates = Callable[[list[str], list[str], float], pl.DataFrame]
"""`near(queries, pool, threshold)`: columns `query` and `pool` (row numbers) and `score`; one row per pair."""


@dataclass(frozen=True)
class GateRules:
    """Which examples may become seeds.

    Attributes:
        max_ifd: highest allowed IFD (loss ratio).
        max_depth: largest allowed number of generations from a human seed.
        per_category, in_all: largest number of promotions per round.
        duplicate_threshold: ROUGE-L F1 with a seed above which an example is too close to it.
        compared: maps (instruction, input) to (group, text): the text is compared with seeds of the same group.
    """

    max_ifd: float
    max_depth: int
    per_category: int
    in_all: int
    duplicate_threshold: float
    compared: Callable[[str, str], tuple[str, str]] = lambda instruction, _: ("", instruction)


def depths(candidates: pl.DataFrame, known: Mapping[str, int]) -> dict[str, int]:
    """Return the number of generations between each candidate and a human seed: 1 for a child of human seeds.

    Args:
        candidates: with `candidate_id`, `demonstration_ids`, and `parent_id` if examples were made from others.
        known: depth of the seeds (0 for human ones) and of earlier examples. An unknown ancestor counts as 1.
    """
    parents = {
        row["candidate_id"]: [*(row["demonstration_ids"] or []), *([row["parent_id"]] if row.get("parent_id") else [])]
        for row in candidates.iter_rows(named=True)
    }
    found = dict(known)

    def depth(name: str, visited: frozenset[str]) -> int:
        if name not in found:
            above = [p for p in parents.get(name, ()) if p not in visited]
            found[name] = 1 + max((depth(p, visited | {name}) for p in above), default=0)
        return found[name]

    return {name: depth(name, frozenset()) for name in parents}


def pass_gate(
    ranked: Sequence[Mapping[str, Any]], seeds: pl.DataFrame, rules: GateRules, near_duplicates: NearDuplicates
) -> list[tuple[Mapping[str, Any], str]]:
    """Check each candidate, best first.

    Args:
        ranked: candidates in descending order of the signal, each with `example_id`, `category`, `instruction`,
            `input`, `depth`, `ifd` (or None) and `kept`.
        seeds: all seeds, resting ones included, with `seed_id`, `category`, `instruction`, `input`.

    Returns:
        Each candidate, in the same order, with the reason why it was refused; "" if it passed.
    """
    tasks = [rules.compared(row["instruction"], row["input"]) for row in ranked]
    seed_ids = seeds["seed_id"].to_list()
    pool = [rules.compared(*task) for task in seeds.select("instruction", "input").iter_rows()]
    known_tasks = [*pool, *tasks]
    texts = [text for _, text in tasks]
    pairs = near_duplicates(texts, [text for _, text in known_tasks], rules.duplicate_threshold)
    near: dict[int, list[tuple[float, int]]] = {}
    for query, other, score in pairs.select("query", "pool", "score").iter_rows():
        if other != len(pool) + query and known_tasks[other][0] == tasks[query][0]:
            near.setdefault(query, []).append((score, other))
    known = set(seed_ids)
    passed: list[int] = []
    verdicts: list[tuple[Mapping[str, Any], str]] = []
    for i, row in enumerate(ranked):
        seed_like = [(s, n) for s, n in near.get(i, ()) if n < len(pool) or n - len(pool) in passed]
        of_category = sum(ranked[p]["category"] == row["category"] for p in passed)
        if row["example_id"] in known:
            reason = "is a seed already"
        elif not row["kept"]:
            reason = "not kept by the filters"
        elif row["ifd"] is not None and row["ifd"] > rules.max_ifd:
            reason = f"IFD {row['ifd']:.2f} is above {rules.max_ifd:g}"
        elif row["depth"] > rules.max_depth:
            reason = f"{row['depth']} generations from a human seed, more than {rules.max_depth}"
        elif seed_like:
            score, number = max(seed_like)
            other = seed_ids[number] if number < len(pool) else ranked[number - len(pool)]["example_id"]
            reason = f"near duplicate of seed {other} (ROUGE-L {score:.2f})"
        elif of_category >= rules.per_category:
            reason = f"{rules.per_category} of {row['category']} were promoted already"
        elif len(passed) >= rules.in_all:
            reason = f"{rules.in_all} were promoted already"
        else:
            reason = ""
            passed.append(i)
        verdicts.append((row, reason))
    return verdicts
