"""Novelty is ROUGE-L F1 as `rouge_score` has it, for English text, and the same over words in any other language."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.filtering.novelty import NoveltyIndex, near_duplicates
from sedi_dagster.texts.words import tokens


def rouge_score_tokens(text: str) -> list[str]:
    """The tokens of `rouge_score` without a stemmer, written down again."""
    return [token for token in re.sub(r"[^a-z0-9]+", " ", text.lower()).split(" ") if token]


def longest_common_subsequence(a: list[str], b: list[str]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def rouge_l(a: list[str], b: list[str]) -> float:
    """F1 from precision and recall, as in Lin (2004)."""
    common = longest_common_subsequence(a, b)
    if common == 0:
        return 0.0
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall)


def score(a: str, b: str) -> float:
    index = NoveltyIndex()
    index.add("a", a)
    found = index.nearest(b, 0.0)
    return found[2] if found else 0.0


TOKENS = st.lists(st.sampled_from(["the", "a", "sum", "of", "3", "dogs"]), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TOKENS, TOKENS)
def test_the_score_is_rouge_l_f1_of_the_token_lists(a: list[str], b: list[str]) -> None:
    assert score(" ".join(a), " ".join(b)) == pytest.approx(rouge_l(a, b), abs=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(max_codepoint=127)))
def test_tokens_of_ascii_text_are_those_of_rouge_score(text: str) -> None:
    expected = rouge_score_tokens(text)
    assert tokens(text) == (expected or [c for c in text.lower() if not c.isspace()])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("写一首关于春天的诗", "把这个句子翻译成法语"),
        ("用 GPT4 写一首关于春天的诗", "请 GPT4 把下面这个句子翻译成法语"),
        ("Напиши стихотворение о весне", "Переведи предложение 3 на язык"),
        ("ترجم الجملة", "اكتب قصيدة"),
    ],
)
def test_texts_in_other_scripts_neither_all_match_nor_all_differ(a: str, b: str) -> None:
    assert score(a, b) < 0.6
    assert score(a, a) == 1.0
    assert score(a, a + "！") > 0.9


def test_the_nearest_of_all_is_named_with_its_score() -> None:
    index = NoveltyIndex()
    for name, text in [("a", "add two numbers"), ("b", "add two small numbers"), ("c", "sing a song")]:
        index.add(name, text)
    assert index.nearest("Add two small numbers!", 0.5) == ("b", "add two small numbers", 1.0)
    assert index.nearest("recite poems", 0.5) is None
    assert NoveltyIndex().nearest("anything", 0.0) is None


TEN = "a b c d e f g h i j"
SEVEN_OF_TEN = "a b c d e f g x y z"


def test_novelty_drops_above_the_threshold_and_decontamination_at_it() -> None:
    index = NoveltyIndex()
    index.add("ten", TEN)
    assert index.nearest(SEVEN_OF_TEN, 0.7) is None
    assert index.nearest(SEVEN_OF_TEN, 0.7, or_equal=True) == ("ten", TEN, pytest.approx(0.7))
    assert index.nearest(SEVEN_OF_TEN, 0.69) is not None
    assert index.nearest(SEVEN_OF_TEN, 0.71, or_equal=True) is None


def test_near_duplicates_lists_every_pair_at_or_above_the_threshold() -> None:
    pairs = near_duplicates([TEN, "other words"], [SEVEN_OF_TEN, "nothing", TEN], 0.7)
    assert pairs.columns == ["query", "pool", "score"]
    assert pairs.rows() == [(0, 0, pytest.approx(0.7)), (0, 2, 1.0)]
    assert near_duplicates([TEN], [SEVEN_OF_TEN], 0.71).is_empty()


def test_near_duplicates_of_nothing_are_none() -> None:
    assert near_duplicates([], [TEN], 0.5).rows() == near_duplicates([TEN], [], 0.5).rows() == []


def test_twenty_thousand_distinct_words_are_told_apart() -> None:
    index = NoveltyIndex()
    for i in range(0, 20_000, 20):
        index.add(str(i), " ".join(f"w{j}" for j in range(i, i + 20)))
    found = index.nearest("w19980 w19981 w19982 w19983", 0.0)
    assert found is not None and found[0] == "19980" and found[2] == pytest.approx(2 * 4 / 24)


def test_many_unknown_words_in_a_query_do_not_exhaust_the_alphabet() -> None:
    index = NoveltyIndex()
    index.add("a", "Name three rivers of Peru.")
    for start in range(0, 1_200_000, 200_000):
        index.nearest(" ".join(f"w{n}" for n in range(start, start + 200_000)), 0.7)
    assert index.nearest("Name three rivers of Peru!", 0.7) is not None
