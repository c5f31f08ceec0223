"""The student after the round, and the training measurements by step, example and category.

TRL fine-tunes it in its own process, in exactly the composed order, from the last promoted checkpoint (or the base
model). A killed or cancelled run resumes from its last saved state. The checkpoint is in `checkpoints/<round>/` as
safetensors with tokenizer and model card. Old checkpoints are deleted, promoted ones never.
Tables: `steps` (loss, gradient norm before clipping, learning rate, tokens, seconds, example ids), `examples` (loss
before and after the round, IFD if enabled), `heldout` (loss by category of human seed tasks held out from training),
`files` (SHA-256 of each file), `origin` (student, parent).
"""

import json

import dagster as dg
import polars as pl

from sedi_dagster.orchestration.outputs import as_dagster_failure, plot, table_output
from sedi_dagster.orchestration.partitions import ONE_BY_ONE, ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import promoted_checkpoint
from sedi_dagster.orchestration.training import CHECKPOINT_FILES, train_student
from sedi_dagster.orchestration.workloads import clear_workload
from sedi_dagster.records import Tables, is_round_key
from sedi_dagster.reporting.report import plot_training
from sedi_dagster.storage.files import folder_hashes
from sedi_dagster.storage.rounds import SEED_TASKS, checkpoints_to_prune
from sedi_dagster.storage.store import tables_version
from sedi_dagster.storage.superseding import supersede

TABLES = ("steps", "examples", "heldout")


@dg.asset(
    partitions_def=ROUNDS,
    backfill_policy=ONE_BY_ONE,
    kinds={"pytorch", "huggingface"},
    pool="student",
    code_version="2",
    description=__doc__,
)
def sft_checkpoint(
    context: dg.AssetExecutionContext, sedi: SediResource, filtered_batches: Tables
) -> dg.Output[Tables]:
    round_key = context.partition_key
    with as_dagster_failure():
        settings, store = sedi.settings(), sedi.store()
        clear_workload(settings, f"train-{SEED_TASKS}")  # its results are stored in baseline_scores
        training, feedback = settings.training, settings.feedback
        parent = promoted_checkpoint(sedi, round_key) if training.start == "previous" else None
        output = train_student(
            context,
            sedi,
            round_key,
            filtered_batches["batches"],
            filtered_batches["heldout"],
            training,
            parent,
            held_out_every=feedback.window_steps if feedback.signal == "heldout_gain" else 0,
            ifd=feedback.signal == "ifd",
        )
        files = folder_hashes(output / "checkpoint", CHECKPOINT_FILES)
        tables = {
            **{name: pl.read_parquet(output / f"{name}.parquet") for name in TABLES},
            "files": pl.DataFrame(
                {"file": list(files), "sha256": list(files.values())}, schema={"file": pl.String, "sha256": pl.String}
            ),
            "origin": pl.DataFrame(
                {"student": [training.student], "parent": [parent]}, schema={"student": pl.String, "parent": pl.String}
            ),
        }
        parts = ("sft_checkpoint", round_key)
        supersede(store, round_key, parts, tables_version(tables), context.run_id)  # before the weights are replaced
        store.upload(output / "checkpoint", "checkpoints", round_key)
        summary = json.loads((output / "summary.json").read_text())
        history = sedi.history()
        promoted = [outcome.round for outcome in history.finished if outcome.promoted]
        existing = [name for name in store.names("checkpoints") if is_round_key(name)]
        pruned = checkpoints_to_prune(existing, promoted, round_key, training.keep_checkpoints)
        for old in pruned:
            store.remove("checkpoints", old)
    steps, examples, heldout = (tables[name] for name in TABLES)
    return table_output(
        tables,
        metadata={
            "trained_from": parent or "the untrained student",
            "steps": steps.height,
            "first_loss": float(steps["loss"][0]),
            "last_loss": steps.tail(5).select(pl.mean("loss")).item(),
            "completion_tokens": int(steps["completion_tokens"].sum()),
            "tokens_per_s": summary["tokens_per_s"],
            "device": summary["device"],
            "path": str(store.path("checkpoints", round_key)),
            "pruned_checkpoints": ", ".join(pruned) or "none",
            "example_loss": dg.MetadataValue.md(_losses(examples, heldout)),
            "loss_and_gradient_norm": plot(
                store, plot_training(steps), "sft_checkpoint", round_key, "loss_and_gradient_norm"
            ),
        },
    )


def _losses(examples: pl.DataFrame, heldout: pl.DataFrame) -> str:
    """A Markdown table of losses by category before and after the round; those of training rows only if measured."""
    last = heldout["step"].max()
    held = {(c, s): loss for c, s, loss in heldout.select("category", "step", "loss").iter_rows()}
    measured = examples["loss_before"].count() > 0
    titles = ["category", "rows", *(("loss before", "after") if measured else ()), "held-out loss before", "after"]
    lines = [titles, ["---", *["--:"] * (len(titles) - 1)]]
    trained = examples.group_by("category").agg(pl.mean("loss_before", "loss_after"), pl.len()).sort("category")
    for category, before, after, rows in trained.iter_rows():
        losses = [*((before, after) if measured else ()), held.get((category, 0)), held.get((category, last))]
        lines.append([category, str(rows), *("-" if loss is None else f"{loss:.3f}" for loss in losses)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
