"""Greedy answers to many prompts, and the losses of their references, from one reading of the prompts.

`generate` computes every row until the longest answer ends, and knows no limit by row: of 24 answers of this project's
items that is two thirds of the work for rows that have ended. Here a row that has ended leaves the batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Ids = list[int]

POSITIONS_AT_ONCE = 4096
"""Positions of references projected in one go; their logits take 0.8 GB with a vocabulary of 49,152."""

NO_TOKEN = -100
_LEAVE_AT = 0.75
"""Ended rows leave when the others are at most this share of the batch: leaving copies what was read."""


def answers_and_losses(
    model: PreTrainedModel,
    prompts: Sequence[Ids],
    references: Sequence[Ids],
    limits: Sequence[int],
    ends: frozenset[int],
) -> tuple[list[Ids], list[float]]:
    """Each prompt's greedy answer, and the mean negative log-likelihood per token of its reference, in nats.

    Args:
        model: in evaluation mode.
        prompts, references: token ids, at least one each; a reference includes its end of turn.
        limits: most tokens of each answer, at least 1.
        ends: tokens that end an answer; the answer includes the one it ends with.
    """
    import torch

    longest = max(map(len, prompts))
    tokens = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device)
    with torch.inference_mode():
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        read = model(tokens, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        following, cache = read.logits[:, -1], read.past_key_values
        losses = _losses(model, following, copy.deepcopy(cache), mask, references)
        return _answers(model, following, cache, mask, limits, ends), losses


def _losses(
    model: PreTrainedModel, following: torch.Tensor, cache: Any, mask: torch.Tensor, references: Sequence[Ids]
) -> list[float]:
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(map(len, references))
    wanted = torch.tensor([ids + [NO_TOKEN] * (longest - len(ids)) for ids in references], device=mask.device)
    before = mask.sum(1, keepdim=True)
    sums = cross_entropy(following.float(), wanted[:, 0], reduction="none")
    step = max(1, POSITIONS_AT_ONCE // len(references))
    for start in range(0, longest - 1, step):
        stop = min(start + step, longest - 1)
        mask = torch.cat([mask, (wanted[:, start:stop] != NO_TOKEN).long()], dim=1)
        logits = model(
            wanted[:, start:stop].clamp(min=0),
            attention_mask=mask,
            position_ids=before + torch.arange(start, stop, device=mask.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        targets = wanted[:, start + 1 : stop + 1]
        sums += cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=NO_TOKEN, reduction="none").sum(1)
    return [total / len(ids) for total, ids in zip(sums.tolist(), references, strict=True)]


def _answers(
    model: PreTrainedModel,
    following: torch.Tensor,
    cache: Any,
    mask: torch.Tensor,
    limits: Sequence[int],
    ends: frozenset[int],
) -> list[Ids]:
    import torch

    answers: list[Ids] = [[] for _ in limits]
    rows = list(range(len(limits)))  # of the batch, as numbers of answers
    unfinished = set(rows)
    while True:
        tokens = following.argmax(-1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if row in unfinished:
                answers[row].append(token)
                if token in ends or len(answers[row]) == limits[row]:
                    unfinished.remove(row)
        if not unfinished:
            return answers
        if len(unfinished) <= _LEAVE_AT * len(rows):
            kept = torch.tensor([place for place, row in enumerate(rows) if row in unfinished], device=mask.device)
            cache.reorder_cache(kept)
            mask, tokens, rows = mask[kept], tokens[kept], [row for row in rows if row in unfinished]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        following = model(
            tokens[:, None],
            attention_mask=mask,
            position_ids=mask.sum(1, keepdim=True) - 1,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
