"""The Dagster definitions: the composition root of assets and orchestration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

import assets
from sedi_dagster.orchestration import checks  # noqa: F401 - registers the checks
from sedi_dagster.orchestration.catalogue import with_catalogue
from sedi_dagster.orchestration.checking import CHECKS
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.jobs import JOBS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.schedules import SCHEDULES
from sedi_dagster.orchestration.sensors import SENSORS

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # versions are pinned, and users cannot act on the warnings


def build_defs(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Build the definitions.

    Args:
        resources: replace resources of the same name, as in tests and `sedi reproduce`.
    """
    sedi = SediResource.configure_at_launch()  # shared, so that overrides in the launchpad apply to the storage, too
    return dg.Definitions(
        assets=with_catalogue(dg.load_assets_from_package_module(assets)),
        asset_checks=CHECKS,
        jobs=JOBS,
        sensors=SENSORS,
        schedules=SCHEDULES,
        # Steps are cheap or run in separate processes anyway; a further process would cost seconds per step.
        executor=dg.in_process_executor,
        resources={"sedi": sedi, "io_manager": TablesIOManager(sedi=sedi), **(resources or {})},
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs()
