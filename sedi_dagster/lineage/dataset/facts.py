"""Facts for the dataset card about how the examples were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sedi_dagster.settings import Settings
from sedi_dagster.storage.rounds import LoopHistory
from sedi_dagster.storage.store import Store


@dataclass(frozen=True)
class DatasetFacts:
    """Sums are over the rounds that the examples are of. `usd`: None if a price is not known for every call.

    Attributes:
        teachers, methods: as the manifests have them, most frequent first.
        verdicts: candidates by state and rule.
        diversity: measures of what all rounds kept, by name, as of the last of the rounds.
        heads: SHA-256-chained manifests: rounds and the commit that made each.
    """

    teachers: Sequence[str]
    bundled_teacher: bool
    student: str
    simulated: bool
    profile: str
    rounds: Sequence[str]
    candidates: int
    tokens: int
    usd: float | None
    verdicts: dict[str, int]
    methods: dict[str, int]
    filtering: dict[str, Any]
    diversity: dict[str, float]


def dataset_facts(store: Store, settings: Settings, history: LoopHistory, rounds: Sequence[str]) -> DatasetFacts:
    """Read the facts of these rounds from manifests and tables."""
    outcomes = [outcome for outcome in history.finished if outcome.round in rounds]
    manifests = [store.read_json("manifests", f"{outcome.round}.json") for outcome in outcomes]
    verdicts: Counter[str] = Counter()
    methods: Counter[str] = Counter()
    teachers: Counter[str] = Counter()
    for manifest in manifests:
        verdicts.update(manifest.get("verdicts", {}))
        methods.update(manifest.get("prompts", {}))
        teacher = manifest.get("settings", {}).get("teacher", {})
        teachers[str(teacher.get("model", settings.teacher.model))] += 1
    costs = [outcome.cost_usd for outcome in outcomes]
    known = [cost for cost in costs if cost is not None]
    return DatasetFacts(
        teachers=[settings.teacher.shown] if settings.teacher.is_simulated else [n for n, _ in teachers.most_common()],
        bundled_teacher=settings.teacher.base_url is None,
        student=settings.training.student,
        simulated=settings.teacher.is_simulated,
        profile=settings.profile,
        rounds=[outcome.round for outcome in outcomes],
        candidates=sum(outcome.candidates for outcome in outcomes),
        tokens=sum(outcome.tokens for outcome in outcomes),
        usd=sum(known) if len(known) == len(costs) else None,
        verdicts=dict(verdicts),
        methods=dict(methods),
        filtering=settings.filtering.model_dump(mode="json"),
        diversity=_diversity(store, outcomes[-1].round) if outcomes else {},
    )


def _diversity(store: Store, key: str) -> dict[str, float]:
    tables = store.read_tables("filtered_batches", key)
    if "diversity" not in tables:
        return {}
    rows = tables["diversity"].iter_rows(named=True)
    return {row["measure"]: row["value"] for row in rows if row["scope"] == "pool" and row["value"] is not None}
