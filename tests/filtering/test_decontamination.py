"""Nothing near an evaluation item gets through, by a run of words or by ROUGE-L."""

from __future__ import annotations

import pytest

from sedi_dagster.filtering.decontamination import Decontaminator

LONG = " ".join(f"word{i}" for i in range(30))
SHORT = "a b c d e f g h i j"


@pytest.fixture
def decontaminator() -> Decontaminator:
    return Decontaminator([("long", LONG), ("short", SHORT)], threshold=0.7, ngram=13)


def test_thirteen_words_in_a_row_are_enough_wherever_they_stand(decontaminator: Decontaminator) -> None:
    run = " ".join(f"WORD{i}," for i in range(9, 22))
    other = " ".join(f"other{i}" for i in range(60))
    assert decontaminator.contamination(f"{other} {run} {other}") == ("evaluation_ngram", 13.0, 13.0, "long", LONG)


def test_twelve_words_in_a_row_are_not(decontaminator: Decontaminator) -> None:
    run = " ".join(f"word{i}" for i in range(9, 21))
    assert decontaminator.contamination(run + " and " + " ".join(f"other{i}" for i in range(60))) is None


def test_rouge_l_at_the_threshold_is_enough(decontaminator: Decontaminator) -> None:
    found = decontaminator.contamination("a b c d e f g x y z")
    assert found == ("evaluation_rouge_l", pytest.approx(0.7), 0.7, "short", SHORT)
    assert decontaminator.contamination("a b c d e f u x y z") is None


def test_items_shorter_than_a_run_are_guarded_by_rouge_l(decontaminator: Decontaminator) -> None:
    found = decontaminator.contamination(SHORT.upper())
    assert found is not None and found[0] == "evaluation_rouge_l" and found[1] == 1.0


def test_without_items_nothing_is_contaminated() -> None:
    assert Decontaminator([], 0.7, 13).contamination(LONG) is None
