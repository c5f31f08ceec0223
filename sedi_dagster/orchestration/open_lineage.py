"""Sending OpenLineage events for materialized partitions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from sedi_dagster.lineage.open_lineage import MadePartition, emit


def emit_open_lineage(
    context: dg.OutputContext, root: str, parts: tuple[str, ...], marker: Mapping[str, Any], inputs: Mapping[str, str]
) -> None:
    """Send the events of a partition. A receiver that cannot be reached is a warning: the data is there."""
    made = MadePartition(
        root=root,
        path="/".join(parts),
        marker=marker,
        inputs=inputs,
        run_id=context.run_id,
        job=context.job_name,
        began=_began(context),
        ended=datetime.now(UTC),
    )
    try:
        emit(made)
    except (OSError, ValueError) as error:
        context.log.warning(f"The OpenLineage event of {made.path} could not be sent: {error}")


def _began(context: dg.OutputContext) -> datetime:
    """When the step that makes it began."""
    instance = context.step_context.instance
    for step in instance.get_run_step_stats(context.run_id, [context.step_context.step.key]):
        if step.start_time is not None:
            return datetime.fromtimestamp(step.start_time, UTC)
    return datetime.now(UTC)
