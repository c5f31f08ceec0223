"""How assets are presented in the UI: group, owner, tags, column lineage (`catalogue.yaml`), freshness, automation."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from sedi_dagster.yaml_file import read_yaml

_FILE = read_yaml(Path(__file__).with_suffix(".yaml"))
CATALOGUE: dict[str, dict[str, Any]] = _FILE["assets"]

STALE_AFTER = timedelta(days=8)
"""A nightly loop that has stopped writes no scores, so only more than a week without any suggests a failure."""


def with_catalogue(assets: Sequence[Any]) -> list[Any]:
    """Return the assets with their catalogue entries and links to their source files."""
    return list(dg.with_source_code_references([*dg.map_asset_specs(_spec, assets)]))


def _spec(spec: dg.AssetSpec) -> dg.AssetSpec:
    name = spec.key.path[-1]
    entry = CATALOGUE[name]
    about = (spec.description or "").replace("\nTables:", "\n\n**Tables:**").strip()
    changed: dict[str, Any] = {
        "description": f"{about}\n\n**How it is made:** {_FILE['how'][entry['job']]}",
        "group_name": entry["group"],
        "owners": [entry["owner"]],
        "tags": {**spec.tags, "spends": entry["spends"]},
        "metadata": {**spec.metadata, **column_lineage(entry.get("columns", {}))},
    }
    if name == "evaluation_scores":
        changed["freshness_policy"] = dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER)
    if name in ("round_report", "sft_dataset"):
        changed["automation_condition"] = _rebuild_after_manifest(name)
    return spec.replace_attributes(**changed)


def _rebuild_after_manifest(name: str) -> dg.AutomationCondition[Any]:
    """Rebuild the asset when a user rebuilt the manifest of a finished round, unless the same run rebuilds both.

    Only for assets that are cheap and have no downstream assets. Without a manifest nothing is requested.
    """
    manifest = dg.AssetSelection.assets("lineage_manifest")
    return (
        dg.AutomationCondition.any_deps_match(
            dg.AutomationCondition.newly_updated() & ~dg.AutomationCondition.executed_with_root_target()
        ).allow(manifest)
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label(f"{name}: the manifest was rebuilt")


def column_lineage(columns: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return column lineage as asset metadata, given the columns taken from each upstream asset; empty if none are."""
    dependencies = {
        name: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name)]
        for asset, names in columns.items()
        for name in names
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(dependencies)} if dependencies else {}
