"""How well a student predicts given answers: mean loss per token, many at once.

Rows are padded on the left, so that all answers end at the same place and only their positions are projected onto the
vocabulary. The attention mask and the positions leave each row's numbers those of the row alone, up to rounding. Where
they do not (`reading.py`), only rows of one length are read together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Ids = Sequence[int]

TOKENS_AT_ONCE = 4096
"""Tokens of a batch, padding included. Were all of them answers, their logits would take 0.8 GB (49,152 tokens)."""


def answer_losses(
    model: PreTrainedModel,
    contexts: Sequence[Ids],
    answers: Sequence[Ids],
    tokens_at_once: int = TOKENS_AT_ONCE,
    report: Callable[[int], None] = lambda rows: None,
    padded: bool = True,
) -> list[float]:
    """Mean negative log-likelihood of each answer's tokens after its context, in nats, in the order given.

    Args:
        model: in evaluation mode.
        contexts: token ids, at least one each. answers: token ids; of none the loss is 0.
        tokens_at_once: of a batch, padding included; a longer row is a batch by itself.
        report: called after each batch with the number of rows done.
        padded: whether the model takes rows of different lengths together (`reading.takes_padding`).
    """
    losses = [0.0] * len(answers)
    done = 0
    lengths = [len(c) + len(a) for c, a in zip(contexts, answers, strict=True)]
    for places in _by_length(lengths, tokens_at_once, padded):
        answered = [place for place in places if answers[place]]
        if answered:
            for place, loss in zip(answered, _losses(model, contexts, answers, answered), strict=True):
                losses[place] = loss
        done += len(places)
        report(done)
    return losses


def _losses(model: PreTrainedModel, contexts: Sequence[Ids], answers: Sequence[Ids], places: list[int]) -> list[float]:
    import torch

    rows = [[*contexts[place], *answers[place]] for place in places]
    longest = max(map(len, rows))
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
    # A model that takes no padding may take no positions either.
    positions = {} if bool(mask.all()) else {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    with torch.no_grad():
        logits = model(
            input_ids=tokens,
            attention_mask=mask,
            **positions,
            logits_to_keep=max(len(answers[place]) for place in places) + 1,
            use_cache=False,
        ).logits
        return [
            float(torch.nn.functional.cross_entropy(kept[-1 - len(answer) : -1].float(), answer))
            for kept, answer in zip(logits, (tokens[i, -len(answers[p]) :] for i, p in enumerate(places)), strict=True)
        ]


def _by_length(lengths: Sequence[int], most: int, padded: bool) -> Iterator[list[int]]:
    """Places, the longest first, in batches of at most `most` tokens: rows of like length pad little, or not at all."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        longest = lengths[batch[0]] if batch else 0
        if batch and ((len(batch) + 1) * longest > most or (not padded and lengths[place] < longest)):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
