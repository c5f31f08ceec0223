"""A page on the last day: what ran, what it cost and gained, what failed, what is next.

The schedule `morning_summary` writes `reports/morning.html`; materialize the asset to update it now.
Tables: `pages` (path under the data folder, SHA-256 and size).
"""

import dagster as dg
import polars as pl

from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.orchestration.outputs import as_dagster_failure, page_url, table_output
from sedi_dagster.orchestration.reporting import last_night
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables
from sedi_dagster.reporting.morning import morning_lines, render_morning

PAGE = "reports/morning.html"


@dg.asset(deps=["lineage_manifest"], kinds={"html"}, code_version="1", description=__doc__)
def morning_page(context: dg.AssetExecutionContext, sedi: SediResource) -> dg.Output[Tables]:
    with as_dagster_failure():
        store = sedi.store()
        night = last_night(sedi, context.instance)
        page = render_morning(night)
        store.write_text(page, PAGE)
        sha256 = file_hashes(store, [PAGE])[PAGE]
    return table_output(
        {"pages": pl.DataFrame({"path": [PAGE], "sha256": [sha256], "bytes": [len(page.encode())]})},
        metadata={
            "page": dg.MetadataValue.url(page_url("morning")),
            "summary": dg.MetadataValue.md(morning_lines(night)),
            "rounds_finished": len(night.rounds),
            "runs_failed": sum(run.failed for run in night.runs),
            "tokens": night.tokens,
        },
    )
