"""Training rows: which fit the student's maximum length, and how they are mixed."""

from __future__ import annotations

import polars as pl

from sedi_dagster.batching.replay import ReplayRules
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import task_prompts
from sedi_dagster.settings import Settings
from sedi_dagster.student.loading import student_source, token_counter


def replay_rules(settings: Settings) -> ReplayRules:
    """The shares of the settings; a round that starts from the untrained student trains on everything."""
    everything = settings.training.start == "base"
    human, earlier = settings.batching.human_replay, settings.batching.earlier_replay
    return ReplayRules(1.0 if everything else human, 1.0 if everything else earlier, settings.batching.batch_size)


def fitting(sedi: SediResource, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (`instruction`, `input`, `output`, ...) that the student's training length has room for."""
    settings = sedi.settings()
    count_tokens = token_counter(student_source(settings.training.student, settings.path(settings.cache)))
    tokens = count_tokens(rows.select(task_prompts()).to_series().to_list(), rows["output"].to_list())
    return rows.filter(pl.Series(tokens, dtype=pl.Int64) <= settings.training.max_length)


def as_prompts(seeds: pl.DataFrame) -> pl.DataFrame:
    """Seed tasks as the student sees them: example_id, category, prompt, output."""
    return seeds.select(pl.col("seed_id").alias("example_id"), "category", task_prompts(), "output")
