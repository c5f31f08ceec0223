"""Checks on the data of a partition. The blocking ones stop what would build on it."""

import polars as pl

from sedi_dagster.batching.diversity import collapse
from sedi_dagster.orchestration.checking import CHECKS, Checked, Finding, check
from sedi_dagster.orchestration.verifying import the_data_folder_is_as_recorded
from sedi_dagster.superseding import disagreements


@check("generated_batches", blocking=True)
def every_candidate_has_its_call(checked: Checked) -> Finding:
    """Each candidate has an id of its own, a call that is there, and an answer, a problem or a screening verdict."""
    candidates, calls = checked.tables["candidates"], checked.tables["calls"]
    unknown = candidates.join(calls, left_on="instruction_key", right_on="request_key", how="anti").height
    undecided = candidates.filter(
        pl.col("output").is_null() & pl.col("problem").is_null() & pl.col("screened_rule").is_null()
    ).height
    repeated = candidates.height - candidates["candidate_id"].n_unique()
    nothing_to_ask = checked.tables["result"]["stopped"].to_list() == ["nothing"]
    return Finding(
        passed=unknown == undecided == repeated == 0 and (candidates.height > 0 or nothing_to_ask),
        figures={
            "candidates": candidates.height,
            "unknown_call": unknown,
            "undecided": undecided,
            "repeated_id": repeated,
        },
    )


@check("filtered_batches", blocking=True)
def every_candidate_has_one_verdict(checked: Checked) -> Finding:
    """Candidates in = kept + rejected + malformed, each exactly once, each rejection with its rule."""
    verdicts, store = checked.tables["verdicts"], checked.sedi.store()
    plan = checked.sedi.plan(checked.round)
    generated = [store.read_tables("generated_batches", plan.round, c)["candidates"] for c in plan.category_ids]
    expected = pl.concat(generated)["candidate_id"].sort()
    unnamed = verdicts.filter((pl.col("state") != "kept") & pl.col("rule").is_null()).height
    kept = verdicts.filter(pl.col("state") == "kept")["candidate_id"].sort()
    same_examples = kept.equals(checked.tables["examples"]["example_id"].sort(), null_equal=True)
    return Finding(
        passed=verdicts["candidate_id"].sort().equals(expected) and unnamed == 0 and same_examples,
        figures={"candidates": len(expected), "verdicts": verdicts.height, "without_rule": unnamed},
    )


@check("filtered_batches", blocking=True)
def every_kept_example_is_trained_once(checked: Checked) -> Finding:
    """The composed batches hold every kept example exactly once, and no row twice."""
    batches, examples = checked.tables["batches"], checked.tables["examples"]
    machine = batches.filter(pl.col("origin") == "machine")["example_id"].sort()
    repeated = batches.height - batches["example_id"].n_unique()
    return Finding(
        passed=machine.equals(examples["example_id"].sort()) and repeated == 0,
        figures={"rows": batches.height, "kept": examples.height, "repeated": repeated},
    )


@check("filtered_batches")
def the_pool_stays_diverse(checked: Checked) -> Finding:
    """Warns when examples of all rounds lie closer together, twice in a row, than they once did (docs/batching.md)."""
    store = checked.sedi.store()
    earlier = [
        store.read_tables("filtered_batches", outcome.round)["diversity"]
        for outcome in checked.sedi.history().before(checked.round)
    ]
    now = checked.tables["diversity"]
    of_pool = pl.concat([*earlier, now], how="vertical").filter(
        (pl.col("scope") == "pool") & (pl.col("embedding_model") == now["embedding_model"][0])
    )
    distances, errors = (
        of_pool.filter(pl.col("measure") == name)["value"].to_list()
        for name in ("equal_size_distance", "equal_size_error")
    )
    values = list(zip(distances, errors, strict=True))
    falling = collapse(values)
    return Finding(
        passed=falling is None,
        said=falling or "Equally many examples lie as far apart as in earlier rounds.",
        figures={"rounds_measured": len(values)},
    )


@check("lineage_manifest")
def the_manifest_agrees_with_the_data(checked: Checked) -> Finding:
    """Every partition that the round's manifest names holds the data version that it names.

    A part of a finished round that was made again disagrees, until what builds on it, the manifest last, is too.
    """
    store = checked.sedi.store()
    told = disagreements(store, store.read_json("manifests", f"{checked.round}.json"))
    return Finding(passed=not told, said="; ".join(told), figures={"partitions_that_differ": len(told)})


CHECKS.append(the_data_folder_is_as_recorded)
