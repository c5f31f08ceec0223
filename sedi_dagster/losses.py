"""How well a student predicts given answers: mean loss per token, many at once.

Right padding and an attention mask leave each row's numbers those of the row alone, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def answer_losses(
    model: PreTrainedModel, contexts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> list[float]:
    """Mean negative log-likelihood of each answer's tokens after its context, in nats.

    Args:
        model: in evaluation mode.
        contexts: token ids, at least one each. answers: token ids, at least one each.
    """
    import torch

    lengths = [len(context) + len(answer) for context, answer in zip(contexts, answers, strict=True)]
    longest = max(lengths)
    tokens = torch.zeros((len(lengths), longest), dtype=torch.long)
    mask = torch.zeros((len(lengths), longest), dtype=torch.long)
    for row, (context, answer) in enumerate(zip(contexts, answers, strict=True)):
        tokens[row, : lengths[row]] = torch.tensor([*context, *answer])
        mask[row, : lengths[row]] = 1
    # Only positions from the first answer on are needed; logits for all contexts would cost most of the memory.
    first = min(len(context) for context in contexts) - 1
    with torch.inference_mode():
        logits = model(
            input_ids=tokens.to(model.device),
            attention_mask=mask.to(model.device),
            logits_to_keep=longest - first,
        ).logits
        losses = []
        for row, (context, answer) in enumerate(zip(contexts, answers, strict=True)):
            start = len(context) - 1 - first
            predicted = logits[row, start : start + len(answer)].float()
            target = torch.tensor(answer, device=predicted.device)
            losses.append(float(torch.nn.functional.cross_entropy(predicted, target)))
    return losses
