"""The loss of an answer after its context, of many at once beside one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sedi_dagster.student.loading import load_student
from sedi_dagster.student.losses import answer_losses

CONTEXTS = [[5, 6, 7], [8], list(range(3, 40)), [9, 9], [4, 5]]
ANSWERS = [[10, 11], list(range(12, 30)), [13], [], [14, 15, 16]]


@pytest.mark.parametrize("tokens_at_once", [1, 60, 4096])
def test_losses_at_once_are_those_one_by_one_in_the_order_given(tiny_student: Path, tokens_at_once: int) -> None:
    model = load_student(str(tiny_student), adapter=None).eval()
    expected = []
    for context, answer in zip(CONTEXTS, ANSWERS, strict=True):
        with torch.no_grad():
            log_probs = model(torch.tensor([[*context, *answer]])).logits[0].log_softmax(-1)
        one_by_one = [float(-log_probs[len(context) + i - 1, token]) for i, token in enumerate(answer)]
        expected.append(sum(one_by_one) / len(one_by_one) if one_by_one else 0.0)
    done: list[int] = []
    assert answer_losses(model, CONTEXTS, ANSWERS, tokens_at_once, done.append) == pytest.approx(expected, abs=1e-5)
    assert done[-1] == len(CONTEXTS) and done == sorted(done)
