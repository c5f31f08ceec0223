"""A model as judge of open-ended answers: which of two checkpoints answers better, in both orders, length held equal.

Off by default, reported only: it decides nothing. Judges prefer what they read first and what is longer. So every pair
is asked in both orders (Zheng and others 2023, arXiv 2306.05685), and the win rate is that at equal length, from a
logistic regression on the difference in length (Dubois and others 2024, arXiv 2404.04475, without its item terms).
"""

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sedi_dagster.records import AskTeacher, Message, TeacherAnswer, TeacherRequest

CATEGORIES = ("brainstorming", "creative_writing")
PURPOSE = "judge"
PENALTY = 0.1
"""Weight of the ridge on the regression: with few pairs all won, the win rate must not run off to certainty."""

JUDGEMENT_SCHEMA = {
    "item_id": pl.String,
    "category": pl.String,
    "after_first": pl.String,
    "before_first": pl.String,
    "preference": pl.Float64,
    "length_after": pl.Int64,
    "length_before": pl.Int64,
}
_LETTER = r"(?<![A-Za-z])(?:[AB]|(?i:ties?|tied|draw|equal(?:ly)?))(?![A-Za-z])"
_DECIDED = re.compile(
    rf"(?:(?i:answer|verdict|winner|choice|option|response|preference|better|best|judg\w*|choose|prefer|选择|答案|回答))"
    rf"[^A-Za-z\n]{{0,6}}(?:(?i:is|would be|goes to)[^A-Za-z\n]{{1,4}})?({_LETTER})"
)
_NAMED = re.compile(_LETTER)


@dataclass(frozen=True)
class WinRate:
    """Of the new checkpoint against the one before; `consistent` is the share of pairs judged alike in both orders."""

    pairs: int
    raw: float
    at_equal_length: float
    consistent: float


async def judge_pairs(ask: AskTeacher, before: pl.DataFrame, after: pl.DataFrame, round_key: str) -> pl.DataFrame:
    """`JUDGEMENT_SCHEMA`, one row an item of `CATEGORIES` that both answered, and answered differently.

    Args:
        ask: the judge, an endpoint that was opted into for this: it is sent evaluation items.
        before, after: items as the two checkpoints answered them (`ITEM_SCHEMA`).
    """
    earlier = before.select("item_id", pl.col("answer").alias("answer_before"))
    pairs = (
        after.filter(pl.col("category").is_in(CATEGORIES))
        .join(earlier, on="item_id")
        .filter(pl.col("answer") != pl.col("answer_before"))
        .sort("item_id")
    )
    rows = pairs.to_dicts()
    requests = [_request(row, round_key, row["answer"], row["answer_before"]) for row in rows]
    requests += [_request(row, round_key, row["answer_before"], row["answer"]) for row in rows]
    answers = await ask(requests)
    found = [_judgement(row, answers[i], answers[len(rows) + i]) for i, row in enumerate(rows)]
    return pl.DataFrame(found, schema=JUDGEMENT_SCHEMA)


def win_rate(judgements: pl.DataFrame) -> WinRate | None:
    """How often the new checkpoint's answer is preferred, ties counting half; None if no pair was judged."""
    known = judgements.drop_nulls("preference")
    if not known.height:
        return None
    preference = known["preference"].to_numpy()
    difference = np.log1p(known["length_after"].to_numpy()) - np.log1p(known["length_before"].to_numpy())
    ties = (known["after_first"] == "TIE").to_numpy() & (known["before_first"] == "TIE").to_numpy()
    alike = (preference == 0.0) | (preference == 1.0) | ties
    return WinRate(known.height, float(preference.mean()), at_equal_length(preference, difference), float(alike.mean()))


def at_equal_length(preference: NDArray[Any], difference: NDArray[Any]) -> float:
    """Intercept, as a probability, of a logistic regression of the preference on the difference in log length."""
    from scipy.optimize import minimize

    def loss(weights: NDArray[Any]) -> float:
        logit = weights[0] + weights[1] * difference
        likelihood = preference * np.logaddexp(0, -logit) + (1 - preference) * np.logaddexp(0, logit)
        return float(likelihood.sum() + PENALTY * (weights @ weights))

    intercept = float(minimize(loss, np.zeros(2)).x[0])
    return 1 / (1 + math.exp(-intercept))


def _request(row: dict[str, Any], round_key: str, first: str, second: str) -> TeacherRequest:
    text = (
        "Two answers to the same task follow. Judge which one serves the person who asked better: does it do what was "
        "asked, is it right, varied and well written? Length alone is no merit, and neither is the order.\n\n"
        f"[Task]\n{row['prompt']}\n\n[Answer A]\n{first}\n\n[Answer B]\n{second}\n\n"
        "Reply with one word: A, B or TIE."
    )
    return TeacherRequest(
        purpose=PURPOSE,
        round=round_key,
        category=row["category"],
        max_tokens=8,
        messages=(Message("user", text),),
        temperature=0.0,
    )


def verdict_in(text: str) -> str | None:
    """What a judge decided: the letter alone, the last that it says it decided for, or the only one it names.

    A small "a" is an article, and so is a capital one before a word ("A tie").
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    alone = re.sub(r"[^a-z]", "", re.sub(r"(?i)^\W*(?:answer|option|response)\b", "", plain).lower())
    if alone in ("a", "b"):
        return alone.upper()
    decided = _DECIDED.findall(plain)
    found = {decided[-1]} if decided else set(_NAMED.findall(plain))
    ties = {word for word in found if len(word) > 1}
    if ties:
        return "TIE" if "B" not in found else None
    return found.pop() if len(found) == 1 else None


def _judgement(row: dict[str, Any], after_first: TeacherAnswer, before_first: TeacherAnswer) -> dict[str, Any]:
    first, second = (None if a.error else verdict_in(a.text) for a in (after_first, before_first))
    worth = {"A": 1.0, "TIE": 0.5, "B": 0.0}
    preference = None if first is None or second is None else (worth[first] + 1.0 - worth[second]) / 2
    return {
        "item_id": row["item_id"],
        "category": row["category"],
        "after_first": first,
        "before_first": second,
        "preference": preference,
        "length_after": len(row["answer"]),
        "length_before": len(row["answer_before"]),
    }
