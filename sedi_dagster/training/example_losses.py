"""The loss of each example: one pass without gradients over exactly the trained tokens.

Also its instruction-following difficulty, IFD (Li and others, NAACL 2024, long 421): mean loss of the answer's tokens
given the instruction, divided by their mean loss without it. Above 1 the instruction does not help.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sedi_dagster.student.losses import answer_losses

TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 16384}


@dataclass(frozen=True)
class Encoded:
    """A row as it is trained: token ids, and labels that are -100 outside the answer, which is in one piece."""

    input_ids: Sequence[int]
    labels: Sequence[int]

    @property
    def answer_tokens(self) -> int:
        return sum(label != -100 for label in self.labels[1:])

    @property
    def context(self) -> Sequence[int]:
        """What comes before the answer."""
        return self.input_ids[: next((i for i, label in enumerate(self.labels) if label != -100), None)]

    @property
    def answer(self) -> list[int]:
        return [label for label in self.labels if label != -100]

    def answer_alone(self, answer_prefix: Sequence[int]) -> Encoded:
        """The answer without its instruction, after the tokens that open an assistant's turn."""
        return Encoded([*answer_prefix, *self.answer], [*[-100] * len(answer_prefix), *self.answer])


def example_losses(model: Any, rows: Sequence[Encoded], bf16: bool, padded: bool = True) -> list[float]:
    """Mean loss of each row's answer tokens, in nats, in the precision of training; `padded` as in `answer_losses`."""
    import torch

    device = next(model.parameters()).device
    at_once = TOKENS_AT_ONCE.get(device.type, TOKENS_AT_ONCE["cuda"])
    with _at_rest(model), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return answer_losses(model, [row.context for row in rows], [row.answer for row in rows], at_once, padded=padded)


@contextmanager
def _at_rest(model: Any) -> Iterator[None]:
    """The model in evaluation mode for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
