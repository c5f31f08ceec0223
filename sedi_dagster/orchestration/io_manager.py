"""Assets as Parquet in the data folder: `assets/<asset>/<round>/<category>/<table>.parquet`."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from sedi_dagster.orchestration.checking import NAMES
from sedi_dagster.orchestration.open_lineage import emit_open_lineage
from sedi_dagster.orchestration.outputs import as_dagster_failure, metadata_from_json, metadata_to_json
from sedi_dagster.orchestration.partitions import MANY, partition_path
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables
from sedi_dagster.settings import SIMULATED
from sedi_dagster.storage.rounds import load_history, load_plan
from sedi_dagster.storage.store import Store, tables_version
from sedi_dagster.storage.superseding import supersede


class TablesIOManager(dg.ConfigurableIOManager):
    """Stores `Tables` as Parquet with a completion marker.

    `inputs/` records the data versions of a partition's inputs, its metadata in Dagster, and its checks. If a partition
    of a finished round is rebuilt, its previous data is kept (`superseding`).
    """

    sedi: dg.ResourceDependency[SediResource]

    @as_dagster_failure()
    def handle_output(self, context: dg.OutputContext, obj: Tables) -> None:
        """Write the record of a partition's inputs, then its tables, and the marker last."""
        asset, store = context.asset_key.path[-1], self.sedi.store()
        parts = (asset, *partition_path(context.asset_partition_key if context.has_asset_partitions else None))
        upstream = [dep.asset_key.path[-1] for dep in context.asset_spec.deps]
        replaced = context.has_asset_partitions and supersede(
            store, parts[1], parts, tables_version(obj), context.run_id
        )
        if replaced:
            _report_superseded(context, parts)
        if self.sedi.settings().teacher.is_simulated and "teacher" not in context.output_metadata:
            context.add_output_metadata({"teacher": SIMULATED})
        record: dict[str, Any] = {
            "data_version": tables_version(obj),
            "inputs": dict(_input_versions(store, upstream, parts)),
            "metadata": metadata_to_json(context.output_metadata),
            "checks": NAMES.get(asset, []),
        }
        store.write_sealed(record, *_inputs_file(parts))
        marker = store.write_tables(obj, *parts)
        if self.sedi.settings().openlineage:
            emit_open_lineage(context, str(store.root), "/".join(parts), marker, record["inputs"])
        context.add_output_metadata({"dagster/uri": str(store.path("assets", *parts))})

    @as_dagster_failure()
    def load_input(self, context: dg.InputContext) -> Tables | dict[str, Tables]:
        """Return the tables of the upstream partition, or those of several by partition key (`MANY`)."""
        store = self.sedi.store()
        asset = context.asset_key.path[-1]
        if not context.has_asset_partitions:
            return store.read_tables(asset)
        if not (context.definition_metadata or {}).get(MANY):
            return store.read_tables(asset, *partition_path(context.asset_partition_key))
        existing = [key for key in context.asset_partition_keys if store.tables_marker(asset, *partition_path(key))]
        return {key: store.read_tables(asset, *partition_path(key)) for key in existing}


def _report_superseded(context: dg.OutputContext, parts: tuple[str, ...]) -> None:
    """Report, in the log and as a check of the manifest, that the manifest no longer agrees with the data."""
    message = (
        f"{parts[1]} was finished: the previous data of {'/'.join(parts)} is kept in superseded/{parts[1]}. "
        "Materialize everything downstream, including lineage_manifest, to make the round consistent again."
    )
    context.log.warning(message)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("lineage_manifest"),
        check_name="the_manifest_agrees_with_the_data",
        passed=False,
        metadata={},
        severity=dg.AssetCheckSeverity.WARN,
        description=message,
        partition=parts[1],
    )
    # As an event of this run: without a run, Dagster's records hold one result of a check and partition, ever.
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, context.job_name, event_specific_data=evaluation
    )
    context.step_context.instance.report_dagster_event(event, context.run_id)


def _input_versions(store: Store, upstream: list[str], parts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(path, data version) of the upstream partitions; without partitions of its own, those of all finished rounds."""
    round_key = parts[1] if len(parts) > 1 else None
    plan = load_plan(store, round_key) if round_key else None
    finished = [] if round_key else [outcome.round for outcome in load_history(store).finished]
    for asset in upstream:
        paths: list[tuple[str, ...]] = [(asset,), *((asset, done) for done in finished)]
        if plan is not None and round_key is not None:
            paths += [(asset, round_key), *((asset, round_key, category) for category in plan.category_ids)]
        for path in paths:
            marker = store.tables_marker(*path)
            if marker is not None:
                yield "/".join(path), marker["data_version"]


def inputs_of(store: Store, *parts: str) -> dict[str, str]:
    """Return the data version, by path, of each partition that a partition was made from; empty if unknown."""
    return dict(_record(store, parts).get("inputs", {}))


def metadata_of(store: Store, *parts: str) -> dict[str, Any]:
    """Return the metadata of a partition's materialization; empty if unknown."""
    return metadata_from_json(_record(store, parts).get("metadata", {}))


def _record(store: Store, parts: tuple[str, ...]) -> dict[str, Any]:
    """The record of a partition in `inputs/`; empty if there is none, or if it belongs to other data."""
    marker, record = store.tables_marker(*parts), store.read_json(*_inputs_file(parts))
    if marker is None or record is None or record["data_version"] != marker["data_version"]:
        return {}
    return dict(record)


def _inputs_file(parts: tuple[str, ...]) -> tuple[str, ...]:
    return ("inputs", *parts[:-1], f"{parts[-1]}.json")
