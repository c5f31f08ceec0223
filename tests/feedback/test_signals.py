"""Five signals behind one interface, the depth of an example, and what seeds earn by their children."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from sedi_dagster.feedback.gate import depths
from sedi_dagster.feedback.seed_statistics import seed_statistics
from sedi_dagster.feedback.signals import SIGNALS, Training

STEP_SCHEMA = {"step": pl.Int64, "grad_norm": pl.Float64, "example_ids": pl.List(pl.String)}
EXAMPLE_SCHEMA = {
    "example_id": pl.String,
    "category": pl.String,
    "loss_before": pl.Float64,
    "loss_after": pl.Float64,
    "ifd_loss_ratio": pl.Float64,
}
HELDOUT_SCHEMA = {"step": pl.Int64, "category": pl.String, "loss": pl.Float64}


def training(
    steps: list[tuple[float | None, list[str]]], examples: list[tuple[Any, ...]] = (), heldout: Any = (), **more: Any
) -> Training:
    return Training(
        pl.DataFrame([(n, *step) for n, step in enumerate(steps, 1)], schema=STEP_SCHEMA, orient="row"),
        pl.DataFrame(list(examples), schema=EXAMPLE_SCHEMA, orient="row"),
        pl.DataFrame(list(heldout), schema=HELDOUT_SCHEMA, orient="row"),
        **{"window": 2, **more},
    )


def scores(name: str, message: Training) -> dict[str, float]:
    return dict(SIGNALS[name](message).select("example_id", "signal").iter_rows())


def test_grad_norm_takes_the_highest_batches_of_each_window_also_of_a_short_last_window() -> None:
    text = training([(1.0, ["a", "b"]), (3.0, ["c", "d"]), (2.0, ["e", "f"]), (2.5, ["g", "h"]), (0.1, ["i", "j"])])
    assert scores("grad_norm", text) == {"c": 3.0, "d": 3.0, "g": 2.5, "h": 2.5, "i": 0.1, "j": 0.1}
    both = training([(1.0, ["a"]), (3.0, ["b"]), (2.0, ["c"])], window=3, window_batches=2)
    assert scores("grad_norm", both) == {"b": 3.0, "c": 2.0}


def test_a_short_last_batch_does_not_win_by_its_size() -> None:
    text = training([(1.0, ["a", "b"]), (0.5, ["c", "d"]), (0.7, ["e", "f"]), (17.0, ["g"])])
    assert scores("grad_norm", text) == {"a": 1.0, "b": 1.0, "e": 0.7, "f": 0.7}


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), None])
def test_grad_norm_never_takes_a_step_that_overflowed(norm: float | None) -> None:
    assert scores("grad_norm", training([(1.0, ["a"]), (norm, ["b"])])) == {"a": 1.0}


def test_loss_drop_and_ifd_rank_what_was_measured() -> None:
    text = training([], [("a", "math", 2.0, 1.5, 0.8), ("b", "math", 2.0, 2.5, None), ("c", "math", None, None, 0.9)])
    assert scores("loss_drop", text) == {"a": 0.5, "b": -0.5}
    assert scores("ifd", text) == {"a": 0.8, "c": 0.9}


def test_heldout_gain_gives_an_example_what_its_category_gained_over_its_window() -> None:
    steps = [(1.0, ["a", "b"]), (1.0, ["c"]), (1.0, ["d"])]
    of = [("a", "math", None, None, None), ("b", "coding", None, None, None), ("c", "math", None, None, None)]
    heldout = [(0, "math", 3.0), (2, "math", 2.5), (3, "math", 2.6), (0, "coding", 1.0), (2, "coding", 1.0)]
    text = training(steps, [*of, ("d", "math", None, None, None)], heldout)
    assert scores("heldout_gain", text) == pytest.approx({"a": 0.5, "b": 0.0, "c": 0.5, "d": -0.1})


def test_random_depends_on_the_seed_alone() -> None:
    rows = [(name, "math", None, None, None) for name in "abc"]
    first, again, other = (scores("random", training([], rows, seed=seed)) for seed in ((1,), (1,), (2,)))
    assert first == again != other and set(first) == set("abc")


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_says_where_it_comes_from_and_copes_with_nothing(name: str) -> None:
    assert SIGNALS[name](training([])).is_empty()
    text = SIGNALS[name].__doc__ or ""
    assert name == "random" or "Weakness:" in text


def test_depth_counts_generations_from_a_human_seed_through_prompts_and_parents() -> None:
    candidates = pl.DataFrame(
        [
            {"candidate_id": "child", "demonstration_ids": ["h1", "h2"], "parent_id": None},
            {"candidate_id": "grandchild", "demonstration_ids": ["h1", "m1"], "parent_id": None},
            {"candidate_id": "evolved", "demonstration_ids": [], "parent_id": "grandchild"},
            {"candidate_id": "of unknown", "demonstration_ids": ["never seen"], "parent_id": None},
            {"candidate_id": "of none", "demonstration_ids": None, "parent_id": None},
        ]
    )
    assert depths(candidates, {"h1": 0, "h2": 0, "m1": 1}) == {
        "child": 1,
        "grandchild": 2,
        "evolved": 3,
        "of unknown": 2,
        "of none": 1,
    }


def test_a_seed_earns_its_share_of_its_children_and_of_their_cost() -> None:
    candidates = pl.DataFrame(
        {
            "candidate_id": ["a", "b", "c"],
            "demonstration_ids": [["s1", "s2"], ["s1", "s2"], []],
            "parent_id": [None, None, "s1"],
            "instruction_key": ["k1", "k1", "k2"],
            "answer_key": ["k3", None, "k4"],
        }
    )
    calls = pl.DataFrame(
        {
            "request_key": ["k1", "k2", "k3", "k4"],
            "prompt_tokens": [60, 20, 10, 5],
            "completion_tokens": [20, 10, 10, 5],
        }
    )
    losses = pl.DataFrame({"example_id": ["a", "c"], "loss_before": [2.0, 1.0], "loss_after": [1.0, float("nan")]})
    statistics = {
        row["seed_id"]: row for row in seed_statistics(candidates, calls, pl.Series(["a", "c"]), losses).to_dicts()
    }
    assert (statistics["s1"]["children"], statistics["s1"]["kept"], statistics["s1"]["measured"]) == (3, 2, 1)
    assert (statistics["s2"]["children"], statistics["s2"]["kept"], statistics["s2"]["loss_drop"]) == (2, 1, 1.0)
    # k1 costs 80, shared by a and b; a's answer costs 20; a and b each have two parents. c is s1's alone.
    assert statistics["s2"]["tokens"] == pytest.approx((40 + 20) / 2 + 40 / 2)
    assert sum(row["tokens"] for row in statistics.values()) == pytest.approx(80 + 30 + 20 + 10)
