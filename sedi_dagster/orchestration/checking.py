"""How asset checks run and how their results are stored.

A result is written next to the data (`checks/<asset>/<partition>/<check>.json`) with the data version that was checked.
The loop continues from a partition only if every blocking check passed on its current data. This also holds if the
process was killed between writing the data and checking it, or if Dagster's own records were lost.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from sedi_dagster.orchestration.outputs import as_dagster_failure
from sedi_dagster.orchestration.partitions import CATEGORY_ROUNDS, ROUNDS, partition_path
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables
from sedi_dagster.storage.store import Store

CHECKS: list[Any] = []
"""All registered checks, for the definitions."""

NAMES: dict[str, list[str]] = {}
"""Names of the checks by asset."""

BLOCKING: dict[str, list[str]] = {}
"""Names of the blocking checks by asset."""

_PARTITIONS = {
    "generated_batches": CATEGORY_ROUNDS,
    "seed_pool": None,
    "baseline_scores": None,
    "sft_dataset": None,
    "morning_page": None,
}


@dataclass(frozen=True)
class Checked:
    """A partition to check: its key (None: the asset has no partitions) and its tables."""

    sedi: SediResource
    partition: str | None
    tables: Tables

    @property
    def round(self) -> str:
        return str(self.partition).rpartition("|")[2]


@dataclass(frozen=True)
class Finding:
    """What a check found. `message` is for users; `figures` are numbers that plot over rounds."""

    passed: bool
    message: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


CheckFunction = Callable[[Checked], Finding]


def check(asset: str, *, blocking: bool = False, name: str = "") -> Callable[[CheckFunction], dg.AssetChecksDefinition]:
    """Decorator that registers a function as an asset check, described by its docstring.

    Args:
        blocking: a failure prevents downstream work. Otherwise it is a warning.
        name: name of the check, if it differs from the function's because the function is used for several checks.
    """
    partitions = _PARTITIONS.get(asset, ROUNDS)
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN

    def decorator(function: CheckFunction) -> dg.AssetChecksDefinition:
        check_name = name or function.__name__

        @dg.asset_check(
            asset=asset, name=check_name, description=function.__doc__, blocking=blocking, partitions_def=partitions
        )
        def run_check(context: dg.AssetCheckExecutionContext, sedi: SediResource) -> dg.AssetCheckResult:
            with as_dagster_failure():
                key = context.partition_key if partitions is not None else None
                store, parts = sedi.store(), (asset, *partition_path(key))
                tables = store.read_tables(*parts)
                version = (store.tables_marker(*parts) or {})["data_version"]
                found = function(Checked(sedi, key, tables))
                verdict = {"data_version": version, "passed": found.passed, "blocking": blocking, "said": found.message}
                store.write_sealed(verdict, "checks", *parts, f"{check_name}.json")
            return dg.AssetCheckResult(
                passed=found.passed,
                severity=severity,
                description=found.message or None,
                metadata={**found.figures, "data_version": version},
            )

        CHECKS.append(run_check)
        NAMES.setdefault(asset, []).append(check_name)
        if blocking:
            BLOCKING.setdefault(asset, []).append(check_name)
        return run_check

    return decorator


def checks_of(assets: Iterable[str]) -> list[dg.AssetCheckKey]:
    """Return the checks that run when the assets are materialized.

    The verification is not one of them, as it reads the whole data folder.
    """
    return [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset in assets for name in NAMES.get(asset, ())]


def job_subset(job: dg.JobDefinition, assets: Sequence[str]) -> dg.JobDefinition:
    """Return the job restricted to the given assets and their checks; without assets, the whole job."""
    if not assets:
        return job
    return job.get_subset(
        asset_selection={dg.AssetKey(asset) for asset in assets}, asset_check_selection=set(checks_of(assets))
    )


def not_passed(store: Store, asset: str, *parts: str) -> list[str]:
    """Return the blocking checks that have not run, or not passed, on the current data of a partition."""
    marker = store.tables_marker(asset, *parts)
    version = marker["data_version"] if marker else None
    verdicts = {name: store.read_json("checks", asset, *parts, f"{name}.json") for name in BLOCKING.get(asset, ())}
    return [
        name
        for name, verdict in verdicts.items()
        if verdict is None or not verdict["passed"] or verdict["data_version"] != version
    ]
