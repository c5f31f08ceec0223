"""An answer ends with the student's end token: nothing after it is read, and its row is done."""

from __future__ import annotations

from pathlib import Path

from sedi_dagster.evaluation.decoding import Decoder
from sedi_dagster.student.loading import load_student

PROMPTS = [[40, 50, 60], [70, 80]]


def test_an_answer_ends_with_the_end_token(tiny_student: Path) -> None:
    model = load_student(str(tiny_student), None)
    model.eval()
    never = 1  # a token that this student does not say here
    free, _ = Decoder(model, frozenset({never})).answers_and_losses(PROMPTS, [[5], [5]], [8, 8])
    assert [len(ids) for ids in free] == [8, 8]
    end = free[0][0]  # what it says first counts as the end now
    ended, _ = Decoder(model, frozenset({end})).answers_and_losses(PROMPTS, [[5], [5]], [8, 8])
    assert ended[0] == [end]
    assert all(end not in ids[:-1] for ids in ended)
