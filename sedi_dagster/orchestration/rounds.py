"""What several assets need from earlier rounds: machine-made seeds, and the instructions kept so far."""

from __future__ import annotations

import polars as pl

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.verdicts import InstructionScreen
from sedi_dagster.orchestration.resources import SediResource

_EXAMPLE_TEXTS = ("example_id", "instruction", "input", "output")


def machine_seeds(sedi: SediResource, round_key: str) -> pl.DataFrame | None:
    """The seed set that the last finished round before this one left behind; None before the first."""
    earlier = sedi.history().before(round_key)
    return sedi.store().read_tables("seed_feedback", earlier[-1].round)["seeds"] if earlier else None


def evaluation_decontaminator(sedi: SediResource) -> Decontaminator:
    """Knows every evaluation item, also those that this project's rounds are not measured on."""
    settings = sedi.settings().filtering
    items = ((item.id, item.prompt) for item in sedi.all_items())
    return Decontaminator(items, settings.decontamination_threshold, settings.decontamination_ngram)


def instruction_screen(
    sedi: SediResource, seeds: pl.DataFrame, round_key: str, decontaminator: Decontaminator
) -> InstructionScreen:
    """The instruction rules, knowing all seeds and every example kept in earlier rounds."""
    settings, store = sedi.settings().filtering, sedi.store()
    pool = list(seeds.select("seed_id", "instruction").iter_rows())
    for outcome in sedi.history().before(round_key):
        examples = store.read_tables("filtered_batches", outcome.round)["examples"]
        pool += list(examples.select("example_id", "instruction").iter_rows())
    return InstructionScreen(pool, decontaminator, settings.threshold, settings.min_words, settings.max_words)


def kept_examples(sedi: SediResource, round_key: str, category: str) -> pl.DataFrame:
    """The examples of a category that earlier rounds kept: `example_id`, `instruction`, `input`, `output`, ..."""
    kept = [
        sedi.store().read_tables("filtered_batches", outcome.round)["examples"].filter(pl.col("category") == category)
        for outcome in sedi.history().before(round_key)
    ]
    return pl.concat(kept) if kept else pl.DataFrame(schema=dict.fromkeys(_EXAMPLE_TEXTS, pl.String))


def promoted_checkpoint(sedi: SediResource, round_key: str) -> str | None:
    """The last promoted round before this one, if its checkpoint belongs to the student of the settings.

    None: build on, and compare with, the untrained student.
    """
    promoted = sedi.history().promoted_before(round_key)
    return promoted if promoted is not None and is_of_this_student(sedi, promoted) else None


def is_of_this_student(sedi: SediResource, round_key: str) -> bool:
    """Whether a round trained the student of the settings; another one's checkpoints cannot be compared with."""
    origin = sedi.store().read_tables("sft_checkpoint", round_key)["origin"].row(0, named=True)
    return bool(origin["student"] == sedi.settings().training.student)
