"""DAGSTER_HOME: Dagster's own records. Everything in it can be rebuilt from the data folder (`restore`)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg

from sedi_dagster.errors import StorageError
from sedi_dagster.orchestration.io_manager import partition_path
from sedi_dagster.orchestration.jobs import PREPARE_ASSETS, ROUND_ASSETS
from sedi_dagster.orchestration.partitions import ROUNDS, batch_key
from sedi_dagster.rounds import load_history
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.store import Store


def ensure_dagster_home(profile: str) -> Path:
    """Make DAGSTER_HOME and put `dagster.yaml` there; set the variable.

    The default is `.dagster/` in the project, and a home of its own for rehearsals, as their data is apart too.

    Raises:
        StorageError: the folder cannot be written.
    """
    default = ".dagster-rehearsal" if profile == "rehearsal" else ".dagster"
    home = Path(os.environ.get("DAGSTER_HOME") or PROJECT_ROOT / default).absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster.yaml")
    except OSError as error:
        raise StorageError(
            f"DAGSTER_HOME {home} cannot be written: {error}.", "Set DAGSTER_HOME to another folder."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def restore(instance: dg.DagsterInstance, store: Store) -> list[str]:
    """Tell Dagster of partitions that lie in the data folder but not in its records (DAGSTER_HOME was lost).

    Returns:
        What was restored, as `asset partition`. Nothing if the records are complete.
    """
    restored: list[str] = []
    known = set(instance.get_dynamic_partitions(str(ROUNDS.name)))
    history = load_history(store)
    instance.add_dynamic_partitions(str(ROUNDS.name), [p.round for p in history.plans if p.round not in known])
    wanted: list[tuple[str, str | None]] = [(asset, None) for asset in PREPARE_ASSETS]
    for plan in history.plans:
        wanted += [("generated_batches", str(batch_key(c, plan.round))) for c in plan.category_ids]
        wanted += [(asset, plan.round) for asset in ROUND_ASSETS if asset != "sft_dataset"]
    wanted.append(("sft_dataset", None))
    for asset, partition in wanted:
        marker = store.tables_marker(asset, *partition_path(partition))
        if marker is not None and not is_materialized(instance, asset, partition):
            event = dg.AssetMaterialization(
                asset,
                description="Restored from the data folder.",
                partition=partition,
                metadata={f"rows/{name}": table["rows"] for name, table in marker["tables"].items()},
                tags={"dagster/data_version": marker["data_version"]},
            )
            instance.report_runless_asset_event(event)
            restored.append(asset if partition is None else f"{asset} {partition}")
    return restored


def is_materialized(instance: dg.DagsterInstance, asset: str, partition: str | None) -> bool:
    """Whether Dagster's records have a materialization of the asset's partition."""
    key = dg.AssetKey(asset)
    if partition is None:
        return instance.get_latest_materialization_event(key) is not None
    return partition in instance.get_materialized_partitions(key)
