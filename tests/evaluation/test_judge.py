"""The optional judge: its likes for the first and for the longer answer do not count."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from sedi_dagster.evaluation.judge import JUDGEMENT_SCHEMA, at_equal_length, judge_pairs, win_rate
from sedi_dagster.records import TeacherAnswer, TeacherRequest

Verdict = Callable[[str, str], str]


def items(answers: Sequence[str], category: str = "brainstorming") -> pl.DataFrame:
    rows = [(f"i{n}", category, f"Task {n}", answer) for n, answer in enumerate(answers)]
    return pl.DataFrame(rows, schema=["item_id", "category", "prompt", "answer"], orient="row")


def judged(verdict: Verdict, before: Sequence[str], after: Sequence[str], **more: str) -> pl.DataFrame:
    async def ask(requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
        found = []
        for request in requests:
            (first, second) = re.findall(r"\[Answer [AB]\]\n(.*)\n", request.messages[0].content)
            found.append(TeacherAnswer("key", verdict(first, second), "stop", 1, 1, False))
        return found

    return asyncio.run(judge_pairs(ask, items(before, **more), items(after, **more), "round-0001"))


def test_a_judge_that_always_prefers_the_first_answer_says_nothing() -> None:
    found = judged(lambda first, second: "A", ["red"] * 6, ["blue"] * 6)
    rate = win_rate(found)
    assert rate is not None and rate.raw == 0.5 and rate.consistent == 0.0


def test_a_real_preference_shows_in_both_orders() -> None:
    rate = win_rate(judged(lambda first, second: "A" if "good" in first else "B", ["bad"] * 10, ["good"] * 10))
    assert rate is not None and (rate.raw, rate.consistent, rate.pairs) == (1.0, 1.0, 10)
    assert 0.8 < rate.at_equal_length < 1.0


def test_what_is_won_by_length_alone_is_not_won_at_equal_length() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(0.8, 0.5, 200)  # the new answers are longer, and the judge likes length only
    preference = (rng.random(200) < 1 / (1 + np.exp(-4 * difference))).astype(float)
    assert preference.mean() > 0.85
    assert at_equal_length(preference, difference) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("said", ["I cannot say", "A or B", ""])
def test_a_judge_that_does_not_answer_is_not_counted(said: str) -> None:
    found = judged(lambda first, second: said, ["red"] * 3, ["blue"] * 3)
    assert found.height == 3 and found["preference"].null_count() == 3 and win_rate(found) is None


def test_only_open_ended_categories_and_answers_that_differ_are_judged() -> None:
    assert judged(lambda *_: "A", ["red"], ["blue"], category="math").height == 0
    assert judged(lambda *_: "A", ["red", "same"], ["blue", "same"])["item_id"].to_list() == ["i0"]
    assert win_rate(pl.DataFrame(schema=JUDGEMENT_SCHEMA)) is None
