"""OpenLineage events of the partitions that the loop makes, for who collects the lineage of many systems in one place.

Off unless `SEDI_OPENLINEAGE` is set. Where the events go is for the client to know, as for all its users:
`OPENLINEAGE_URL`, `OPENLINEAGE_API_KEY`, or a file `openlineage.yml`. The jobs are the assets; the datasets are the
partitions, each with its data version. https://openlineage.io/docs/spec/object-model
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from sedi_dagster import __version__

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

NAMESPACE = "sedi-dagster"
PRODUCER = f"urn:sedi-dagster:{__version__}"


@dataclass(frozen=True)
class MadePartition:
    """A partition that was written.

    Attributes:
        root: the data folder, a path or a URL.
        path: below `assets/`, the asset first.
        marker: of the partition: data version, rows of each table.
        inputs: data version of each partition that it was made of, by path below `assets/`.
        run_id, job: of the Dagster run (a UUID) that made it.
        began, ended: with time zone.
    """

    root: str
    path: str
    marker: Mapping[str, Any]
    inputs: Mapping[str, str]
    run_id: str
    job: str
    began: datetime
    ended: datetime


def emit(made: MadePartition) -> None:
    """Send the START and the COMPLETE event of a partition.

    Raises:
        OSError, ValueError: the receiver cannot be reached or refused them; the client's settings cannot be read.
    """
    from openlineage.client import OpenLineageClient

    client = OpenLineageClient()
    try:
        for event in run_events(made):
            client.emit(event)
    finally:
        client.close()


def run_events(made: MadePartition) -> list[RunEvent]:
    """The events of a partition: its run began, and completed with these datasets."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        job_type_job,
        output_statistics_output_dataset,
        parent_run,
    )

    def version(of: str) -> dict[str, Any]:
        return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=of, producer=PRODUCER)}

    tables = made.marker["tables"].values()
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=sum(table["rows"] for table in tables), fileCount=len(tables), producer=PRODUCER
    )
    kind = job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="DAGSTER", jobType="ASSET", producer=PRODUCER
    )
    parent = parent_run.ParentRunFacet(
        run=parent_run.Run(runId=made.run_id), job=parent_run.Job(namespace=NAMESPACE, name=made.job), producer=PRODUCER
    )
    run_id = str(uuid5(NAMESPACE_URL, f"{made.run_id}/{made.path}/{made.marker['data_version']}"))
    shared: dict[str, Any] = {
        "run": Run(run_id, facets={"parent": parent}),
        "job": Job(NAMESPACE, made.path.split("/")[0], facets={"jobType": kind}),
        "inputs": [InputDataset(*dataset(made.root, p), facets=version(v)) for p, v in sorted(made.inputs.items())],
        "producer": PRODUCER,
    }
    output = OutputDataset(
        *dataset(made.root, made.path),
        facets=version(made.marker["data_version"]),
        outputFacets={"outputStatistics": statistics},
    )
    return [
        RunEvent(eventType=RunState.START, eventTime=made.began.isoformat(), outputs=[], **shared),
        RunEvent(eventType=RunState.COMPLETE, eventTime=made.ended.isoformat(), outputs=[output], **shared),
    ]


def dataset(root: str, path: str) -> tuple[str, str]:
    """Namespace and name of a partition, by OpenLineage's rules for files and object stores."""
    url = urlsplit(f"{root.rstrip('/')}/assets/{path}")
    if url.scheme in ("", "file"):
        return "file", url.path
    return f"{url.scheme}://{url.netloc}", url.path.lstrip("/")
