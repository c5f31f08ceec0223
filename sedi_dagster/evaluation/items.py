"""Evaluation items: reading the file, and drawing the fixed subset on which every round is evaluated."""

import json
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sedi_dagster.datafiles import Problems, checked_text, read_rows
from sedi_dagster.evaluation.verifiers import check_args
from sedi_dagster.records import Category, EvaluationItem, content_id, derived_rng

DIFFICULTIES = ("easy", "medium", "hard")


def load_evaluation_items(path: Path, categories: Mapping[str, Category]) -> list[EvaluationItem]:
    """Read and validate the file of evaluation items.

    Raises:
        InputFileError: lists every invalid line with its field and what was expected.
    """
    problems = Problems(path)
    items: list[EvaluationItem] = []
    seen: dict[str, int] = {}
    for line, row in read_rows(path, problems):
        item = _item(row, line, problems)
        if item.category and item.category not in categories:
            problems.add(line, "category", f"{item.category!r} is not in categories.yaml", "one of its ids")
        if item.id and item.id in seen:
            problems.add(line, "id", f"{item.id!r} is also on line {seen[item.id]}", "a unique id")
        seen.setdefault(item.id, line)
        items.append(item)
    for category in sorted(categories.keys() - {item.category for item in items}):
        problems.add(None, "category", f"no evaluation item for category {category!r}", "at least one")
    problems.raise_any()
    return items


def _item(row: dict[str, Any], line: int, problems: Problems) -> EvaluationItem:
    """The item of a row; its errors are added to `problems`."""
    item_id, category, prompt, verifier, reference = (
        checked_text(row.get(name), name, line, problems)
        for name in ("id", "category", "prompt", "verifier", "reference")
    )
    args = row.get("args")
    if isinstance(args, str):  # in a cell of a table
        with suppress(ValueError, RecursionError):
            args = json.loads(args)
    if not isinstance(args, dict):
        problems.add(line, "args", f"is {reprlib.repr(args)}", "a JSON object")
        args = {}
    elif verifier:
        for problem in check_args(verifier, args):
            problems.add(line, "args", problem, "valid arguments of the verifier")
    difficulty = row.get("difficulty", "medium")
    if difficulty not in DIFFICULTIES:
        problems.add(line, "difficulty", f"is {reprlib.repr(difficulty)}", f"one of {', '.join(DIFFICULTIES)}")
    cluster = checked_text(row["cluster"], "cluster", line, problems) if "cluster" in row else item_id
    return EvaluationItem(item_id, category, prompt, verifier, args, reference, str(difficulty), cluster)


def draw_items(items: Sequence[EvaluationItem], per_category: int, project_seed: int) -> list[EvaluationItem]:
    """Draw up to `per_category` items of each category: the same for every round, so that rounds can be compared.

    The draw is stratified by difficulty and spread over the clusters, because items of one template are correlated. It
    depends on the project seed and on the items of the category, not on their order in the file.
    """
    drawn: list[EvaluationItem] = []
    for category in sorted({item.category for item in items}):
        pool = sorted((item for item in items if item.category == category), key=lambda item: item.id)
        derived_rng(project_seed, "evaluation items", category).shuffle(pool)
        strata = [[item for item in pool if item.difficulty == d] for d in DIFFICULTIES]
        quota = _proportional([len(stratum) for stratum in strata], min(per_category, len(pool)))
        used: Counter[str] = Counter()
        for stratum, n in zip(strata, quota, strict=True):
            chosen = _spread(stratum, n, used)
            used.update(item.cluster for item in chosen)
            drawn += chosen
    return drawn


def _spread(stratum: Sequence[EvaluationItem], n: int, used: Mapping[str, int]) -> list[EvaluationItem]:
    """`n` items, in order of how many items of their cluster were drawn before them."""
    counts = Counter(used)
    ranked = []
    for item in stratum:
        ranked.append((counts[item.cluster], item))
        counts[item.cluster] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])[:n]]


def split_halves(items: Sequence[EvaluationItem]) -> dict[str, str]:
    """Split the items into halves A and B and return the half of each item by id.

    The halves are as equal in size and difficulty as possible. Clusters stay together: a suspicion raised by one half
    is confirmed on the other (`weakness.py`), which must be independent. The split depends only on ids, clusters and
    difficulties.
    """
    halves: dict[str, str] = {}
    for category in sorted({item.category for item in items}):
        clusters: dict[str, list[EvaluationItem]] = {}
        for item in sorted(items, key=lambda item: item.id):
            if item.category == category:
                clusters.setdefault(item.cluster, []).append(item)
        names = sorted(clusters, key=lambda name: content_id("half", name))
        sizes = {"A": 0, "B": 0}
        difficulties: Counter[tuple[str, str]] = Counter()
        ordered = sorted((clusters[name] for name in names), key=lambda members: members[0].difficulty)
        for members in sorted(ordered, key=len, reverse=True):
            difficulty = members[0].difficulty
            half = min("AB", key=lambda h: (sizes[h] > min(sizes.values()), difficulties[h, difficulty], sizes[h], h))
            sizes[half] += len(members)
            for item in members:
                halves[item.id] = half
                difficulties[half, item.difficulty] += 1
    return halves


def first_half(round_number: int) -> str:
    """Return the half that raises suspicions in a round; the other confirms them. The roles alternate."""
    return "A" if round_number % 2 else "B"


def _proportional(sizes: Sequence[int], total: int) -> list[int]:
    """Divide `total` in proportion to `sizes`, by the largest remainder method."""
    exact = [size * total / max(sum(sizes), 1) for size in sizes]
    shares = [int(x) for x in exact]
    for i in sorted(range(len(sizes)), key=lambda i: shares[i] - exact[i])[: total - sum(shares)]:
        shares[i] += 1
    return shares
