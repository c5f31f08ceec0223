"""Superseded data: what a partition of a finished round held before it was materialized again.

    superseded/<round>/<number>.json            what was replaced by what, when, by which run; SHA-256 of each file
    superseded/<round>/<number>/...             the tables (and weights) as they were

Examples that were exported earlier can therefore still be traced, and an audit shows what happened. The former manifest
is kept where the chain of manifests expects it (`lineage.manifest`).
"""

from datetime import UTC, datetime
from typing import Any

from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.store import Store

FOLDER = "superseded"


def supersede(store: Store, round_key: str, parts: tuple[str, ...], now: str, run_id: str) -> bool:
    """Keep a copy of a finished round's partition before other data replaces it.

    A second call for the same replacement keeps no second copy.

    Args:
        parts: the partition's path below `assets/`, including the asset.
        now: data version of the new data.
        run_id: the run that writes the new data.

    Returns:
        False if there was nothing to keep: the round is not finished, or the data is the same.
    """
    marker = store.tables_marker(*parts)
    if marker is None or marker["data_version"] == now or not store.exists("manifests", f"{round_key}.json"):
        return False
    replaced = {"partition": "/".join(parts), "was": marker["data_version"], "is": now}
    if any(record.items() >= replaced.items() for record in superseded(store, round_key)[-1:]):
        return True
    number = f"{max(map(int, store.record_names(FOLDER, round_key)), default=0) + 1:04d}"
    kept = (FOLDER, round_key, number)
    store.copy(("assets", *parts), (*kept, *parts))
    if parts[0] == "sft_checkpoint":
        store.copy(("checkpoints", round_key), (*kept, "checkpoint"))
    files = {path: file_sha256(store.path(path)) for path in store.files(*kept)}
    entry = {"run_id": run_id, "at": datetime.now(UTC).isoformat(timespec="seconds"), "files": files}
    store.write_sealed(replaced | entry, FOLDER, round_key, f"{number}.json")
    return True


def superseded(store: Store, round_key: str) -> list[dict[str, Any]]:
    """Return the records of what was replaced in a round after it was finished, oldest first."""
    return [store.read_json(FOLDER, round_key, f"{name}.json") for name in store.record_names(FOLDER, round_key)]


def disagreements(store: Store, manifest: dict[str, Any]) -> list[str]:
    """Return the partitions that are missing or differ from what a manifest records, in words."""
    differences = []
    for name, version in manifest["partitions"].items():
        marker = store.tables_marker(name)
        if version is None or marker is None:
            differences.append(f"{name} is missing")
        elif marker["data_version"] != version:
            differences.append(f"{name} was {version[:8]}, is {marker['data_version'][:8]}")
    return differences
