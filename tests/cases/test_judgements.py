"""What judges write besides the one word they are asked for, and what is taken for a verdict."""

from __future__ import annotations

import pytest

from sedi_dagster.evaluation.judge import verdict_in

VERDICTS: dict[str, str | None] = {
    "A": "A",
    "b": "B",
    "Tie.": "TIE",
    "**B**": "B",
    "[[A]]": "A",
    "(B)": "B",
    "`A`": "A",
    "Ａ": "A",
    "Answer A": "A",
    "answer b": "B",
    "Answer B is better": "B",
    "B is a better answer": "B",
    "I prefer B": "B",
    "The winner is B": "B",
    "My verdict is: A": "A",
    "Verdict: **TIE**": "TIE",
    "A tie": "TIE",
    "It's a tie": "TIE",
    "Both are equally good": "TIE",
    "Draw": "TIE",
    "选择B": "B",
    "答案：A": "A",
    "<answer>B</answer>": "B",
    "Respuesta B": "B",
    "Answer A and answer B are close; I choose B": "B",
    "": None,
    "Neither": None,
    "A or B": None,
    "AB": None,
    "Bad": None,
    "I prefer a longer text": None,
    "I cannot judge this": None,
}


@pytest.mark.parametrize("text", VERDICTS)
def test_a_verdict_is_read_out_of_its_sentence(text: str) -> None:
    assert verdict_in(text) == VERDICTS[text]
