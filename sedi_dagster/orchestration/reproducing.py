"""`sedi reproduce ROUND`: rebuilds a finished round from the ledger alone, in a separate folder."""

import shutil
from collections.abc import Callable

import dagster as dg

from sedi_dagster.definitions import build_defs
from sedi_dagster.errors import WorkloadError
from sedi_dagster.lineage.manifest import ROUND_ASSETS
from sedi_dagster.lineage.replica import Comparison, compare_round, make_replica, recorded_manifest, recorded_settings
from sedi_dagster.orchestration.checking import job_subset
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.outputs import step_failures, user_error
from sedi_dagster.orchestration.partitions import ROUNDS, batch_key
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.settings import Settings
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.open import recorded_answers_only


def reproduce(settings: Settings, round_key: str, report: Callable[[str], None]) -> list[Comparison]:
    """Generate, filter, train and evaluate a round again, and compare the results with the recorded ones.

    Calls are answered from the ledger. Training and evaluation run again, from the checkpoint that the round started
    from.

    Args:
        report: called with a line of text at the beginning of each step.

    Raises:
        SediError: the round is not finished, its input files have changed, or a call is not in the ledger.
    """
    store = Store(settings.data_root)
    manifest = recorded_manifest(store, round_key)
    overrides = recorded_settings(manifest, settings)
    folder = settings.path(settings.cache) / "reproduce" / round_key
    try:
        replica = make_replica(store, manifest, settings.ledger_url, folder / "data")
        models = settings.path(settings.cache) / "models"  # shared, so that the student is not converted again
        models.mkdir(parents=True, exist_ok=True)
        (folder / "cache").mkdir(parents=True, exist_ok=True)
        (folder / "cache" / "models").symlink_to(models, target_is_directory=True)
        overrides |= {
            "data": str(folder / "data"),
            "cache": str(folder / "cache"),
            "openlineage": False,
            "compute": "local",  # remote workers cannot read the folder
            "ledger": f"sqlite:///{folder / 'data' / 'ledger.sqlite'}",
        }
        sedi = SediResource(recorded=overrides)
        defs = build_defs({"sedi": sedi, "io_manager": TablesIOManager(sedi=sedi)})
        categories = [planned["category"] for planned in manifest["plan"]["categories"]]
        with dg.DagsterInstance.ephemeral() as instance, recorded_answers_only():
            instance.add_dynamic_partitions(str(ROUNDS.name), [round_key])
            for category in categories:
                report(f"{round_key}: generate {category} from the ledger")
                _run(defs, instance, "generate_batch", str(batch_key(category, round_key)), ["generated_batches"])
            for asset in ROUND_ASSETS:
                report(f"{round_key}: {asset}")
                _run(defs, instance, "train_round", round_key, [asset])
        return compare_round(store, replica, manifest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(defs: dg.Definitions, instance: dg.DagsterInstance, job: str, partition: str, assets: list[str]) -> None:
    result = job_subset(defs.resolve_job_def(job), assets).execute_in_process(
        instance=instance,
        partition_key=partition,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if not result.success:
        for failure in step_failures(instance, result.run_id):
            if found := user_error(failure):
                raise found[1]
            if (error := failure.error) is not None:
                raise WorkloadError(f"{assets[0]} of {partition} failed: {(error.cause or error).message.strip()}")
        raise WorkloadError(f"{assets[0]} of {partition} did not succeed.")
