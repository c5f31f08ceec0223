"""Verdicts on all candidates of a round, the kept examples, and the composed training batches.

Rules on the candidate itself come first, then comparisons with seeds and kept examples, then (if enabled) IFD, scored
by the base student in its own process. Kept examples and their embeddings go into the Lance table `examples`, tagged by
round. Training batches mix them with human seed tasks and earlier examples (`SEDI_BATCHING_COMPOSITION`).
Tables: `verdicts`, `examples`, `batches` (in training order), `heldout` (human seed tasks held out from training),
`diversity`, `ifd` (scores; empty if IFD is off).
"""

import dagster as dg
import polars as pl

from sedi_dagster.batching.replay import held_out_seeds, rows_to_train
from sedi_dagster.feedback.seed_update import seed_set
from sedi_dagster.orchestration.composing import compose_round, stored_vectors
from sedi_dagster.orchestration.filtering import check_something_was_kept, judge_round
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.partitions import MANY, ONE_BY_ONE, ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import EXAMPLE_SCHEMA, kept_examples, machine_seeds
from sedi_dagster.orchestration.training import as_prompts, fitting, replay_rules
from sedi_dagster.records import Tables, round_number
from sedi_dagster.texts.markdown import markdown_table


@dg.asset(
    partitions_def=ROUNDS,
    backfill_policy=ONE_BY_ONE,
    ins={"generated_batches": dg.AssetIn(metadata={MANY: True})},
    kinds={"polars", "lancedb"},
    pool="examples",
    code_version="2",
    description=__doc__,
)
def filtered_batches(
    context: dg.AssetExecutionContext, sedi: SediResource, seed_pool: Tables, generated_batches: dict[str, Tables]
) -> dg.Output[Tables]:
    with as_dagster_failure():
        settings = sedi.settings()
        plan = sedi.plan(context.partition_key)
        candidates = sedi.concat_batches("candidates", plan, generated_batches)
        seeds = seed_set(seed_pool["seeds"], machine_seeds(sedi, plan.round))
        verdicts, ifd = judge_round(context, sedi, plan.round, seeds, candidates)
        check_something_was_kept(plan, candidates, verdicts)
        kept = verdicts.filter(pl.col("state") == "kept")["candidate_id"].implode()
        examples = (
            candidates.filter(pl.col("candidate_id").is_in(kept))
            .rename({"candidate_id": "example_id"})
            .select(list(EXAMPLE_SCHEMA))
        )
        human = fitting(sedi, seed_pool["seeds"])
        earlier = fitting(sedi, kept_examples(sedi, plan.round))
        too_long = seed_pool["seeds"].height - human.height
        if too_long:
            context.log.warning(
                f"{too_long} human seed tasks are not trained on, as they are longer than SEDI_TRAINING_MAX_LENGTH."
            )
        heldout = held_out_seeds(human, settings.training.held_out_share, settings.project_seed)
        rows = rows_to_train(
            examples,
            earlier,
            human.filter(~pl.col("seed_id").is_in(heldout["seed_id"].implode())),
            replay_rules(settings),
            plan.category_ids,
            plan.number,
            settings.project_seed,
        )
        composed, figures = compose_round(
            sedi, plan, examples, rows, human["instruction"].to_list(), stored_vectors(sedi, context)
        )
    counted = verdicts.group_by("state", pl.col("rule").fill_null("")).len()
    by_rule = counted.sort("state", "len", descending=[False, True]).rows()
    by_state = dict(verdicts.group_by("state").len().iter_rows())
    return table_output(
        {
            "verdicts": verdicts,
            "examples": examples,
            "batches": composed["batches"],
            "heldout": as_prompts(heldout),
            "diversity": composed["diversity"],
            "ifd": ifd,
        },
        metadata={
            "candidates": candidates.height,
            "kept": by_state.get("kept", 0),
            "rejected": by_state.get("rejected", 0),
            "malformed": by_state.get("malformed", 0),
            "keep_rate": examples.height / max(1, candidates.height),
            "training_rows": composed["batches"].height,
            "human_rows": rows.filter(pl.col("origin") == "human").height,
            "replayed_rows": rows.filter(pl.col("origin") == "earlier").height,
            "held_out_seeds": heldout.height,
            "round_number": round_number(plan.round),
            **figures,
            "verdicts_by_rule": dg.MetadataValue.md(markdown_table(("state", "rule", "candidates"), by_rule)),
        },
    )
