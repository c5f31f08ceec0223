"""Verification of the data folder as an asset check, the same as `sedi verify`."""

from typing import Any

import dagster as dg

from sedi_dagster.lineage.verify import verify
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.settings import load_settings
from sedi_dagster.teacher.ledger_url import ledger_url

LISTED = 20
_LOOP = load_settings().loop


# In a run that makes the manifest by hand it comes last: until its other parts are judged, something is missing.
@dg.asset_check(asset="lineage_manifest", op_tags={"dagster/priority": "-1"})
def the_data_folder_is_as_recorded(sedi: SediResource) -> dg.AssetCheckResult:
    """Every file, call and example against the manifests: what was changed, is missing or has no origin."""
    report = verify(sedi.store(), ledger_url(sedi.settings()))
    listed = [str(finding) for finding in report.findings[:LISTED]]
    return dg.AssetCheckResult(
        passed=report.passed,
        description="; ".join(listed) or "All is as it was written.",
        metadata={
            "findings": len(report.findings),
            "found": dg.MetadataValue.json(listed),
            "notes": dg.MetadataValue.json(report.notes[:LISTED]),
            "files": report.files,
            "calls": report.calls,
            "head": report.head or "no round is finished yet",
        },
    )


verify_records = dg.define_asset_job(
    "verify_records",
    selection=dg.AssetSelection.checks(the_data_folder_is_as_recorded),
    description="Compare the whole data folder with the manifests, as `sedi verify` does.",
)
nightly_verification: Any = dg.ScheduleDefinition(
    name="nightly_verification",
    job=verify_records,
    cron_schedule=_LOOP.verification_cron,
    execution_timezone=_LOOP.nightly_timezone,
    description=f"Compares the whole data folder with the manifests ({_LOOP.verification_cron}, "
    f"{_LOOP.nightly_timezone}), as `sedi verify` does. A finding fails a check of lineage_manifest.",
)
