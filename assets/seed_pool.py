"""The human seed tasks, read from the seed file and validated.

Human seeds are never removed from the pool; each round decides which of them its prompts show.
Tables: `seeds` (seed_id, category, instruction, input, output, is_classification, origin, and the confidence in the
category if the file did not name one).
"""

import dagster as dg

from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables
from sedi_dagster.seed_pool.languages import language_notes


@dg.asset(kinds={"polars"}, code_version="1", description=__doc__)
def seed_pool(context: dg.AssetExecutionContext, sedi: SediResource) -> dg.Output[Tables]:
    with as_dagster_failure():
        found, seeds = sedi.seed_file(), sedi.seeds()
    all_notes = [*found.notes, *language_notes(seeds["instruction"].to_list(), sedi.settings())]
    for note in all_notes:
        context.log.warning(note)
    by_category = seeds.group_by("category").len().sort("category")
    counts = {f"seeds/{category}": count for category, count in by_category.iter_rows()}
    notes = "\n".join(f"- {note}" for note in all_notes) or "Every seed task has a category."
    return table_output(
        {"seeds": seeds}, metadata={"seeds": seeds.height, **counts, "notes": dg.MetadataValue.md(notes)}
    )
