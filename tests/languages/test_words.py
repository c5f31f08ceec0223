"""Words mean the same in every script: they are counted and compared as a reader would."""

from __future__ import annotations

import polars as pl
import pytest

from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.texts.words import mostly_foreign, tokens, word_count, word_counts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't sort 3.5 a_b", ["don", "t", "sort", "3", "5", "a", "b"]),
        ("l'été à Genève", ["l", "été", "à", "genève"]),
        ("请用三句话解释天空", ["请用", "三句话", "解释", "天空"]),
        ("用GPT4解释", ["用", "gpt4", "解释"]),
        ("ＧＰＴ４の説明", ["gpt4", "の", "説明"]),
        ("เขียนบทกวี", ["เขียน", "บท", "กวี"]),
        ("ຂຽນບົດກະວີ", ["ຂຽນ", "ບົດ", "ກະວີ"]),
        ("សរសេរកំណាព្យ", ["សរសេរ", "កំណាព្យ"]),
        ("ကဗျာရေးပါ", ["ကဗျာ", "ရေး", "ပါ"]),
        ("한국어로 시를 써 주세요", ["한국어로", "시를", "써", "주세요"]),
        ("हिन्दी में कविता", ["हिन्दी", "में", "कविता"]),
        ("اشرح في ثلاث", ["اشرح", "في", "ثلاث"]),
        ("soft\u00adhyphen zero\u200bwidth é", ["softhyphen", "zero", "width", "é"]),
        ("+++[>", ["+", "+", "+", "[", ">"]),
        ("😀🎉", ["😀", "🎉"]),
        ("", []),
    ],
)
def test_words_are_those_of_unicode_text_segmentation(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_one_letter_in_two_unicode_forms_is_one_word() -> None:
    assert tokens("café") == tokens("cafe\u0301") == ["café"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sort these three numbers", 4),
        ("Don't go - now", 4),
        ("请用三句话解释为什么天空是蓝色的。", 8),
        ("เขียนบทกวีเกี่ยวกับฤดูใบไม้ผลิสามบรรทัด", 10),
        ("한국어로 시를 써 주세요", 4),
    ],
)
def test_words_are_counted_alike_one_by_one_and_in_a_column(text: str, words: int) -> None:
    assert word_count(text) == words
    assert word_counts(pl.Series(["one", text, None, "two words"])).to_list() == [1, words, None, 2]


def test_rouge_l_is_over_words_so_one_changed_word_counts_the_same_in_chinese_and_english() -> None:
    index = NoveltyIndex()
    index.add("en", "please explain in three sentences why the sky is blue")
    index.add("zh", "请用三句话解释为什么天空是蓝色的")
    assert index.nearest("please explain in three sentences why the sea is blue", 0.5)[2] == pytest.approx(0.9)  # type: ignore[index]
    assert index.nearest("请用三句话解释为什么大海是蓝色的", 0.5)[2] == pytest.approx(7 / 8)  # type: ignore[index]


def test_a_text_is_foreign_if_most_of_its_letters_are_of_another_script() -> None:
    texts = pl.Series(["Explain 天空", "请用 GPT 解释天空", "Écris un poème", "Объясните", "12 + 3", ""])
    assert mostly_foreign(texts).to_list() == [False, True, False, True, False, False]
