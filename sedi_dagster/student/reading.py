"""Whether a student can be used at all, and whether its rows can be padded: found out on a few tokens.

Families differ in this, and so do versions of transformers: a forward pass that fails, that sees padding (a recurrent
state), that looks ahead, or that changes the weights would else be found late, or never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import ModelError
from sedi_dagster.student.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LENGTH, PADDING = 8, 3

TOLERANCE, TOLERANCE_BF16 = 1e-3, 0.15
"""What log-probabilities may differ by, on average, for two ways of reading to be the same: nats, and in bf16 a share
of their standard deviation over the vocabulary, since it rounds large logits more. SmolLM2 in bf16 comes to 0.03; with
a state that is lost, to 0.5 and more."""


FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError)
"""What a forward pass raises that is not made for what it is given."""


NOT_PADDED = "This student reads padded rows differently: only rows of the same length are batched, which is slower."


def takes_padding(model: PreTrainedModel, right: bool = False) -> bool:
    """Whether rows that are padded, with a mask, are read as they are alone.

    Args:
        model: in evaluation mode. One of bf16 is compared with more tolerance.
        right: padded on the right, as for training; else on the left, with positions that begin after the padding.

    Raises:
        ModelError: it is no model that can be a student: its forward pass fails or gives no numbers, it sees the
            tokens that it predicts, or it changes its weights while it reads.
    """
    import torch

    row = sample(model)
    alone = read_alone(model, row)
    mask = torch.ones_like(row).repeat(2, 1)
    padded = row.repeat(2, 1)
    if right:
        mask[1, -PADDING:] = 0
        positions = {}
    else:
        mask[1, :PADDING] = 0
        padded[1] = row[0].roll(PADDING)
        positions = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    try:
        with torch.no_grad():
            logits = model(input_ids=padded, attention_mask=mask, **positions, use_cache=False).logits
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        return False
    short = logits[1:, :-PADDING] if right else logits[1:, PADDING:]
    return alike(logits[:1], alone) and alike(short, alone[:, :-PADDING])


def sample(model: PreTrainedModel) -> torch.Tensor:
    """A row of a few tokens that every vocabulary has."""
    import torch

    return torch.arange(2, 2 + LENGTH, device=model.device)[None] % vocabulary(model)


def vocabulary(model: PreTrainedModel) -> int:
    """Tokens that the student has an embedding for."""
    return int(model.get_input_embeddings().num_embeddings)


def read_alone(model: PreTrainedModel, row: torch.Tensor) -> torch.Tensor:
    """Logits of a row by itself; raises `ModelError` as `takes_padding` does."""
    import torch

    other = row.clone()
    other[:, -1] = row[:, 0]
    before = _versions(model)
    name = type(model).__name__
    alone: torch.Tensor
    try:
        with torch.no_grad():
            alone, ahead = (
                model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
                for ids in (row, other)
            )
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise unusable(model, f"its forward pass fails ({type(error).__name__}: {str(error)[:300]})") from None
    if _versions(model) != before:
        raise unusable(model, "it changes its weights while it reads, so that they cannot be trained")
    if alone.shape[:2] != row.shape:
        raise unusable(model, "it does not predict a next token for every token")
    if not bool(torch.isfinite(alone).all()):
        raise ModelError(
            f"The student ({name}) gives numbers that are not finite: its weights are damaged, or overflow.",
            "Copy or download it again, or name another one in SEDI_TRAINING_STUDENT.",
        )
    if not alike(alone[:, :-1], ahead[:, :-1]):
        raise unusable(model, "it sees the tokens that it is to predict, as masked and diffusion models do")
    return alone


def unusable(model: Any, why: str) -> ModelError:
    """The error for a model of a kind that cannot be a student."""
    return ModelError(
        f"The student is a {type(model).__name__}, which cannot be used: {why}.",
        "Set SEDI_TRAINING_STUDENT to a causal language model that this version of transformers runs.",
    )


def alike(logits: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether two computations of the same logits differ by no more than rounding."""
    differ = (logits.float().log_softmax(-1) - others.float().log_softmax(-1)).abs()
    return bool(differ.mean() <= tolerance(others))


def tolerance(logits: torch.Tensor) -> float:
    """Nats that log-probabilities of such logits may differ by, on average, because of rounding."""
    import torch

    return TOLERANCE if logits.dtype == torch.float32 else TOLERANCE_BF16 * float(logits.float().std(-1).mean())


def _versions(model: PreTrainedModel) -> int:
    return sum(weights._version for weights in model.parameters())
