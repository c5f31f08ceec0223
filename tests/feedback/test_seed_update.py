"""Training says which examples become seeds; human seeds always stay."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from sedi_dagster.feedback.seed_update import (
    CHANGE_SCHEMA,
    SEED_SET_SCHEMA,
    highest_norm_examples,
    seed_set,
    update_seeds,
)

TEXTS = {"instruction": "Add.", "input": "1 2", "output": "3", "is_classification": False}
STEP_SCHEMA = {"step": pl.Int64, "grad_norm": pl.Float64, "example_ids": pl.List(pl.String)}


def steps(*norms_and_ids: tuple[float | None, list[str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"step": i, "grad_norm": norm, "example_ids": ids} for i, (norm, ids) in enumerate(norms_and_ids, 1)],
        schema=STEP_SCHEMA,
    )


def examples(**category_by_id: str) -> pl.DataFrame:
    return pl.DataFrame([{"example_id": i, "category": c, **TEXTS} for i, c in category_by_id.items()])


def seeds(**origin_and_signal: tuple[str, float | None]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {"seed_id": i, "category": "math", **TEXTS, "origin": origin, "since_round": None, "signal": signal}
        for i, (origin, signal) in origin_and_signal.items()
    ]
    return pl.DataFrame(rows, schema=SEED_SET_SCHEMA)


HUMAN = seeds(h1=("human", None), h2=("human", None))


def update(
    before: pl.DataFrame,
    kept: pl.DataFrame,
    training: pl.DataFrame,
    *,
    window: int = 2,
    promote: int = 2,
    most: int = 3,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    return update_seeds("round-0002", before, kept, training, window, promote, most)


def ids(frame: pl.DataFrame, change: str | None = None) -> list[str]:
    return (frame if change is None else frame.filter(pl.col("change") == change))["seed_id"].to_list()


def test_the_highest_norm_batch_of_each_window_is_taken_and_the_last_window_may_be_short() -> None:
    training = steps((1.0, ["a"]), (3.0, ["b", "c"]), (2.0, ["d"]), (2.0, ["e"]), (0.1, ["f"]))
    assert highest_norm_examples(training, 2) == {"b": (3.0, 2), "c": (3.0, 2), "d": (2.0, 3), "f": (0.1, 5)}


def test_steps_are_windowed_in_training_order_whatever_the_order_of_rows() -> None:
    training = steps((1.0, ["a"]), (3.0, ["b"]), (2.0, ["c"]), (1.5, ["d"]))
    assert highest_norm_examples(training.reverse(), 2) == highest_norm_examples(training, 2)


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), None])
def test_a_step_that_overflowed_never_wins(norm: float | None) -> None:
    assert highest_norm_examples(steps((1.0, ["a"]), (norm, ["b"])), 2) == {"a": (1.0, 1)}
    assert highest_norm_examples(steps((norm, ["b"])), 2) == {}


def test_the_examples_of_the_best_batches_become_seeds_with_signal_and_reason() -> None:
    after, changes = update(HUMAN, examples(a="math", b="math"), steps((1.0, ["a", "h1"]), (3.0, ["b", "h2"])))
    assert ids(after) == ["h1", "h2", "b"]
    promoted = after.row(2, named=True)
    assert (promoted["origin"], promoted["since_round"], promoted["signal"]) == ("machine", "round-0002", 3.0)
    assert ids(changes, "promoted") == ["b"] and "3.00, step 2" in changes["reason"][0]
    assert after.schema == pl.Schema(SEED_SET_SCHEMA) and changes.schema == pl.Schema(CHANGE_SCHEMA)


def test_a_category_promotes_no_more_than_its_cap_the_highest_signals_first() -> None:
    kept = examples(a="math", b="math", c="math", d="coding")
    after, _ = update(HUMAN, kept, steps((1.0, ["a", "d"]), (2.0, ["b"]), (3.0, ["c"])), window=1, promote=2)
    assert ids(after) == ["h1", "h2", "c", "b", "d"]


def test_machine_seeds_over_the_cap_retire_by_lowest_signal_and_human_ones_never() -> None:
    before = pl.concat([HUMAN, seeds(m1=("machine", 5.0), m2=("machine", 0.5))])
    after, changes = update(before, examples(a="math"), steps((2.0, ["a"])), most=2)
    assert ids(after) == ["h1", "h2", "m1", "a"]
    assert ids(changes, "promoted") == ["a"] and ids(changes, "retired") == ["m2"]
    none_left, _ = update(before, examples(a="math"), steps((2.0, ["a"])), most=0)
    assert ids(none_left) == ["h1", "h2"]


def test_an_example_too_weak_for_the_cap_is_no_change_at_all() -> None:
    before = pl.concat([HUMAN, seeds(m1=("machine", 5.0))])
    after, changes = update(before, examples(a="math"), steps((2.0, ["a"])), most=1)
    assert ids(after) == ["h1", "h2", "m1"] and changes.is_empty()


def test_updating_twice_gives_the_same_set() -> None:
    kept, training = examples(a="math"), steps((2.0, ["a"]))
    after, _ = update(HUMAN, kept, training)
    assert update(HUMAN, kept, training)[0].equals(after)
    assert ids(update(after, kept, training)[0]) == ids(after), "a seed is in the set once"


def test_a_round_without_kept_examples_changes_nothing() -> None:
    nothing = examples(a="math").clear()
    after, changes = update(HUMAN, nothing, steps((2.0, ["h1"])))
    assert after.equals(HUMAN) and changes.is_empty()


def test_the_set_of_a_round_is_every_human_seed_and_the_machine_made_ones() -> None:
    pool = HUMAN.drop("since_round", "signal")
    earlier = pl.concat([seeds(h1=("human", None)), seeds(m1=("machine", 5.0))])
    assert ids(seed_set(pool, None)) == ["h1", "h2"]
    assert ids(seed_set(pool, earlier)) == ["h1", "h2", "m1"]
    assert seed_set(pool, earlier).schema == pl.Schema(SEED_SET_SCHEMA)
