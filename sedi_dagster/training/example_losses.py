"""The loss of each example: one pass without gradients over exactly the trained tokens.

It also yields the instruction-following difficulty, IFD (Li et al., NAACL 2024, long 421): the mean loss of the
answer's tokens given the instruction, divided by their mean loss without it. Above 1, the instruction does not help.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sedi_dagster.student.losses import answer_losses

_TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 16384}


@dataclass(frozen=True)
class Encoded:
    """A tokenized row: token ids, and labels, which are -100 outside the answer. The answer is contiguous."""

    input_ids: Sequence[int]
    labels: Sequence[int]

    @property
    def answer_tokens(self) -> int:
        return sum(label != -100 for label in self.labels[1:])

    @property
    def context(self) -> Sequence[int]:
        """The token ids before the answer."""
        return self.input_ids[: next((i for i, label in enumerate(self.labels) if label != -100), None)]

    @property
    def answer(self) -> list[int]:
        return [label for label in self.labels if label != -100]

    def answer_alone(self, answer_prefix: Sequence[int]) -> Encoded:
        """Return the answer without its instruction, after the tokens that open an assistant's turn."""
        return Encoded([*answer_prefix, *self.answer], [*[-100] * len(answer_prefix), *self.answer])


def example_losses(model: Any, rows: Sequence[Encoded], bf16: bool, padded: bool = True) -> list[float]:
    """Return the mean loss of each row's answer tokens in nats.

    Args:
        bf16: compute in bf16 autocast, as in training.
        padded: as in `answer_losses`.
    """
    import torch

    device = next(model.parameters()).device
    tokens = _TOKENS_PER_BATCH.get(device.type, _TOKENS_PER_BATCH["cuda"])
    with _evaluation_mode(model), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return answer_losses(model, [row.context for row in rows], [row.answer for row in rows], tokens, padded=padded)


@contextmanager
def _evaluation_mode(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
