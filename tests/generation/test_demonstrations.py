"""Which seeds the prompts of a round show."""

from __future__ import annotations

from collections import Counter
from math import comb

import polars as pl
import pytest
from plain_teacher import seeds

from sedi_dagster.generation.demonstrations import MOST_WEIGHT, DemonstrationPicker, weights


def ids(picker: DemonstrationPicker, count: int = 8, machine: int = 2) -> list[str]:
    return [row["seed_id"] for row in picker.next(count, machine)]


def test_no_seed_is_shown_twice_before_all_were_shown_once() -> None:
    picker = DemonstrationPicker(seeds(24, 0), (0, "round-0001", "math"))
    first = [name for _ in range(3) for name in ids(picker)]
    assert len(first) == len(set(first)) == 24
    second = [name for _ in range(3) for name in ids(picker)]
    assert sorted(second) == sorted(first) and second != first


@pytest.mark.parametrize(("human", "machine"), [(9, 0), (7, 2), (10, 1)])
def test_the_same_eight_are_never_shown_twice_while_others_are_left(human: int, machine: int) -> None:
    picker = DemonstrationPicker(seeds(human, machine), (0, "round-0001", "math"))
    possible = comb(human, 8 - min(machine, 2))
    shown = [frozenset(ids(picker)) for _ in range(possible)]
    assert len(set(shown)) == possible
    assert frozenset(ids(picker)) in shown, "only then does a set come back"


def test_the_order_in_a_prompt_tells_nothing_of_the_origin() -> None:
    picker = DemonstrationPicker(seeds(24, 4), (0, "round-0001", "math"))
    places = {place for _ in range(12) for place, name in enumerate(ids(picker)) if name.startswith("machine")}
    assert len(places) > 4


def test_a_seed_is_shown_as_often_as_its_weight_says() -> None:
    weighted = seeds(20, 0).with_columns(weight=pl.Series([3.0, 0.5] + [1.0] * 18))
    picker = DemonstrationPicker(weighted, (0, "round-0001", "math"))
    counts = Counter(name for _ in range(60) for name in ids(picker, 4))
    usual = sum(counts[f"human-{i:02d}"] for i in range(2, 20)) / 18
    assert counts["human-00"] == pytest.approx(3 * usual, rel=0.15)
    assert counts["human-01"] == pytest.approx(0.5 * usual, rel=0.25)


def test_weights_come_from_training_feedback() -> None:
    frame = seeds(1, 3)
    assert weights(frame) == [1.0] * 4
    signalled = frame.with_columns(signal=pl.Series([None, 1.0, 2.0, 3.0]))
    assert weights(signalled) == [1.0, 0.5, 1.0, 1.5]
    text = signalled.with_columns(weight=pl.Series([1.0, float("nan"), None, 99.0]))
    assert weights(text) == [1.0, 1.0, 1.0, MOST_WEIGHT]


def test_the_choice_depends_on_the_seed_and_on_nothing_else() -> None:
    one, same, other = (DemonstrationPicker(seeds(24, 4), (n, "round-0001", "math")) for n in (0, 0, 1))
    shown = [ids(one) for _ in range(5)]
    assert shown == [ids(same) for _ in range(5)] and shown != [ids(other) for _ in range(5)]
