"""The second half of `filtered_batches`: training rows, embeddings, batches, diversity metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from sedi_dagster.batching.composition import compose, training_rows
from sedi_dagster.batching.diversity import MEASURED_ROWS, equal_size_distance, equal_size_draws, in_batch, whole_set
from sedi_dagster.batching.embed_rows import VECTORS
from sedi_dagster.batching.embedding import embed
from sedi_dagster.batching.example_table import replace_round
from sedi_dagster.batching.vectors import StoredVectors
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import kept_examples
from sedi_dagster.orchestration.workloads import clear_workload, rows_file, run_workload
from sedi_dagster.records import RoundPlan, Tables, derived_seed

if TYPE_CHECKING:
    import numpy as np

DIVERSITY_SCHEMA = {
    "scope": pl.String,  # batches: within batches; round: examples kept in it; pool: examples kept in all rounds so far
    "measure": pl.String,
    "value": pl.Float64,
    "random": pl.Float64,  # value for random batches of the same rows; null for whole sets
    "embedding_model": pl.String,
}


MAX_EMBEDDED_LOCALLY = 1000
"""Larger numbers of texts are embedded by a Ray job, which takes seconds to start."""


def stored_vectors(sedi: SediResource, context: dg.AssetExecutionContext | None = None) -> StoredVectors:
    """Return a function from texts to their vectors, with each text embedded only once over all rounds.

    Args:
        context: given by assets with many texts, which are embedded by a Ray job if `SEDI_COMPUTE` is `ray`.
    """
    settings = sedi.settings()
    uri, model = str(sedi.store().path("lance")), settings.batching.embedding_model
    if settings.compute != "ray" or context is None:
        return StoredVectors(uri, model)
    name = f"embed-{context.partition_key}"

    def embed_on_ray(texts: Sequence[str], model_name: str) -> np.ndarray:
        import numpy as np

        if len(texts) <= MAX_EMBEDDED_LOCALLY:
            return embed(texts, model_name)
        rows = rows_file(settings, f"texts-{context.partition_key}", pl.DataFrame({"text": texts}))
        job = {"model": model_name, "rows": rows}
        output = run_workload(context, "sedi_dagster.batching.embed_rows", settings, name, job)
        vectors: np.ndarray = np.load(output / VECTORS, allow_pickle=False)
        clear_workload(settings, name)
        return vectors

    return StoredVectors(uri, model, embed_on_ray)


def compose_round(
    sedi: SediResource,
    plan: RoundPlan,
    examples: pl.DataFrame,
    rows: pl.DataFrame,
    human_instructions: list[str],
    vectors_of: StoredVectors,
) -> tuple[Tables, dict[str, float]]:
    """Compose a round's training batches, and measure their diversity.

    Args:
        examples: examples kept in this round: example_id, round, category, instruction, input, output.
        rows: training rows of the round (`rows_to_train`), its own examples first.
        human_instructions: instructions of all human seed tasks, the reference for diversity.
        vectors_of: see `stored_vectors`.

    Returns:
        The tables `batches` and `diversity`; and figures for the UI, which include the diversity table as
        `in_batch_distance`, `in_batch_distance_random`, `pool_novelsum`, ...
    """
    settings = sedi.settings()
    size, seed = settings.batching.batch_size, (settings.project_seed, plan.round)
    vectors = vectors_of(rows["instruction"].to_list())
    batches = compose(vectors, size, settings.batching.composition, *seed)
    total = replace_round(
        str(sedi.store().path("lance")), plan.round, examples, vectors[: examples.height], vectors_of.model
    )
    inside, by_chance = in_batch(vectors, batches), in_batch(vectors, compose(vectors, size, "random", *seed))
    reference = vectors_of(human_instructions)
    pool = pl.concat([kept_examples(sedi, plan.round), examples])
    measured: list[tuple[str, str, float, float | None]] = [
        ("batches", name, value, by_chance[name]) for name, value in inside.items()
    ]
    for scope, kept in (("round", examples), ("pool", pool)):
        sample = kept.sample(min(kept.height, MEASURED_ROWS), seed=derived_seed(*seed, "measured"))
        texts = sample["instruction"].to_list()
        of_set = whole_set(vectors_of(texts), texts, reference)
        measured += [(scope, name, value, None) for name, value in of_set.items()]
    measured += [("pool", name, value, None) for name, value in _equal_size_measures(pool, vectors_of, *seed)]
    figures: dict[str, float] = {"examples_of_all_rounds": total, "texts_embedded": vectors_of.embedded}
    for scope, measure, value, random in measured:
        name = f"{scope.replace('batches', 'in_batch')}_{measure}"
        figures |= {name: value} if random is None else {name: value, f"{name}_random": random}
    diversity = pl.DataFrame([(*row, vectors_of.model) for row in measured], schema=DIVERSITY_SCHEMA, orient="row")
    return {"batches": training_rows(rows, batches), "diversity": diversity}, figures


def _equal_size_measures(pool: pl.DataFrame, vectors_of: StoredVectors, *seed: object) -> list[tuple[str, float]]:
    """The metrics that `the_pool_stays_diverse` tracks over rounds; empty until there are enough examples."""
    draws = equal_size_draws(pool, *seed)
    if not draws:
        return []
    drawn = sorted({row for draw in draws for row in draw})
    index = {row: number for number, row in enumerate(drawn)}
    vectors = vectors_of(pool["instruction"].gather(drawn).to_list())
    distance, error = equal_size_distance(vectors, [[index[row] for row in draw] for draw in draws])
    return [("equal_size_distance", distance), ("equal_size_error", error)]
