"""The student's output layer in training: on a CPU, logits of the answer positions only.

Without a GPU, TRL's fused head projects every position, including prompt and padding, and multiplies in fp32 in the
backward pass. Answers are about a third of a row, so most of that work is wasted. Here the model family's own forward
pass does the projection, including scales and caps of its logits, on fewer positions.

Both are compared with the family's whole forward pass, which takes their place where they come out otherwise.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, cast

from sedi_dagster.student.memory import is_out_of_memory
from sedi_dagster.student.reading import FAILURES, sample, tolerance

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

LOGITS_AT_ONCE = 1 << 26
"""Positions times vocabulary, up to which logits are made in one go: with their gradient they take 0.8 GB."""


def use_right_head(model: PreTrainedModel) -> None:
    """Choose the head for `model(..., labels=labels, fused_lm_head=True)`; the model has TRL's.

    On a CPU ours, on a GPU TRL's; where its log-probabilities are not those of the family's forward pass (TRL finds no
    trunk in Llama 4, and knows the scales of logits by name), the other one, and last the forward pass itself.
    """
    if getattr(model.config.get_text_config(), "output_router_logits", False):
        return
    gpu = model.device.type == "cuda"
    if not ((gpu and _is_right(model)) or use_answer_head(model) or (not gpu and _is_right(model))):
        model.forward = types.MethodType(_with_whole_head(model.forward), model)


def use_answer_head(model: PreTrainedModel) -> bool:
    """Make `model(..., labels=labels, fused_lm_head=True)` project the labelled positions only, if it comes out right.

    Takes the place of the head that `SFTTrainer` puts on its model, and returns the same type: `log_probs` of shape
    (rows, tokens - 1), zero where the label is -100. Entropy and accuracy, which only TRL's log reads, are zero.

    Returns:
        Whether it does. A family that it is not right for, found out by comparing, keeps TRL's head; so does a mixture
        of experts that is trained with a loss of its router.
    """
    trl_forward = model.forward
    config = model.config.get_text_config()
    if getattr(config, "output_router_logits", False):
        return False

    def forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kw: Any) -> Any:
        if not fused_lm_head:
            return trl_forward(*args, **kw) if labels is None else trl_forward(*args, labels=labels, **kw)
        if int((labels[:, 1:] != -100).sum()) * config.vocab_size > LOGITS_AT_ONCE:
            return trl_forward(*args, labels=labels, fused_lm_head=True, **kw)
        count = kw.pop("num_items_in_batch", None)
        return _answers_only(self, labels[:, 1:], count, *args, **kw)

    model.forward = types.MethodType(forward, model)
    if not _is_right(model):
        model.forward = trl_forward
        return False
    return True


def _answers_only(model: PreTrainedModel, labels: torch.Tensor, count: Any, *args: Any, **kwargs: Any) -> Any:
    """The forward pass of the model's class, with hidden states taken from between its trunk and its output layer."""
    mask = labels != -100

    def take(_module: Any, _args: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, :-1][mask][None]
        return output

    hook = _trunk(model).register_forward_hook(take)
    try:
        logits = type(model).forward(model, *args, **{**kwargs, "use_cache": False}).logits[0]
    finally:
        hook.remove()
    return _fused_output(logits, labels, count)


def _trunk(model: PreTrainedModel) -> torch.nn.Module:
    """What gives the last hidden states: `base_model`, but Llama 4 names it otherwise and would find itself."""
    trunk: Any = model.base_model
    return cast("torch.nn.Module", model.get_decoder() if trunk is model else trunk)


def _with_whole_head(plain: Any) -> Any:
    """A forward pass that makes the logits of all positions, as the family does, and takes those with a label."""

    def forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kw: Any) -> Any:
        if not fused_lm_head:
            return plain(*args, **kw) if labels is None else plain(*args, labels=labels, **kw)
        count = kw.pop("num_items_in_batch", None)
        logits = type(self).forward(self, *args, **{**kw, "use_cache": False}).logits[:, :-1]
        return _fused_output(logits[labels[:, 1:] != -100], labels[:, 1:], count)

    return forward


def _fused_output(logits: torch.Tensor, labels: torch.Tensor, count: Any) -> Any:
    """What TRL's head returns, of the logits of the positions with a label."""
    import torch
    from trl.trainer.utils import FusedCausalLMOutput

    mask = labels != -100
    answers = -torch.nn.functional.cross_entropy(logits.float(), labels[mask], reduction="none")
    # scattering keeps the output connected to the weights also where no position has a label
    log_probs = answers.new_zeros(mask.shape).masked_scatter(mask, answers)
    zeros = log_probs.detach().new_zeros(mask.shape)
    loss = -log_probs.sum() / (mask.sum().clamp(min=1) if count is None else count)
    return FusedCausalLMOutput(loss=loss, log_probs=log_probs, entropy=zeros, is_top1=zeros.bool(), label_mask=mask)


def _is_right(model: PreTrainedModel) -> bool:
    """Whether log-probabilities of a few tokens are those of the family's whole forward pass."""
    import torch

    row = sample(model)
    ids = torch.cat([row, row.roll(1)])
    labels = ids.clone()
    labels[0, :5] = -100
    labels[1, 6:] = -100
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            ours = model(**given, labels=labels, fused_lm_head=True).log_probs
            made = type(model).forward(model, **given, use_cache=False).logits[:, :-1]
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        return False
    finally:
        model.train(training)
    whole = made.float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0] * (labels[:, 1:] != -100)
    return bool(torch.allclose(ours, whole, atol=tolerance(made)))
