"""How assets are presented in the UI: group, owner, tags, column lineage, freshness, automation. One table for all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dagster as dg

DATA, MODEL, AUDIT = "team:data", "team:model", "team:audit"


@dataclass(frozen=True)
class Entry:
    """Attributes:
    group: `start`, `round` and `records` follow one another, so that the graph of groups reads from left to right.
    spends: what materializing it costs: `teacher-tokens`, `training-time`, or `little`.
    job: that makes it.
    columns: column of the main table -> (upstream asset, its column).
    """

    group: str
    owner: str
    spends: str
    job: str
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)


def _same(upstream: str, *names: str) -> dict[str, tuple[str, str]]:
    return {name: (upstream, name) for name in names}


_TEXTS = ("category", "instruction", "input", "output")

CATALOGUE = {
    "seed_pool": Entry("start", DATA, "little", "prepare"),
    "baseline_scores": Entry("start", MODEL, "training-time", "prepare"),
    "generated_batches": Entry("round", DATA, "teacher-tokens", "generate_batch"),
    "filtered_batches": Entry(
        "round", DATA, "little", "train_round", _same("generated_batches", "candidate_id", "category", "instruction")
    ),
    "sft_checkpoint": Entry("round", MODEL, "training-time", "train_round"),
    "seed_feedback": Entry("round", DATA, "little", "train_round", _same("seed_pool", "seed_id", *_TEXTS)),
    "evaluation_scores": Entry("round", MODEL, "training-time", "train_round"),
    "lineage_manifest": Entry("records", AUDIT, "little", "train_round"),
    "round_report": Entry("records", AUDIT, "little", "train_round"),
    "sft_dataset": Entry(
        "records", DATA, "little", "train_round", _same("filtered_batches", "example_id", "round", *_TEXTS)
    ),
    "morning_page": Entry("records", AUDIT, "little", "write_morning_page"),
}

_ROUND_STARTS = "open a round with the job `open_round`"
HOW = {
    "prepare": "the job `prepare`, launched by `round_ready_sensor` when needed. It has no prerequisites.",
    "generate_batch": f"{_ROUND_STARTS}; `round_ready_sensor` then launches one run per category. Materializing "
    "a partition of the next round also opens that round.",
    "train_round": f"{_ROUND_STARTS}; once all its batches are complete, `round_ready_sensor` launches the "
    "job `train_round`.",
    "write_morning_page": "the schedule `morning_summary`, or materialize it yourself.",
}
"""How a user starts it, by job."""

STALE_AFTER = timedelta(days=8)
"""A nightly loop that has stopped writes no scores, so only more than a week without any suggests a failure."""


def presented(assets: Sequence[Any]) -> list[Any]:
    """The assets with what the catalogue says of them, and links to their source files."""
    return list(dg.with_source_code_references([*dg.map_asset_specs(_spec, assets)]))


def _spec(spec: dg.AssetSpec) -> dg.AssetSpec:
    name = spec.key.path[-1]
    entry = CATALOGUE[name]
    about = (spec.description or "").replace("\nTables:", "\n\n**Tables:**").strip()
    changed: dict[str, Any] = {
        "description": f"{about}\n\n**How it is made:** {HOW[entry.job]}",
        "group_name": entry.group,
        "owners": [entry.owner],
        "tags": {**spec.tags, "spends": entry.spends},
        "metadata": {**spec.metadata, **column_lineage(entry.columns)},
    }
    if name == "evaluation_scores":
        changed["freshness_policy"] = dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER)
    if name in ("round_report", "sft_dataset"):
        changed["automation_condition"] = rebuilt_after_its_manifest(name)
    return spec.replace_attributes(**changed)


def rebuilt_after_its_manifest(name: str) -> dg.AutomationCondition[Any]:
    """Cheap, and nothing else is built on them: kept in step with what a person makes again in a finished round.

    Not by a run that makes them itself. Before there is a manifest nothing is asked for.
    """
    manifest = dg.AssetSelection.assets("lineage_manifest")
    return (
        dg.AutomationCondition.any_deps_match(
            dg.AutomationCondition.newly_updated() & ~dg.AutomationCondition.executed_with_root_target()
        ).allow(manifest)
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label(f"{name}: the manifest was rebuilt")


def column_lineage(columns: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Column lineage as asset metadata, from the upstream (asset, column) of each column; empty if there are none."""
    if not columns:
        return {}
    found = {
        name: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=column)]
        for name, (asset, column) in columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(found)}
