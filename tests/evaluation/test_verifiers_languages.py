"""Verifiers count and compare words in every script, also where no spaces stand between them."""

from __future__ import annotations

from typing import Any

import pytest

from sedi_dagster.evaluation.verifiers import verify
from sedi_dagster.evaluation.verifiers.text import normalise, occurs, words

SENTENCES = {
    "今天天气很好，我们去公园散步吧。": (6, 13),
    "今日は天気がいいので公園へ行きましょう。": (6, 14),
    "วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนกันเถอะ": (7, 14),
    "오늘은 날씨가 좋으니 공원에 가자.": (5, 5),
    "आज मौसम अच्छा है, चलो पार्क चलें।": (7, 7),
    "الطقس جميل اليوم فلنذهب إلى الحديقة": (6, 6),
    "The weather is nice today.": (5, 5),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_words_are_counted(sentence: str) -> None:
    least, most = SENTENCES[sentence]
    assert least <= len(words(sentence)) <= most
    assert len(words(f"{sentence} {sentence}")) == 2 * len(words(sentence))


@pytest.mark.parametrize(
    ("phrase", "text", "is_there"),
    [
        ("东京", "答案是东京。", True),
        ("大阪", "答案是东京。", False),
        ("東京", "それは東京です。", True),
        ("กรุงเทพ", "คำตอบคือกรุงเทพ", True),
        ("पेरिस", "उत्तर पेरिस है।", True),
        ("पेरस", "उत्तर पेरिस है।", False),
        ("서울", "답은 서울 입니다", True),
        ("서울", "답은 서울입니다.", True),
        ("서울", "서울은 대한민국의 수도이다.", True),
        ("서울", "서울대학교", False),
        ("1947", "भारत १९४७ में स्वतंत्र हुआ", True),
        ("cat", "concatenate", False),
    ],
)
def test_an_expected_answer_is_found_in_its_script(phrase: str, text: str, is_there: bool) -> None:
    assert occurs(phrase, text) is is_there


def test_vowel_signs_tell_words_apart() -> None:
    assert normalise("की") != normalise("का") and normalise("เก้า") != normalise("เก่า")


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ({"kind": "sentences", "count": 2}, "आज मौसम अच्छा है। चलो पार्क चलें।", "आज मौसम अच्छा है।"),
        ({"kind": "sentences", "count": 2}, "هل أنت بخير؟ نعم أنا بخير.", "نعم أنا بخير."),
        ({"kind": "sentences", "count": 2}, "یہ کتاب ہے۔ وہ قلم ہے۔", "یہ کتاب ہے۔"),
        ({"kind": "sentences", "count": 2}, "ዛሬ ዝናብ ነው። ነገ ፀሐይ ነው።", "ዛሬ ዝናብ ነው።"),
        ({"kind": "sentences", "count": 2}, "ថ្ងៃនេះក្តៅ។ ខ្ញុំនៅផ្ទះ។", "ថ្ងៃនេះក្តៅ។"),
        ({"kind": "numbered", "count": 2}, "1、苹果\n2、香蕉", "苹果\n香蕉"),
        ({"kind": "numbered", "count": 2}, "（１）りんご\n（２）みかん", "りんご"),
        ({"kind": "numbered", "count": 2}, "١. تفاح\n٢. موز", "تفاح\nموز"),
        ({"kind": "quoted"}, "„Guten Tag“", "Er sagte „Guten Tag“"),
        ({"kind": "quoted"}, "«Bonjour à tous»", "Il dit «bonjour»"),
        ({"kind": "quoted"}, "「こんにちは」", "彼は「こんにちは」"),
        ({"kind": "ends_question"}, "«Ça va ?»", "Ça va."),
    ],
)
def test_form_is_judged_by_the_signs_of_each_language(constraint: dict[str, Any], good: str, bad: str) -> None:
    args = {"constraints": [constraint]}
    assert verify("format", args, good).passed and not verify("format", args, bad).passed


@pytest.mark.parametrize(
    "answer", ["答案是B。", "选B", "정답은 B입니다.", "答えはBです。", "B、因为它最大", "คำตอบคือB"]
)
def test_a_letter_is_chosen_beside_a_script_without_spaces(answer: str) -> None:
    options = {"A": "地球", "B": "木星", "C": "火星"}
    assert verify("choice", {"options": options, "answer": "B"}, answer).passed
    assert not verify("choice", {"options": options, "answer": "A"}, answer).passed


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        (["긍정", "부정"], "이 문장은 긍정입니다."),
        (["正面", "负面"], "这条评论是正面的。"),
        (["肯定的", "否定的"], "この文は肯定的です。"),
        (["บวก", "ลบ"], "ความคิดเห็นนี้เป็นบวก"),
    ],
)
def test_a_label_is_found_in_its_script(labels: list[str], answer: str) -> None:
    assert verify("label", {"labels": labels, "answer": labels[0]}, answer).passed


def test_the_items_of_a_list_are_found_by_the_marks_of_each_language() -> None:
    for answer in ("水果：\n1、苹果\n2、香蕉", "果物\n・りんご\n・みかん", "الفواكه\n١. تفاح\n٢. موز"):
        assert verify("list_items", {"min_items": 2, "max_items": 2}, answer).passed, answer
