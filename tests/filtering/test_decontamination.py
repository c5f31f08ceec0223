"""Nothing near an evaluation item gets through, by a run of words or by ROUGE-L."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.filtering.decontamination import Decontaminator, word_runs

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


def test_many_texts_get_what_each_gets_alone(decontaminator: Decontaminator) -> None:
    run = " ".join(f"WORD{i}," for i in range(9, 22))
    texts = ["x " * 40 + run, "a b c d e f g x y z", "nothing of the kind", "", SHORT, run + " tail"] * 3
    found = decontaminator.near(pl.DataFrame({"text": texts}).with_row_index("row"))
    alone = {row: message for row, text in enumerate(texts) if (message := decontaminator.contamination(text))}
    assert {line[0]: line[1:] for line in found.iter_rows()} == alone
    assert len(alone) == 12


def test_a_row_of_several_texts_is_told_once_by_the_first_that_is_near(decontaminator: Decontaminator) -> None:
    texts = pl.DataFrame({"row": [4, 4, 4, 5], "text": ["fine", SHORT, "a b c d e f g x y z", "fine"]})
    found = decontaminator.near(texts.cast({"row": pl.UInt32}))
    assert found.select("row", "rule", "score").rows() == [(4, "evaluation_rouge_l", 1.0)]


WORDS = st.lists(st.sampled_from("a b c d".split()), max_size=14)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(WORDS, WORDS)
def test_equal_runs_and_only_those_have_equal_hashes(first: list[str], second: list[str]) -> None:
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

    hashed = word_runs(pl.Series([" ".join(first), " ".join(second)], dtype=pl.String), 3)
    by_text = [set(hashed.filter(pl.col("row") == row)["run"]) for row in (0, 1)]
    assert [len(found) for found in by_text] == [len(runs(first)), len(runs(second))]
    assert len(by_text[0] & by_text[1]) == len(runs(first) & runs(second))


def test_a_run_does_not_go_from_one_text_into_the_next() -> None:
    decontaminator = Decontaminator([("item", "one two three four")], 0.99, 4)
    texts = pl.DataFrame({"row": [0, 1], "text": ["zero one two", "three four five"]}).cast({"row": pl.UInt32})
    assert decontaminator.near(texts).height == 0


def test_vectors_are_compared_only_if_a_threshold_is_set() -> None:
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> np.ndarray:
        calls.append(texts)
        return np.array([[1.0, 0.0] if "moon" in text else [0.0, 1.0] for text in texts], np.float32)

    texts = pl.DataFrame({"row": [7, 9], "text": ["the sun", "our moon"]}).cast({"row": pl.UInt32})
    items = [("item", "A moon of Jupiter")]
    assert Decontaminator(items, 0.7, 13, cosine=None, embed=embed).near_by_cosine(texts).height == 0
    assert Decontaminator([], 0.7, 13, cosine=0.9, embed=embed).near_by_cosine(texts).height == 0
    assert calls == []
    found = Decontaminator(items, 0.7, 13, cosine=0.9, embed=embed).near_by_cosine(texts)
    assert found.rows() == [(9, "evaluation_cosine", 1.0, 0.9, "item", "A moon of Jupiter")]
