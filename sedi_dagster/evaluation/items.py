"""Evaluation items: reading them, and drawing the fixed subset that rounds are evaluated on."""

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
    """Read and check the items' file.

    Raises:
        InputFileError: names every bad line, its field, and what was expected.
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
    """The item of a row; what is wrong with it is noted."""
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
    """A fixed subset: the same for every round, so that rounds can be compared.

    Stratified by difficulty, and spread over the clusters: items of one template tell less than as many of several.
    It depends on the project seed and on the items of the category, not on their order in the file.
    """
    drawn: list[EvaluationItem] = []
    for category in sorted({item.category for item in items}):
        of_category = sorted((item for item in items if item.category == category), key=lambda item: item.id)
        derived_rng(project_seed, "evaluation items", category).shuffle(of_category)
        strata = [[item for item in of_category if item.difficulty == d] for d in DIFFICULTIES]
        quota = _proportional([len(stratum) for stratum in strata], min(per_category, len(of_category)))
        used: Counter[str] = Counter()
        for stratum, n in zip(strata, quota, strict=True):
            for item in _spread(stratum, n, used):
                used[item.cluster] += 1
                drawn.append(item)
    return drawn


def _spread(stratum: Sequence[EvaluationItem], n: int, used: Mapping[str, int]) -> list[EvaluationItem]:
    """`n` items, those first whose cluster has given fewest so far."""
    taken = Counter(used)
    places = []
    for item in stratum:
        places.append(taken[item.cluster])
        taken[item.cluster] += 1
    order = sorted(range(len(stratum)), key=lambda i: places[i])
    return [stratum[i] for i in order[:n]]


def split_halves(items: Sequence[EvaluationItem]) -> dict[str, str]:
    """The half, A or B, of each item by id: as equal as can be in number and difficulty, each cluster whole.

    A suspicion that one half raises is confirmed on the other (`weakness`); a cluster on both sides would carry its
    luck over. It depends on the ids alone, so an item stays in its half while the items are the same.
    """
    halves: dict[str, str] = {}
    for category in sorted({item.category for item in items}):
        clusters: dict[str, list[EvaluationItem]] = {}
        for item in sorted(items, key=lambda item: item.id):
            if item.category == category:
                clusters.setdefault(item.cluster, []).append(item)
        names = sorted(clusters, key=lambda name: content_id("half", name))
        sizes = {"A": 0, "B": 0}
        of_difficulty: Counter[tuple[str, str]] = Counter()
        ordered = sorted((clusters[name] for name in names), key=lambda members: members[0].difficulty)
        for members in sorted(ordered, key=len, reverse=True):
            difficulty = members[0].difficulty
            half = min("AB", key=lambda h: (sizes[h] > min(sizes.values()), of_difficulty[h, difficulty], sizes[h], h))
            sizes[half] += len(members)
            for item in members:
                halves[item.id] = half
                of_difficulty[half, item.difficulty] += 1
    return halves


def first_half(round_number: int) -> str:
    """The half that raises suspicions in a round; the other confirms. They change places every round."""
    return "A" if round_number % 2 else "B"


def _proportional(sizes: Sequence[int], total: int) -> list[int]:
    """Share `total` in proportion to sizes, by largest remainder."""
    exact = [size * total / max(sum(sizes), 1) for size in sizes]
    shares = [int(x) for x in exact]
    for i in sorted(range(len(sizes)), key=lambda i: shares[i] - exact[i])[: total - sum(shares)]:
        shares[i] += 1
    return shares
