"""Tests on a few tokens whether a student can be used at all, and whether its rows can be padded.

Model families and versions of transformers differ in this. A forward pass that fails, is influenced by padding (through
a recurrent state), sees later tokens, or changes the weights would otherwise be noticed late or never.
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
"""Allowed mean difference between the log-probabilities of two equivalent forward passes: in nats; in bf16, as a share
of their standard deviation over the vocabulary, because it rounds large logits more. In bf16, SmolLM2 reaches 0.03, and
a lost state causes 0.5 or more."""

FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError)
"""Exceptions that a forward pass raises for unsupported inputs."""

NOT_PADDED = "This student reads padded rows differently: only rows of the same length are batched, which is slower."


def takes_padding(model: PreTrainedModel, right: bool = False) -> bool:
    """Return whether padding, with a mask, leaves the logits of a row unchanged.

    Args:
        model: in evaluation mode.
        right: pad on the right, as in training; otherwise on the left, with positions that start after the padding.

    Raises:
        ModelError: the model cannot be a student: its forward pass fails or returns values that are not finite, it sees
            the tokens that it predicts, or it changes its weights in a forward pass.
    """
    import torch

    row = sample(model)
    alone = checked_logits(model, row)
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
    """Return a row of a few tokens that are in every vocabulary, of shape (1, `LENGTH`)."""
    import torch

    return torch.arange(2, 2 + LENGTH, device=model.device)[None] % vocabulary(model)


def vocabulary(model: PreTrainedModel) -> int:
    """Return the number of tokens for which the student has an embedding."""
    return int(model.get_input_embeddings().num_embeddings)


def checked_logits(model: PreTrainedModel, row: torch.Tensor) -> torch.Tensor:
    """Return the logits of a single row; raise `ModelError` if the model cannot be a student (see `takes_padding`)."""
    import torch

    changed_row = row.clone()
    changed_row[:, -1] = row[:, 0]
    before = _versions(model)
    logits: torch.Tensor
    try:
        with torch.no_grad():
            logits, changed = (
                model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
                for ids in (row, changed_row)
            )
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise unusable(model, f"its forward pass fails ({type(error).__name__}: {str(error)[:300]})") from None
    if _versions(model) != before:
        raise unusable(model, "it changes its weights in a forward pass, so that they cannot be trained")
    if logits.shape[:2] != row.shape:
        raise unusable(model, "it does not predict a next token for every token")
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"The student ({type(model).__name__}) returns values that are not finite: damaged weights, or overflow.",
            "Copy or download it again, or set SEDI_TRAINING_STUDENT to another model.",
        )
    if not alike(logits[:, :-1], changed[:, :-1]):
        raise unusable(model, "it sees the tokens that it should predict, like masked and diffusion models")
    return logits


def unusable(model: Any, reason: str) -> ModelError:
    """Return the error for a model whose class cannot be a student."""
    return ModelError(
        f"The student is a {type(model).__name__}, which cannot be used: {reason}.",
        "Set SEDI_TRAINING_STUDENT to a causal language model that this version of transformers supports.",
    )


def alike(logits: torch.Tensor, others: torch.Tensor) -> bool:
    """Return whether two computations of the same logits differ only by rounding."""
    difference = (logits.float().log_softmax(-1) - others.float().log_softmax(-1)).abs()
    return bool(difference.mean() <= tolerance(others))


def tolerance(logits: torch.Tensor) -> float:
    """Return by how many nats, on average, the log-probabilities may differ because of rounding."""
    import torch

    return TOLERANCE if logits.dtype == torch.float32 else TOLERANCE_BF16 * float(logits.float().std(-1).mean())


def _versions(model: PreTrainedModel) -> int:
    return sum(weights._version for weights in model.parameters())
