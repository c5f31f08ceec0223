"""OpenLineage events for materialized partitions, to collect the lineage of many systems in one place.

Off unless `SEDI_OPENLINEAGE` is set. The receiver is configured as usual for the OpenLineage client: by
`OPENLINEAGE_URL` and `OPENLINEAGE_API_KEY`, or in a file `openlineage.yml`. Assets are jobs; partitions are datasets,
each with its data version. https://openlineage.io/docs/spec/object-model
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import dagster as dg

from sedi_dagster import __version__

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

NAMESPACE = "sedi-dagster"
PRODUCER = f"urn:sedi-dagster:{__version__}"


def emit_open_lineage(
    context: dg.OutputContext, root: str, path: str, marker: Mapping[str, Any], inputs: Mapping[str, str]
) -> None:
    """Send the START and COMPLETE events of a partition. If the receiver cannot be reached, a warning is logged.

    Args:
        root: path or URL of the data folder.
        path: path of the partition below `assets/`.
        inputs: data versions of the upstream partitions, by path below `assets/`.
    """
    from openlineage.client import OpenLineageClient

    try:
        with closing(OpenLineageClient()) as client:
            for event in _events(context, root, path, marker, inputs):
                client.emit(event)
    except (OSError, ValueError) as error:
        context.log.warning(f"The OpenLineage event of {path} could not be sent: {error}")


def _events(
    context: dg.OutputContext, root: str, path: str, marker: Mapping[str, Any], inputs: Mapping[str, str]
) -> list[RunEvent]:
    """The START and COMPLETE events of the step that materialized the partition."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        job_type_job,
        output_statistics_output_dataset,
        parent_run,
    )

    def version(of: str) -> dict[str, Any]:
        return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=of, producer=PRODUCER)}

    tables = marker["tables"].values()
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=sum(table["rows"] for table in tables), fileCount=len(tables), producer=PRODUCER
    )
    kind = job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="DAGSTER", jobType="ASSET", producer=PRODUCER
    )
    parent = parent_run.ParentRunFacet(
        run=parent_run.Run(runId=context.run_id),
        job=parent_run.Job(namespace=NAMESPACE, name=context.job_name),
        producer=PRODUCER,
    )
    run_id = str(uuid5(NAMESPACE_URL, f"{context.run_id}/{path}/{marker['data_version']}"))
    shared: dict[str, Any] = {
        "run": Run(run_id, facets={"parent": parent}),
        "job": Job(NAMESPACE, path.split("/")[0], facets={"jobType": kind}),
        "inputs": [InputDataset(*dataset(root, p), facets=version(v)) for p, v in sorted(inputs.items())],
        "producer": PRODUCER,
    }
    output = OutputDataset(
        *dataset(root, path), facets=version(marker["data_version"]), outputFacets={"outputStatistics": statistics}
    )
    ended = datetime.now(UTC)
    steps = context.step_context.instance.get_run_step_stats(context.run_id, [context.step_context.step.key])
    began = next((datetime.fromtimestamp(step.start_time, UTC) for step in steps if step.start_time), ended)
    return [
        RunEvent(eventType=RunState.START, eventTime=began.isoformat(), outputs=[], **shared),
        RunEvent(eventType=RunState.COMPLETE, eventTime=ended.isoformat(), outputs=[output], **shared),
    ]


def dataset(root: str, path: str) -> tuple[str, str]:
    """Return the namespace and name of a partition, following OpenLineage's rules for files and object stores."""
    url = urlsplit(f"{root.rstrip('/')}/assets/{path}")
    if url.scheme in ("", "file"):
        return "file", url.path
    return f"{url.scheme}://{url.netloc}", url.path.lstrip("/")
