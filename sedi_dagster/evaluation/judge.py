"""A model as the judge of open-ended answers: which of two checkpoints answers better.

Off by default, and only reported: no decision depends on it. Judges prefer the first and the longer of two answers.
Therefore each pair is judged in both orders (Zheng et al. 2023, arXiv 2306.05685), and the win rate is controlled for
length by a logistic regression on the length difference (Dubois et al. 2024, arXiv 2404.04475, without its item terms).
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
"""Weight of the ridge penalty of the regression, which keeps the win rate below 1 if a few pairs are all won."""

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
_MENTIONED = re.compile(_LETTER)


@dataclass(frozen=True)
class WinRate:
    """The win rate of the new checkpoint against the previous one.

    Attributes:
        pairs: number of judged pairs.
        raw: win rate, ties counting half.
        at_equal_length: win rate controlled for length.
        consistent: share of pairs with the same verdict in both orders.
    """

    pairs: int
    raw: float
    at_equal_length: float
    consistent: float


async def judge_pairs(ask: AskTeacher, before: pl.DataFrame, after: pl.DataFrame, round_key: str) -> pl.DataFrame:
    """Have a model judge the items of `CATEGORIES` that both checkpoints answered, but differently.

    Args:
        ask: the judge. It receives evaluation items, so the user must have opted in to it.
        before, after: the items as answered by the two checkpoints (`ITEM_SCHEMA`).

    Returns:
        One row per item (`JUDGEMENT_SCHEMA`); `preference` is null where a verdict is missing.
    """
    answered = before.select("item_id", pl.col("answer").alias("answer_before"))
    pairs = (
        after.filter(pl.col("category").is_in(CATEGORIES))
        .join(answered, on="item_id")
        .filter(pl.col("answer") != pl.col("answer_before"))
        .sort("item_id")
    )
    rows = pairs.to_dicts()
    requests = [_request(row, round_key, row["answer"], row["answer_before"]) for row in rows]
    requests += [_request(row, round_key, row["answer_before"], row["answer"]) for row in rows]
    answers = await ask(requests)
    judgements = [_judgement(row, answers[i], answers[len(rows) + i]) for i, row in enumerate(rows)]
    return pl.DataFrame(judgements, schema=JUDGEMENT_SCHEMA)


def win_rate(judgements: pl.DataFrame) -> WinRate | None:
    """Return the win rate of the new checkpoint; None if no pair has a verdict."""
    judged = judgements.drop_nulls("preference")
    if not judged.height:
        return None
    preference = judged["preference"].to_numpy()
    difference = np.log1p(judged["length_after"].to_numpy()) - np.log1p(judged["length_before"].to_numpy())
    ties = (judged["after_first"] == "TIE").to_numpy() & (judged["before_first"] == "TIE").to_numpy()
    same = (preference == 0.0) | (preference == 1.0) | ties
    return WinRate(judged.height, float(preference.mean()), at_equal_length(preference, difference), float(same.mean()))


def at_equal_length(preference: NDArray[Any], difference: NDArray[Any]) -> float:
    """Return the win rate at equal length.

    The intercept, as a probability, of a logistic regression of the preference on the difference in log length.

    Args:
        preference: 1 where the new answer won, 0 where it lost, values between for ties and contradictions.
        difference: log length of the new answer minus that of the previous one.
    """
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
    """Return the verdict ("A", "B" or "TIE") in a judge's answer; None if there is none or it is ambiguous.

    The verdict is the whole answer, the last letter introduced as the decision ("the better answer is B"), or the only
    one that occurs. A lower-case "a" is read as an article, and so is "A" in "A tie".
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    bare = re.sub(r"[^a-z]", "", re.sub(r"(?i)^\W*(?:answer|option|response)\b", "", plain).lower())
    if bare in ("a", "b"):
        return bare.upper()
    decided = _DECIDED.findall(plain)
    verdicts = {decided[-1]} if decided else set(_MENTIONED.findall(plain))
    if any(len(word) > 1 for word in verdicts):  # a word for a tie
        return "TIE" if "B" not in verdicts else None
    return verdicts.pop() if len(verdicts) == 1 else None


def _judgement(row: dict[str, Any], after_first: TeacherAnswer, before_first: TeacherAnswer) -> dict[str, Any]:
    first, second = (None if a.error else verdict_in(a.text) for a in (after_first, before_first))
    value = {"A": 1.0, "TIE": 0.5, "B": 0.0}
    preference = None if first is None or second is None else (value[first] + 1.0 - value[second]) / 2
    return {
        "item_id": row["item_id"],
        "category": row["category"],
        "after_first": first,
        "before_first": second,
        "preference": preference,
        "length_after": len(row["answer"]),
        "length_before": len(row["answer_before"]),
    }
