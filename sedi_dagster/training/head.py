"""The student's output layer on a CPU: log-probabilities of the answer's tokens, and of nothing else.

TRL's fused head has a fast path for GPUs (Triton). Elsewhere it projects every position, prompt and padding included,
folds entropy and accuracy into each tile, and multiplies in fp32 on the way back. An answer is about a third of a row,
so most of that work is for nobody. This head projects the answers' positions only, in the dtype of autocast.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

POSITIONS_AT_ONCE = 512
"""Positions projected in one go; their logits (49,152 tokens, in bf16 and fp32) take 0.3 GB with their gradient."""


def use_answer_head(model: PreTrainedModel) -> None:
    """Make `model(..., labels=labels, fused_lm_head=True)` project the labelled positions only.

    Takes the place of the head that `SFTTrainer` puts on its model, and returns the same type: `log_probs` of shape
    (rows, tokens - 1), zero where the label is -100. Entropy and accuracy, which only TRL's log reads, are zero.
    """
    from trl.trainer.utils import FusedCausalLMOutput

    other_forward = model.forward
    low_precision: dict[torch.dtype, torch.Tensor] = {}

    def forward(
        self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any
    ) -> Any:
        if not fused_lm_head:
            return other_forward(*args, **kwargs) if labels is None else other_forward(*args, labels=labels, **kwargs)
        count = kwargs.pop("num_items_in_batch", None)
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state[:, :-1]
        labels = labels[:, 1:]
        mask = labels != -100
        head = self.get_output_embeddings()
        answers = _log_probs(hidden[mask], _weight(head, low_precision), head.bias, labels[mask])
        log_probs = answers.new_zeros(mask.shape).masked_scatter(mask, answers)
        zeros = log_probs.detach().new_zeros(mask.shape)
        loss = -log_probs.sum() / (mask.sum().clamp(min=1) if count is None else count)
        return FusedCausalLMOutput(loss=loss, log_probs=log_probs, entropy=zeros, is_top1=zeros.bool(), label_mask=mask)

    model.forward = types.MethodType(forward, model)


def _weight(head: Any, low_precision: dict[torch.dtype, torch.Tensor]) -> torch.Tensor:
    """The layer's weight; in the dtype of autocast, converted once, if it is never trained."""
    import torch

    weight: torch.Tensor = head.weight
    if weight.requires_grad or not torch.is_autocast_enabled("cpu"):
        return weight
    dtype = torch.get_autocast_dtype("cpu")
    if dtype not in low_precision:
        low_precision[dtype] = weight.to(dtype)
    return low_precision[dtype]


def _log_probs(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
) -> torch.Tensor:
    """Log-probability of each target, shape (positions,). Long answers are done in parts, logits made again for the
    backward pass, so that memory does not grow with them."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def part(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = torch.nn.functional.linear(hidden, weight, bias)
        return -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")

    if len(targets) <= POSITIONS_AT_ONCE:
        return part(hidden, targets)
    return torch.cat(
        [
            checkpoint(part, h, t, use_reentrant=False)
            for h, t in zip(
                torch.split(hidden, POSITIONS_AT_ONCE), torch.split(targets, POSITIONS_AT_ONCE), strict=True
            )
        ]
    )
