"""Inputs of a round that several assets need: kept examples, seeds and checkpoints of earlier rounds, filter rules."""

import polars as pl

from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.semantic import Embed
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.storage.rounds import SEED_TASKS

EXAMPLE_SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("example_id", "round", "category", "instruction", "input", "output"), pl.String),
    "is_classification": pl.Boolean,
}
"""Columns of kept examples, as `filtered_batches` stores and `sft_dataset` exports them."""


def machine_seeds(sedi: SediResource, round_key: str) -> pl.DataFrame | None:
    """Return the seed set after the last finished round before this one; None before the first round."""
    earlier = sedi.history().before(round_key)
    return sedi.store().read_tables("seed_feedback", earlier[-1].round)["seeds"] if earlier else None


def shared_instructions(seeds: pl.DataFrame) -> SharedInstructions:
    """Return the instructions that several human seed tasks share."""
    return SharedInstructions(seeds.filter(pl.col("origin") == "human").select("instruction", "input").iter_rows())


def evaluation_decontaminator(sedi: SediResource, seeds: pl.DataFrame, embed: Embed | None = None) -> Decontaminator:
    """Return a decontaminator for all evaluation items, measured or not, and the user's protected files.

    Args:
        seeds: seed tasks. An instruction that several of them share is not protected as part of an item's prompt.
        embed: function that embeds texts. Without it, vectors are not compared, whatever the settings.
    """
    filtering = sedi.settings().filtering
    shared = shared_instructions(seeds)
    items = [(item.id, shared.without_instruction(item.prompt)) for item in sedi.all_items()] + sedi.guarded_texts()
    return Decontaminator(
        items,
        filtering.decontamination_threshold,
        filtering.decontamination_ngram,
        filtering.decontamination_cosine,
        embed,
    )


def kept_examples(sedi: SediResource, before: str | None = None) -> pl.DataFrame:
    """Return the examples kept in all finished rounds, in order (`EXAMPLE_SCHEMA`).

    They are read from the data folder, independently of Dagster's partitions.

    Args:
        before: return only examples of rounds before this one.
    """
    history, store = sedi.history(), sedi.store()
    rounds = history.finished if before is None else history.before(before)
    kept = [store.read_table("examples", "filtered_batches", outcome.round) for outcome in rounds]
    return pl.concat([pl.DataFrame(schema=EXAMPLE_SCHEMA), *(rows.select(list(EXAMPLE_SCHEMA)) for rows in kept)])


def task_pool(sedi: SediResource, seeds: pl.DataFrame, round_key: str) -> pl.DataFrame:
    """Return all seeds and earlier examples, from which a new task must differ: `id`, `instruction`, `input`."""
    kept = kept_examples(sedi, round_key).select(pl.col("example_id").alias("id"), "instruction", "input")
    return pl.concat([seeds.select(pl.col("seed_id").alias("id"), "instruction", "input"), kept])


def generation_filter(
    sedi: SediResource, seeds: pl.DataFrame, round_key: str, decontaminator: Decontaminator | None = None
) -> GenerationFilter:
    """Return the filter that generation applies to an instruction before it pays for the answer."""
    filtering = sedi.settings().filtering
    decontaminator = decontaminator or evaluation_decontaminator(sedi, seeds)
    pool = task_pool(sedi, seeds, round_key).iter_rows()
    form, answers = InstructionForm.of(filtering), AnswerForm.of(filtering)
    return GenerationFilter(pool, decontaminator, filtering.threshold, form, answers, shared_instructions(seeds))


def earlier_depths(sedi: SediResource, round_key: str) -> dict[str, int]:
    """Return the depth (generations from a human seed) of the examples that earlier rounds considered as seeds."""
    store = sedi.store()
    depths: dict[str, int] = {}
    for outcome in sedi.history().before(round_key):
        considered = store.read_tables("seed_feedback", outcome.round).get("considered")
        if considered is not None:
            depths |= dict(considered.select("example_id", "depth").iter_rows())
    return depths


def promoted_checkpoint(sedi: SediResource, round_key: str) -> str | None:
    """Return the checkpoint that a round starts from and is compared with.

    It is that of the last promoted round before this one, if that round trained the student of the settings. Otherwise
    it is the `starting_checkpoint`.
    """
    promoted = sedi.history().promoted_before(round_key)
    if promoted is not None and is_of_this_student(sedi, promoted):
        return promoted
    return starting_checkpoint(sedi)


def mean_losses(heldout: pl.DataFrame | None) -> list[float]:
    """Return the mean held-out loss at each step that measured it, in order; empty if it was not measured."""
    if heldout is None:
        return []
    return heldout.group_by("step").agg(pl.mean("loss")).sort("step")["loss"].to_list()


def starting_checkpoint(sedi: SediResource) -> str | None:
    """Return the checkpoint that the first round starts from.

    Returns:
        `SEED_TASKS` if training on the human seed tasks alone improved the student; None for the untrained student.
    """
    origin = sedi.store().find_table("origin", "baseline_scores")
    return SEED_TASKS if origin is not None and origin.row(0, named=True).get("start") == SEED_TASKS else None


def is_of_this_student(sedi: SediResource, round_key: str) -> bool:
    """Return whether a round trained the student of the settings. Checkpoints of other students are not comparable."""
    origin = sedi.store().read_table("origin", "sft_checkpoint", round_key).row(0, named=True)
    return bool(origin["student"] == sedi.settings().training.student)
