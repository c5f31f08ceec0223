"""Inputs that several assets need from earlier rounds: machine-made seeds, and kept instructions."""

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
    """The seed set that the last finished round before this one left behind; None before the first."""
    earlier = sedi.history().before(round_key)
    return sedi.store().read_tables("seed_feedback", earlier[-1].round)["seeds"] if earlier else None


def shared_instructions(seeds: pl.DataFrame) -> SharedInstructions:
    """The instructions that several human seed tasks share."""
    return SharedInstructions(seeds.filter(pl.col("origin") == "human").select("instruction", "input").iter_rows())


def evaluation_decontaminator(sedi: SediResource, seeds: pl.DataFrame, embed: Embed | None = None) -> Decontaminator:
    """Knows every evaluation item, also those that this project's rounds are not measured on, and the user's files.

    Args:
        seeds: what several of them share of an item's prompt is not protected.
        embed: makes sentence vectors; without it they are not compared, whatever the settings say.
    """
    filtering = sedi.settings().filtering
    shared = shared_instructions(seeds)
    items = [(item.id, shared.own_part(item.prompt)) for item in sedi.all_items()] + sedi.guarded_texts()
    return Decontaminator(
        items,
        filtering.decontamination_threshold,
        filtering.decontamination_ngram,
        filtering.decontamination_cosine,
        embed,
    )


def kept_examples(sedi: SediResource, before: str | None = None) -> pl.DataFrame:
    """The examples kept in all finished rounds, in their order (`EXAMPLE_SCHEMA`).

    The rounds are those of the data folder: what Dagster's partitions say does not matter.

    Args:
        before: only of rounds before this one.
    """
    history, store = sedi.history(), sedi.store()
    rounds = history.finished if before is None else history.before(before)
    kept = [store.read_table("examples", "filtered_batches", outcome.round) for outcome in rounds]
    return pl.concat([pl.DataFrame(schema=EXAMPLE_SCHEMA), *(rows.select(list(EXAMPLE_SCHEMA)) for rows in kept)])


def task_pool(sedi: SediResource, seeds: pl.DataFrame, round_key: str) -> pl.DataFrame:
    """What a new task is compared with, as `id`, `instruction` and `input`: all seeds, every example kept before."""
    kept = kept_examples(sedi, round_key).select(pl.col("example_id").alias("id"), "instruction", "input")
    return pl.concat([seeds.select(pl.col("seed_id").alias("id"), "instruction", "input"), kept])


def generation_filter(
    sedi: SediResource, seeds: pl.DataFrame, round_key: str, decontaminator: Decontaminator | None = None
) -> GenerationFilter:
    """The rules that generation applies before it pays for an answer."""
    filtering = sedi.settings().filtering
    decontaminator = decontaminator or evaluation_decontaminator(sedi, seeds)
    pool = task_pool(sedi, seeds, round_key).iter_rows()
    form, answers = InstructionForm.of(filtering), AnswerForm.of(filtering)
    return GenerationFilter(pool, decontaminator, filtering.threshold, form, answers, shared_instructions(seeds))


def earlier_depths(sedi: SediResource, round_key: str) -> dict[str, int]:
    """Generations from a human seed of the examples that feedback considered in earlier rounds."""
    store = sedi.store()
    found: dict[str, int] = {}
    for outcome in sedi.history().before(round_key):
        considered = store.read_tables("seed_feedback", outcome.round).get("considered")
        if considered is not None:
            found |= dict(considered.select("example_id", "depth").iter_rows())
    return found


def promoted_checkpoint(sedi: SediResource, round_key: str) -> str | None:
    """The last promoted round before this one, if its checkpoint belongs to the student of the settings.

    Before the first: the student of the human seed tasks, if it is better than the untrained one (None).
    """
    promoted = sedi.history().promoted_before(round_key)
    if promoted is not None and is_of_this_student(sedi, promoted):
        return promoted
    return starting_checkpoint(sedi)


def mean_losses(heldout: pl.DataFrame | None) -> list[float]:
    """Mean held-out loss over the categories at each step that measured it, in order; empty if none was measured."""
    if heldout is None:
        return []
    return heldout.group_by("step").agg(pl.mean("loss")).sort("step")["loss"].to_list()


def starting_checkpoint(sedi: SediResource) -> str | None:
    """What the first round builds on: `SEED_TASKS` if training on the human seed tasks alone was a gain."""
    origin = sedi.store().find_table("origin", "baseline_scores")
    return SEED_TASKS if origin is not None and origin.row(0, named=True).get("start") == SEED_TASKS else None


def is_of_this_student(sedi: SediResource, round_key: str) -> bool:
    """Whether a round trained the student of the settings; another one's checkpoints cannot be compared with."""
    origin = sedi.store().read_table("origin", "sft_checkpoint", round_key).row(0, named=True)
    return bool(origin["student"] == sedi.settings().training.student)
