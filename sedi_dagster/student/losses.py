"""The mean loss per token of given answers, computed in batches.

Rows are padded on the left, so that all answers end at the same position and only the last positions are projected onto
the vocabulary. With the attention mask and the position ids, padding changes the losses by no more than rounding. If it
does change them (`reading.py`), only rows of the same length are batched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Ids = Sequence[int]

TOKENS_PER_BATCH = 4096
"""Tokens per batch, padding included. The logits take up to 0.8 GB with a vocabulary of 49,152."""


def answer_losses(
    model: PreTrainedModel,
    contexts: Sequence[Ids],
    answers: Sequence[Ids],
    tokens_per_batch: int = TOKENS_PER_BATCH,
    report: Callable[[int], None] = lambda rows: None,
    padded: bool = True,
) -> list[float]:
    """Return the mean negative log-likelihood of each answer's tokens given its context, in nats.

    Args:
        model: in evaluation mode.
        contexts: token ids, at least one each.
        answers: token ids; the loss of an empty answer is 0.
        tokens_per_batch: maximum, padding included; a longer row is a batch of its own.
        report: called after each batch with the number of rows done.
        padded: whether rows of different lengths can share a batch (`reading.takes_padding`).
    """
    losses = [0.0] * len(answers)
    done = 0
    lengths = [len(c) + len(a) for c, a in zip(contexts, answers, strict=True)]
    for batch in _batches_by_length(lengths, tokens_per_batch, padded):
        answered = [i for i in batch if answers[i]]
        if answered:
            for i, loss in zip(answered, _losses(model, contexts, answers, answered), strict=True):
                losses[i] = loss
        done += len(batch)
        report(done)
    return losses


def _losses(model: PreTrainedModel, contexts: Sequence[Ids], answers: Sequence[Ids], batch: list[int]) -> list[float]:
    """The losses of the answers with these indices."""
    import torch

    rows = [[*contexts[i], *answers[i]] for i in batch]
    longest = max(map(len, rows))
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
    # A model that does not support padding may not accept position ids either.
    positions = {} if bool(mask.all()) else {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    with torch.no_grad():
        logits = model(
            input_ids=tokens,
            attention_mask=mask,
            **positions,
            logits_to_keep=max(len(answers[i]) for i in batch) + 1,
            use_cache=False,
        ).logits
        return [
            float(torch.nn.functional.cross_entropy(kept[-1 - len(answer) : -1].float(), answer))
            for kept, answer in zip(logits, (tokens[n, -len(answers[i]) :] for n, i in enumerate(batch)), strict=True)
        ]


def _batches_by_length(lengths: Sequence[int], max_tokens: int, padded: bool) -> Iterator[list[int]]:
    """Indices of rows, longest first, in batches of rows of similar length (or of the same, unless `padded`)."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[batch[0]] if batch else 0
        if batch and ((len(batch) + 1) * longest > max_tokens or (not padded and lengths[i] < longest)):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
