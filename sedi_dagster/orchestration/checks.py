"""Checks on the data of a partition. The blocking ones stop what would build on it."""

from typing import Any

import dagster as dg
import polars as pl

from sedi_dagster.batching.diversity import collapse
from sedi_dagster.orchestration.partitions import CATEGORY_ROUNDS, ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.verifying import the_data_folder_is_as_recorded
from sedi_dagster.records import Tables


@dg.asset_check(asset="generated_batches", blocking=True, partitions_def=CATEGORY_ROUNDS)
def every_candidate_has_its_call(generated_batches: Tables) -> dg.AssetCheckResult:
    """Each candidate has an id of its own, a call that is there, and an answer, a problem or a screening verdict."""
    candidates, calls = generated_batches["candidates"], generated_batches["calls"]
    unknown = candidates.join(calls, left_on="instruction_key", right_on="request_key", how="anti").height
    undecided = candidates.filter(
        pl.col("output").is_null() & pl.col("problem").is_null() & pl.col("screened_rule").is_null()
    ).height
    repeated = candidates.height - candidates["candidate_id"].n_unique()
    nothing_to_ask = generated_batches["result"]["stopped"].to_list() == ["nothing"]
    return dg.AssetCheckResult(
        passed=unknown == undecided == repeated == 0 and (candidates.height > 0 or nothing_to_ask),
        metadata={
            "candidates": candidates.height,
            "unknown_call": unknown,
            "undecided": undecided,
            "repeated_id": repeated,
        },
    )


@dg.asset_check(asset="filtered_batches", blocking=True, partitions_def=ROUNDS)
def every_candidate_has_one_verdict(
    context: dg.AssetCheckExecutionContext, sedi: SediResource, filtered_batches: Tables
) -> dg.AssetCheckResult:
    """Candidates in = kept + rejected + malformed, each exactly once, each rejection with its rule."""
    verdicts = filtered_batches["verdicts"]
    plan = sedi.plan(context.partition_key)
    generated = [sedi.store().read_tables("generated_batches", plan.round, c)["candidates"] for c in plan.category_ids]
    expected = pl.concat(generated)["candidate_id"].sort()
    unnamed = verdicts.filter((pl.col("state") != "kept") & pl.col("rule").is_null()).height
    kept = verdicts.filter(pl.col("state") == "kept")["candidate_id"].sort()
    same_examples = kept.equals(filtered_batches["examples"]["example_id"].sort(), null_equal=True)
    return dg.AssetCheckResult(
        passed=verdicts["candidate_id"].sort().equals(expected) and unnamed == 0 and same_examples,
        metadata={"candidates": len(expected), "verdicts": verdicts.height, "without_rule": unnamed},
    )


@dg.asset_check(asset="filtered_batches", blocking=True, partitions_def=ROUNDS)
def every_kept_example_is_trained_once(filtered_batches: Tables) -> dg.AssetCheckResult:
    """The composed batches hold every kept example exactly once, and no row twice."""
    batches, examples = filtered_batches["batches"], filtered_batches["examples"]
    machine = batches.filter(pl.col("origin") == "machine")["example_id"].sort()
    repeated = batches.height - batches["example_id"].n_unique()
    return dg.AssetCheckResult(
        passed=machine.equals(examples["example_id"].sort()) and repeated == 0,
        metadata={"rows": batches.height, "kept": examples.height, "repeated": repeated},
    )


@dg.asset_check(asset="filtered_batches", partitions_def=ROUNDS)
def the_pool_stays_diverse(
    context: dg.AssetCheckExecutionContext, sedi: SediResource, filtered_batches: Tables
) -> dg.AssetCheckResult:
    """Warns when examples of all rounds lie closer together, twice in a row, than they once did (docs/batching.md)."""
    store = sedi.store()
    earlier = [
        store.read_tables("filtered_batches", outcome.round)["diversity"]
        for outcome in sedi.history().before(context.partition_key)
    ]
    now = filtered_batches["diversity"]
    of_pool = pl.concat([*earlier, now], how="vertical").filter(
        (pl.col("scope") == "pool") & (pl.col("embedding_model") == now["embedding_model"][0])
    )
    distances, errors = (
        of_pool.filter(pl.col("measure") == name)["value"].to_list()
        for name in ("equal_size_distance", "equal_size_error")
    )
    values = list(zip(distances, errors, strict=True))
    falling = collapse(values)
    return dg.AssetCheckResult(
        passed=falling is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=falling or "Equally many examples lie as far apart as in earlier rounds.",
        metadata={"rounds_measured": len(values)},
    )


CHECKS: list[Any] = [
    every_candidate_has_its_call,
    every_candidate_has_one_verdict,
    every_kept_example_is_trained_once,
    the_pool_stays_diverse,
    the_data_folder_is_as_recorded,
]
