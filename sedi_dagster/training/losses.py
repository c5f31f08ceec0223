"""The loss of each example by itself: one pass without gradients over the very tokens that are trained.

Also its instruction-following difficulty, IFD (Li and others, NAACL 2024, long 421): mean loss of the answer's tokens
given the instruction, divided by their mean loss alone. Above 1 the instruction does not help.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 16384}


@dataclass(frozen=True)
class Encoded:
    """A row as it is trained: token ids, and labels that are -100 outside the answer."""

    input_ids: Sequence[int]
    labels: Sequence[int]

    @property
    def answer_tokens(self) -> int:
        return sum(label != -100 for label in self.labels[1:])

    def answer_alone(self, answer_prefix: Sequence[int]) -> Encoded:
        """The answer without its instruction, after the tokens that open an assistant's turn."""
        answer = [label for label in self.labels if label != -100]
        return Encoded([*answer_prefix, *answer], [*[-100] * len(answer_prefix), *answer])


def example_losses(model: Any, rows: Sequence[Encoded], pad: int, bf16: bool) -> list[float]:
    """Mean loss of each row's answer tokens, in nats. Rows of like length share a batch, so little is padded.

    Args:
        model: with a fused head: `model(..., labels=labels, fused_lm_head=True).log_probs`.
    """
    import torch

    device = next(model.parameters()).device
    losses = [0.0] * len(rows)
    with _at_rest(model), torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for chosen in _by_length(rows, TOKENS_AT_ONCE.get(device.type, TOKENS_AT_ONCE["cuda"])):
            longest = max(len(rows[i].input_ids) for i in chosen)
            batch = {
                "input_ids": [_padded(rows[i].input_ids, longest, pad) for i in chosen],
                "attention_mask": [_padded([1] * len(rows[i].input_ids), longest, 0) for i in chosen],
                "labels": [_padded(rows[i].labels, longest, -100) for i in chosen],
            }
            tensors = {name: torch.tensor(values, device=device) for name, values in batch.items()}
            sums = -model(**tensors, fused_lm_head=True).log_probs.float().sum(dim=1)
            for i, total in zip(chosen, sums.tolist(), strict=True):
                losses[i] = total / max(1, rows[i].answer_tokens)
    return losses


def _by_length(rows: Sequence[Encoded], most: int) -> Iterator[list[int]]:
    """Row numbers in batches of at most `most` tokens, padding included; a longer row is a batch by itself."""
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: -len(rows[i].input_ids)):
        if batch and (len(batch) + 1) * len(rows[batch[0]].input_ids) > most:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _padded(values: Sequence[int], length: int, filler: int) -> list[int]:
    return [*values, *[filler] * (length - len(values))]


@contextmanager
def _at_rest(model: Any) -> Iterator[None]:
    """The model in evaluation mode for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
