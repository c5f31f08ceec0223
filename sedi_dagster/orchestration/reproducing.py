"""`sedi reproduce ROUND`: rebuilds a finished round from the ledger alone, in a separate folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from sedi_dagster.definitions import build_defs
from sedi_dagster.errors import SediError, WorkloadError
from sedi_dagster.lineage.manifest import ROUND_ASSETS
from sedi_dagster.lineage.replica import Compared, compare_round, make_replica, recorded_manifest, recorded_settings
from sedi_dagster.orchestration.checking import part_of
from sedi_dagster.orchestration.failures import USER_ERROR
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.partitions import ROUNDS, batch_key
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import step_failures
from sedi_dagster.settings import Settings
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.ledger_url import ledger_url
from sedi_dagster.teacher.open import recorded_answers_only

Tell = Callable[[str], None]


def reproduce(settings: Settings, round_key: str, tell: Tell) -> list[Compared]:
    """Generate, filter, train and evaluate a round again, and compare what comes out with what was recorded.

    Calls are answered from the ledger; a call that is not there ends it. Training and evaluation are run anew, on the
    checkpoint that the round was built on.

    Raises:
        SediError: the round is not finished, its input files have changed, or a call is not in the ledger.
    """
    store = Store(settings.data_root)
    manifest = recorded_manifest(store, round_key)
    overrides = recorded_settings(manifest, settings)
    folder = settings.path(settings.cache) / "reproduce" / round_key
    try:
        replica = make_replica(store, manifest, ledger_url(settings), folder / "data")
        _share_models(settings.path(settings.cache), folder / "cache")
        overrides |= {
            "data": str(folder / "data"),
            "cache": str(folder / "cache"),
            "openlineage": False,
            "compute": "local",  # workers elsewhere do not see the folder
            "ledger": f"sqlite:///{folder / 'data' / 'ledger.sqlite'}",
        }
        sedi = SediResource(recorded=overrides)
        defs = build_defs({"sedi": sedi, "io_manager": TablesIOManager(sedi=sedi)})
        categories = [planned["category"] for planned in manifest["plan"]["categories"]]
        with dg.DagsterInstance.ephemeral() as instance, recorded_answers_only():
            instance.add_dynamic_partitions(str(ROUNDS.name), [round_key])
            for category in categories:
                tell(f"{round_key}: generate {category} from the ledger")
                _run(defs, instance, "generate_batch", str(batch_key(category, round_key)), ["generated_batches"])
            for asset in ROUND_ASSETS:
                tell(f"{round_key}: {asset}")
                _run(defs, instance, "train_round", round_key, [asset])
        return compare_round(store, replica, manifest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _share_models(cache: Path, folder: Path) -> None:
    """The converted student is not converted again; what evaluations found out is found out again."""
    folder.mkdir(parents=True, exist_ok=True)
    (cache / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(cache / "models", target_is_directory=True)


def _run(defs: dg.Definitions, instance: dg.DagsterInstance, job: str, partition: str, assets: list[str]) -> None:
    result = part_of(defs.resolve_job_def(job), assets).execute_in_process(
        instance=instance,
        partition_key=partition,
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        raise_on_error=False,
    )
    if not result.success:
        raise _error(instance, result.run_id, f"{assets[0]} of {partition}")


def _error(instance: dg.DagsterInstance, run_id: str, name: str) -> SediError:
    """Why a run failed, in its own words."""
    for failure in step_failures(instance, run_id):
        user_data = failure.user_failure_data
        if user_data is not None and USER_ERROR in user_data.metadata:
            return SediError(str(user_data.metadata["problem"].value), str(user_data.metadata["fix"].value))
        if failure.error is not None:
            return WorkloadError(f"{name} failed: {(failure.error.cause or failure.error).message.strip()}")
    return WorkloadError(f"{name} did not succeed.")
