"""Which rows a round trains on besides its own examples, and which are only measured."""

from __future__ import annotations

import polars as pl
import pytest

from sedi_dagster.batching.replay import ROW_COLUMNS, ReplayRules, held_out_seeds, rows_to_train
from sedi_dagster.errors import SettingsError
from sedi_dagster.settings import load_settings


def frame(prefix: str, count: int, id_column: str = "example_id") -> pl.DataFrame:
    return pl.DataFrame(
        {
            id_column: [f"{prefix}{n:03d}" for n in range(count)],
            "category": [("math", "coding")[n % 2] for n in range(count)],
            **{name: [f"{name} {n}" for n in range(count)] for name in ("instruction", "input", "output")},
        },
        schema=dict.fromkeys((id_column, "category", "instruction", "input", "output"), pl.String),
    )


def rows(examples: int, earlier: int, seeds: int, round_number: int = 1, **rules: object) -> pl.DataFrame:
    shares = {"human_share": 0.5, "earlier_share": 0.1, "batch_size": 8, **rules}
    return rows_to_train(
        frame("new", examples),
        frame("old", earlier),
        frame("human", seeds, "seed_id"),
        ReplayRules(**shares),  # type: ignore[arg-type]
        ["math"],
        round_number,
        0,
    )


def count(frame: pl.DataFrame, prefix: str) -> int:
    return frame.filter(pl.col("example_id").str.starts_with(prefix)).height


def test_a_round_trains_on_its_examples_and_the_set_shares_of_replay() -> None:
    chosen = rows(40, 200, 200)
    assert (count(chosen, "new"), count(chosen, "old"), count(chosen, "human")) == (40, 10, 50)
    assert chosen.columns == list(ROW_COLUMNS)
    assert chosen["example_id"].head(40).to_list() == [f"new{n:03d}" for n in range(40)], "its own come first"
    assert dict(chosen.group_by("origin").len().iter_rows()) == {"machine": 40, "earlier": 10, "human": 50}


def test_what_is_not_there_cannot_be_replayed() -> None:
    chosen = rows(40, 3, 20)
    assert (count(chosen, "old"), count(chosen, "human")) == (3, 20)
    assert count(rows(0, 0, 20), "human") == 8, "a round without examples trains on a batch of human seed tasks"


def test_all_earlier_examples_beside_a_share_of_human_seed_tasks() -> None:
    chosen = rows(40, 200, 60, human_share=0.2, earlier_share=1.0)
    assert (count(chosen, "new"), count(chosen, "old"), count(chosen, "human")) == (40, 200, 10)


def test_no_human_seed_task_is_trained_on_where_their_share_is_zero() -> None:
    assert count(rows(40, 200, 60, human_share=0.0), "human") == 0


def test_another_round_replays_others_and_the_same_round_the_same() -> None:
    old = [set(rows(40, 200, 200, round_number=n)["example_id"].to_list()) for n in (1, 1, 2)]
    assert old[0] == old[1] != old[2]


def test_a_share_of_one_takes_all_there_are() -> None:
    chosen = rows(40, 200, 60, human_share=1.0, earlier_share=1.0)
    assert (count(chosen, "new"), count(chosen, "old"), count(chosen, "human")) == (40, 200, 60)
    assert chosen["example_id"].is_unique().all()


def test_the_same_share_of_every_category_is_held_out_in_every_round() -> None:
    seeds = pl.concat([frame("h", 48, "seed_id"), frame("r", 1, "seed_id").with_columns(category=pl.lit("rare"))])
    held_out = held_out_seeds(seeds, 0.125, 0)
    assert dict(held_out.group_by("category").len().iter_rows()) == {"math": 3, "coding": 3}
    assert held_out.equals(held_out_seeds(seeds.sample(fraction=1, shuffle=True, seed=1), 0.125, 0).sort("seed_id"))
    assert held_out_seeds(seeds, 0, 0).is_empty()


def test_shares_that_leave_no_room_are_refused() -> None:
    with pytest.raises(SettingsError, match="together must be less than 1"):
        load_settings(overrides={"batching": {"human_replay": 0.95, "earlier_replay": 0.1}})
