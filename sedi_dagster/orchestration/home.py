"""DAGSTER_HOME: Dagster's own records. Everything in it can be rebuilt from the data folder (`restore`)."""

import os
import shutil
from pathlib import Path

import dagster as dg

from sedi_dagster.errors import StorageError
from sedi_dagster.orchestration.io_manager import metadata_of
from sedi_dagster.orchestration.jobs import PREPARE_ASSETS, ROUND_ASSETS
from sedi_dagster.orchestration.partitions import ROUNDS, batch_key, partition_path
from sedi_dagster.orchestration.planning import add_partitions, record_unplanned
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.project_files import project_file
from sedi_dagster.settings import PROJECT_ROOT, local_path, odd_in_path
from sedi_dagster.storage.rounds import load_history


def ensure_dagster_home(profile: str) -> Path:
    """Create DAGSTER_HOME with `dagster.yaml`, set the variable, and return the folder.

    The default is `.dagster/` in the project, or `.dagster-rehearsal/` for rehearsals, whose data is separate, too. A
    relative path is relative to the project, like the data folder's, so that it does not depend on the working folder.

    Raises:
        StorageError: the folder cannot be used or written.
    """
    default = ".dagster-rehearsal" if profile == "rehearsal" else ".dagster"
    home = PROJECT_ROOT / local_path(os.environ.get("DAGSTER_HOME") or default)
    if character := odd_in_path(str(home)):
        raise StorageError(
            f"DAGSTER_HOME {home} has {character!r} in its path, which Dagster's databases read as part of a URL.",
            "Set DAGSTER_HOME to another folder.",
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(project_file("dagster.yaml"), home / "dagster.yaml")
    except OSError as error:
        raise StorageError(
            f"DAGSTER_HOME {home} cannot be written: {error}.", "Set DAGSTER_HOME to another folder."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def prepare_for_ui(profile: str) -> None:
    """Bring Dagster's records in line with the data folder before the UI starts.

    Lost records are restored, and the partition of the first round is added if there is no round yet.

    Raises:
        SediError: DAGSTER_HOME cannot be written, or a user's file cannot be read.
    """
    ensure_dagster_home(profile)
    sedi = SediResource()
    with dg.DagsterInstance.get() as instance:
        restore(instance, sedi)
        add_partitions(sedi, instance)


def restore(instance: dg.DagsterInstance, sedi: SediResource) -> list[str]:
    """Record partitions of the data folder that are missing from Dagster's records, as after DAGSTER_HOME was lost.

    Returns:
        The restored partitions, as `asset partition`; empty if the records are complete.
    """
    store, restored = sedi.store(), list[str]()
    history = load_history(store)
    instance.add_dynamic_partitions(str(ROUNDS.name), [plan.round for plan in history.plans])
    expected: list[tuple[str, str | None]] = [(asset, None) for asset in PREPARE_ASSETS]
    for plan in history.plans:
        expected += [("generated_batches", batch_key(c, plan.round)) for c in plan.category_ids]
        expected += [(asset, plan.round) for asset in ROUND_ASSETS if asset != "sft_dataset"]
    expected.append(("sft_dataset", None))
    materialized = {asset: instance.get_materialized_partitions(dg.AssetKey(asset)) for asset, key in expected if key}
    for asset, partition in expected:
        parts = (asset, *partition_path(partition))
        marker = store.tables_marker(*parts)
        if partition is None:
            recorded = instance.get_latest_materialization_event(dg.AssetKey(asset)) is not None
        else:
            recorded = str(partition) in materialized[asset]
        if marker is not None and not recorded:
            rows = {f"rows/{name}": table["rows"] for name, table in marker["tables"].items()}
            event = dg.AssetMaterialization(
                asset,
                description="Restored from the data folder.",
                partition=partition,
                metadata=metadata_of(store, *parts) or rows,
                tags={"dagster/data_version": marker["data_version"]},
            )
            instance.report_runless_asset_event(event)
            restored.append(asset if partition is None else f"{asset} {partition}")
    if restored:
        for plan in history.plans:
            record_unplanned(sedi, instance, plan.round)
    return restored
