"""Batched greedy decoding with transformers' `generate`, and the losses of the reference answers.

Both share one prefill of the prompts, which `generate` continues from, as transformers documents for prompt reuse. Some
families cannot continue (Jamba starts its recurrent state anew, Mamba returns no cache): for them nothing is shared.
The student's `generation_config` applies (for example a repetition penalty), but nothing is sampled.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sedi_dagster.student.losses import answer_losses
from sedi_dagster.student.memory import is_out_of_memory
from sedi_dagster.student.reading import FAILURES, PADDING, alike, sample, takes_padding, unusable

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
    "use_cache": True,
    "dola_layers": None,
    "token_healing": False,
    "force_words_ids": None,
    "penalty_alpha": None,
    "return_dict_in_generate": False,
    "max_time": None,
    "stop_strings": None,
}
"""What a `generation_config` may say otherwise: how to search, when to stop, what to return, where the cache lies."""


class Decoder:
    """Answers of one student in evaluation mode, by the way that was found to be right for it.

    `padded` says whether prompts of different lengths can be answered together.
    """

    def __init__(self, model: PreTrainedModel, ends: frozenset[int]) -> None:
        """Try the student on a few tokens; `ends`: tokens that end an answer.

        Raises:
            ModelError: it cannot be read (`student/reading.py`), or cannot generate.
        """
        self._model, self._ends = model, ends
        self.padded = takes_padding(model) and _goes_on(model)
        if not self.padded:
            _check_generates(model)

    def answers_and_losses(
        self, prompts: Sequence[Ids], references: Sequence[Ids], limits: Sequence[int]
    ) -> tuple[list[Ids], list[float]]:
        """Each prompt's greedy answer, and the mean negative log-likelihood per token of its reference, in nats.

        Args:
            prompts, references: token ids, at least one each; a reference includes its end of turn. Without `padded`,
                prompts are of one length.
            limits: most tokens of each answer, at least 1. An answer includes the token that it ends with.
        """
        import torch

        model = self._model
        longest = max(2, *map(len, prompts)) if self.padded else len(prompts[0])
        tokens = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=model.device)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device)
        if not self.padded:
            losses = answer_losses(model, prompts, references, padded=False)
            return _answers(model, tokens, None, mask, limits, self._ends), losses
        with torch.inference_mode():
            cache, read = _prefill(model, tokens, mask)
            losses = _losses(model, tokens[:, -1:], copy.deepcopy(cache), read, references)
            return _answers(model, tokens, cache, mask, limits, self._ends), losses


def _prefill(model: PreTrainedModel, tokens: torch.Tensor, mask: torch.Tensor) -> tuple[Any, torch.Tensor]:
    """The cache of all tokens but the last, and their mask."""
    read, positions = mask[:, :-1], (mask.cumsum(1) - 1).clamp(min=0)
    output = model(
        tokens[:, :-1], attention_mask=read, position_ids=positions[:, :-1], use_cache=True, logits_to_keep=1
    )
    return output.past_key_values, read


def _goes_on(model: PreTrainedModel) -> bool:
    """Whether several tokens after a cache, and `generate` from it, come to the same as without one."""
    import torch

    row = sample(model)
    tokens = torch.cat([row, row.roll(PADDING)])
    mask = torch.ones_like(tokens)
    mask[1, :PADDING] = 0
    before = row.shape[1] - PADDING
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    try:
        with torch.inference_mode():
            whole = model(tokens, attention_mask=mask, position_ids=positions, use_cache=False).logits
            cache, _ = _prefill(model, tokens[:, : before + 1], mask[:, : before + 1])
            logits = model(
                tokens[:, before:],
                attention_mask=mask,
                position_ids=positions[:, before:],
                past_key_values=copy.deepcopy(cache),
                use_cache=True,
            ).logits
            first = mask[:, : before + 1]
            steps = {"return_dict_in_generate": True, "output_logits": True}
            said, anew = (
                # as precise as the model: `generate` gives fp32
                _generated(model, tokens[:, : before + 1], given, first, PADDING, **steps).logits[0].to(logits.dtype)
                for given in (cache, None)
            )
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        return False
    # Not the tokens: between two that are about as likely, rounding decides.
    return alike(logits, whole[:, before:]) and alike(said, anew)


def _check_generates(model: PreTrainedModel) -> None:
    import torch

    row = sample(model)
    try:
        _generated(model, row, None, torch.ones_like(row), PADDING)
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise unusable(model, f"it cannot generate ({type(error).__name__}: {str(error)[:300]})") from None


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

    said = _generated(
        model,
        tokens,
        cache,
        mask,
        max(limits),
        eos_token_id=sorted(ends),
        pad_token_id=min(ends),
        stopping_criteria=[at_its_limit],
    )
    return [_up_to_its_end(row[:limit], ends) for row, limit in zip(said[:, longest:].tolist(), limits, strict=True)]


def _generated(
    model: PreTrainedModel, tokens: torch.Tensor, cache: Any, mask: torch.Tensor, most: int, **given: Any
) -> Any:
    """`generate` without sampling, from a cache of all tokens but the last or (None) from their beginning."""
    started = {} if cache is None else {"past_key_values": cache}
    return model.generate(tokens, attention_mask=mask, max_new_tokens=most, **started, **{**_GREEDY, **given})


def _up_to_its_end(ids: Ids, ends: frozenset[int]) -> Ids:
    end = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: end + 1]
