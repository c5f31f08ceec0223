"""Batched greedy decoding with transformers' `generate`, and the losses of the reference answers.

Both share one prefill of the prompts, which `generate` continues from, as transformers documents for prompt reuse. The
student's `generation_config` applies (for example a repetition penalty), but nothing is sampled.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Ids = list[int]

POSITIONS_AT_ONCE = 4096
"""Positions of references projected in one go; their logits take 0.8 GB with a vocabulary of 49,152."""

NO_TOKEN = -100

_GREEDY: dict[str, Any] = {
    "do_sample": False,
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "num_beams": 1,
    "num_return_sequences": 1,
    "prompt_lookup_num_tokens": None,
    "cache_implementation": None,
    "return_dict_in_generate": False,
    "max_time": None,
    "stop_strings": None,
}
"""What a `generation_config` may say otherwise: how to search, when to stop, what to return, where the cache lies."""


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

    longest = max(2, *map(len, prompts))
    tokens = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device)
    with torch.inference_mode():
        read, positions = mask[:, :-1], (mask.cumsum(1) - 1).clamp(min=0)
        output = model(
            tokens[:, :-1], attention_mask=read, position_ids=positions[:, :-1], use_cache=True, logits_to_keep=1
        )
        cache = getattr(output, "past_key_values", None)
        if cache is None:
            raise ModelError(
                f"The student is a {type(model).__name__}, which has no cache that answers can go on from.",
                "Set SEDI_TRAINING_STUDENT to a transformer, or a hybrid of transformer and Mamba.",
            )
        losses = _losses(model, tokens[:, -1:], copy.deepcopy(cache), read, references)
        return _answers(model, tokens, cache, mask, limits, ends), losses


def _losses(
    model: PreTrainedModel, last: torch.Tensor, cache: Any, mask: torch.Tensor, references: Sequence[Ids]
) -> list[float]:
    """Of the references after prompts that were read up to their `last` tokens."""
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(map(len, references))
    wanted = torch.tensor([ids + [NO_TOKEN] * (longest - len(ids)) for ids in references], device=mask.device)
    fed = torch.cat([last, wanted[:, :-1]], dim=1)
    before = mask.sum(1, keepdim=True)
    sums = torch.zeros(len(references), device=mask.device)
    step = max(1, POSITIONS_AT_ONCE // len(references))
    for start in range(0, longest, step):
        stop = min(start + step, longest)
        mask = torch.cat([mask, (fed[:, start:stop] != NO_TOKEN).long()], dim=1)
        logits = model(
            fed[:, start:stop].clamp(min=0),
            attention_mask=mask,
            position_ids=before + torch.arange(start, stop, device=mask.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        targets = wanted[:, start:stop]
        sums += cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=NO_TOKEN, reduction="none").sum(1)
    return [total / len(ids) for total, ids in zip(sums.tolist(), references, strict=True)]


def _answers(
    model: PreTrainedModel,
    tokens: torch.Tensor,
    cache: Any,
    mask: torch.Tensor,
    limits: Sequence[int],
    ends: frozenset[int],
) -> list[Ids]:
    import torch

    most = torch.tensor(limits, device=tokens.device)
    longest = tokens.shape[1]

    def at_its_limit(ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return ids.shape[1] - longest >= most

    said: torch.Tensor = model.generate(
        tokens,
        attention_mask=mask,
        past_key_values=cache,
        max_new_tokens=max(limits),
        **_GREEDY,
        eos_token_id=sorted(ends),
        pad_token_id=min(ends),
        stopping_criteria=[at_its_limit],
    )
    return [_up_to_its_end(row[:limit], ends) for row, limit in zip(said[:, longest:].tolist(), limits, strict=True)]


def _up_to_its_end(ids: Ids, ends: frozenset[int]) -> Ids:
    end = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: end + 1]
