"""Batched greedy decoding with transformers' `generate`, and the losses of the reference answers.

Both start from the same prefilled cache of the prompts, the prompt reuse that transformers documents. Some families
cannot continue from a cache (Jamba resets its recurrent state, Mamba returns no cache); for them nothing is shared.
The student's `generation_config` applies (for example a repetition penalty), except that nothing is sampled.
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

_POSITIONS_PER_PASS = 4096
"""Reference positions per forward pass; their logits take 0.8 GB with a vocabulary of 49,152."""

_IGNORE_INDEX = -100

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
"""Overrides of the `generation_config`: how to search, when to stop, what to return, which cache to use."""


class Decoder:
    """Generates the answers of one student in evaluation mode, in the way that works for its architecture.

    Attributes:
        padded: whether prompts of different lengths can share a batch.
    """

    def __init__(self, model: PreTrainedModel, ends: frozenset[int]) -> None:
        """Test on a few tokens how the student has to be decoded.

        Args:
            ends: tokens that end an answer.

        Raises:
            ModelError: the student cannot read text correctly (`student/reading.py`), or cannot generate.
        """
        self._model, self._ends = model, ends
        self.padded = takes_padding(model) and _continues_from_cache(model)
        if not self.padded:
            _check_generates(model)

    def answers_and_losses(
        self, prompts: Sequence[Ids], references: Sequence[Ids], limits: Sequence[int]
    ) -> tuple[list[Ids], list[float]]:
        """Return each prompt's greedy answer, and the mean negative log-likelihood per token of its reference in nats.

        Args:
            prompts: token ids, at least one each; unless `padded`, all of the same length.
            references: token ids, at least one each, including the end of turn.
            limits: maximum number of tokens of each answer, at least 1.

        Returns:
            The token ids of the answers, including the token that ends them, and the losses.
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
            cache = _prefill(model, tokens, mask)
            losses = _losses(model, tokens[:, -1:], copy.deepcopy(cache), mask[:, :-1], references)
            return _answers(model, tokens, cache, mask, limits, self._ends), losses


def _prefill(model: PreTrainedModel, tokens: torch.Tensor, mask: torch.Tensor) -> Any:
    """The cache of all tokens except the last."""
    tokens, mask = tokens[:, :-1], mask[:, :-1]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return model(tokens, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1).past_key_values


def _continues_from_cache(model: PreTrainedModel) -> bool:
    """Whether a forward pass over several tokens, and `generate`, give the same with a prefilled cache as without."""
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
            prompt, prompt_mask = tokens[:, : before + 1], mask[:, : before + 1]
            cache = _prefill(model, prompt, prompt_mask)
            logits = model(
                tokens[:, before:],
                attention_mask=mask,
                position_ids=positions[:, before:],
                past_key_values=copy.deepcopy(cache),
                use_cache=True,
            ).logits
            output = {"return_dict_in_generate": True, "output_logits": True}
            cached, uncached = (
                # `generate` returns fp32; compare in the precision of the model
                _generate(model, prompt, past, prompt_mask, PADDING, **output).logits[0].to(logits.dtype)
                for past in (cache, None)
            )
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        return False
    # Logits are compared, not tokens: rounding decides between two tokens that are about equally likely.
    return alike(logits, whole[:, before:]) and alike(cached, uncached)


def _check_generates(model: PreTrainedModel) -> None:
    import torch

    row = sample(model)
    try:
        _generate(model, row, None, torch.ones_like(row), PADDING)
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise unusable(model, f"it cannot generate ({type(error).__name__}: {str(error)[:300]})") from None


def _losses(
    model: PreTrainedModel, last: torch.Tensor, cache: Any, mask: torch.Tensor, references: Sequence[Ids]
) -> list[float]:
    """The mean losses of the references; `cache` and `mask` cover the prompts except for their `last` tokens."""
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(map(len, references))
    labels = torch.tensor([ids + [_IGNORE_INDEX] * (longest - len(ids)) for ids in references], device=mask.device)
    inputs = torch.cat([last, labels[:, :-1]], dim=1)
    before = mask.sum(1, keepdim=True)
    sums = torch.zeros(len(references), device=mask.device)
    step = max(1, _POSITIONS_PER_PASS // len(references))
    for start in range(0, longest, step):
        stop = min(start + step, longest)
        mask = torch.cat([mask, (inputs[:, start:stop] != _IGNORE_INDEX).long()], dim=1)
        logits = model(
            inputs[:, start:stop].clamp(min=0),
            attention_mask=mask,
            position_ids=before + torch.arange(start, stop, device=mask.device),
            past_key_values=cache,
            use_cache=True,
        ).logits.float()
        losses = cross_entropy(
            logits.transpose(1, 2), labels[:, start:stop], ignore_index=_IGNORE_INDEX, reduction="none"
        )
        sums += losses.sum(1)
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

    max_new_tokens = torch.tensor(limits, device=tokens.device)
    prompt_length = tokens.shape[1]

    def reached_limit(ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return ids.shape[1] - prompt_length >= max_new_tokens

    output = _generate(
        model,
        tokens,
        cache,
        mask,
        max(limits),
        eos_token_id=sorted(ends),
        pad_token_id=min(ends),
        stopping_criteria=[reached_limit],
    )
    answers = output[:, prompt_length:].tolist()
    return [_through_end(row[:limit], ends) for row, limit in zip(answers, limits, strict=True)]


def _generate(
    model: PreTrainedModel, tokens: torch.Tensor, cache: Any, mask: torch.Tensor, max_new_tokens: int, **options: Any
) -> Any:
    """`generate` without sampling, from a cache of all tokens except the last, or from scratch if it is None."""
    past = {} if cache is None else {"past_key_values": cache}
    options = {**_GREEDY, **past, **options}
    return model.generate(tokens, attention_mask=mask, max_new_tokens=max_new_tokens, **options)


def _through_end(ids: Ids, ends: frozenset[int]) -> Ids:
    """The ids up to and including the first one that ends an answer."""
    end = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[: end + 1]
