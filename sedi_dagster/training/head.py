"""The student's output layer in training: on a CPU, logits of the answer positions only.

Without a GPU, TRL's fused head projects every position, including prompt and padding, and multiplies in fp32 in the
backward pass. Answers are about a third of a row, so most of that work is wasted. The head defined here uses the
family's own forward pass, including any scaling or capping of logits, on the answer positions only.

Both heads are compared with the family's full forward pass, which replaces them if their results differ.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, cast

from sedi_dagster.student.memory import is_out_of_memory
from sedi_dagster.student.reading import FAILURES, sample, tolerance

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MAX_LOGITS = 1 << 26
"""Largest number of logits (positions times vocabulary) that are computed at once: with gradients, 0.8 GB."""


def choose_head(model: PreTrainedModel) -> None:
    """Choose the head for `model(..., labels=labels, fused_lm_head=True)`; the model comes with TRL's.

    The first choice is the head of this module on a CPU, TRL's on a GPU. If its log-probabilities differ from those of
    the family's forward pass (TRL finds no decoder in Llama 4, and knows only some names of logit scales), the other
    one is tried, and then the full forward pass is used.
    """
    if getattr(model.config.get_text_config(), "output_router_logits", False):
        return
    gpu = model.device.type == "cuda"
    if not ((gpu and _is_correct(model)) or use_answer_head(model) or (not gpu and _is_correct(model))):
        model.forward = types.MethodType(_with_full_head(model.forward), model)


def use_answer_head(model: PreTrainedModel) -> bool:
    """Make `model(..., labels=labels, fused_lm_head=True)` project only the labelled positions, if this is correct.

    Replaces the head that `SFTTrainer` installs, and returns the same type: `log_probs` of shape (rows, tokens - 1),
    zero where the label is -100. Entropy and accuracy, which only TRL's log uses, are zero.

    Returns:
        Whether the head was replaced. It is not if the results differ from the family's forward pass, or for a mixture
        of experts that is trained with a router loss.
    """
    trl_forward = model.forward
    config = model.config.get_text_config()
    if getattr(config, "output_router_logits", False):
        return False

    def forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kw: Any) -> Any:
        if not fused_lm_head:
            return trl_forward(*args, **kw) if labels is None else trl_forward(*args, labels=labels, **kw)
        if int((labels[:, 1:] != -100).sum()) * config.vocab_size > MAX_LOGITS:
            return trl_forward(*args, labels=labels, fused_lm_head=True, **kw)
        count = kw.pop("num_items_in_batch", None)
        return _answers_only(self, labels[:, 1:], count, *args, **kw)

    model.forward = types.MethodType(forward, model)
    if not _is_correct(model):
        model.forward = trl_forward
        return False
    return True


def _answers_only(model: PreTrainedModel, labels: torch.Tensor, count: Any, *args: Any, **kwargs: Any) -> Any:
    """The forward pass of the model's class, reduced to the labelled positions between decoder and output layer."""
    mask = labels != -100

    def select_labelled(_module: Any, _args: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, :-1][mask][None]
        return output

    hook = _decoder(model).register_forward_hook(select_labelled)
    try:
        logits = type(model).forward(model, *args, **{**kwargs, "use_cache": False}).logits[0]
    finally:
        hook.remove()
    return _fused_output(logits, labels, count)


def _decoder(model: PreTrainedModel) -> torch.nn.Module:
    """The module that returns the last hidden states: `base_model`, except in Llama 4, where that is the model."""
    base: Any = model.base_model
    return cast("torch.nn.Module", model.get_decoder() if base is model else base)


def _with_full_head(plain: Any) -> Any:
    """A forward pass that computes the logits of all positions, as the family does, and selects the labelled ones."""

    def forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kw: Any) -> Any:
        if not fused_lm_head:
            return plain(*args, **kw) if labels is None else plain(*args, labels=labels, **kw)
        count = kw.pop("num_items_in_batch", None)
        logits = type(self).forward(self, *args, **{**kw, "use_cache": False}).logits[:, :-1]
        return _fused_output(logits[labels[:, 1:] != -100], labels[:, 1:], count)

    return forward


def _fused_output(logits: torch.Tensor, labels: torch.Tensor, count: Any) -> Any:
    """The output of TRL's head, computed from the logits of the labelled positions."""
    import torch
    from trl.trainer.utils import FusedCausalLMOutput

    mask = labels != -100
    answers = -torch.nn.functional.cross_entropy(logits.float(), labels[mask], reduction="none")
    # scattering keeps the output connected to the weights even if no position has a label
    log_probs = answers.new_zeros(mask.shape).masked_scatter(mask, answers)
    zeros = log_probs.detach().new_zeros(mask.shape)
    loss = -log_probs.sum() / (mask.sum().clamp(min=1) if count is None else count)
    return FusedCausalLMOutput(loss=loss, log_probs=log_probs, entropy=zeros, is_top1=zeros.bool(), label_mask=mask)


def _is_correct(model: PreTrainedModel) -> bool:
    """Whether the head gives the same log-probabilities for a few tokens as the family's full forward pass."""
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
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            log_probs = model(**inputs, labels=labels, fused_lm_head=True).log_probs
            logits = type(model).forward(model, **inputs, use_cache=False).logits[:, :-1]
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        return False
    finally:
        model.train(training)
    expected = logits.float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0] * (labels[:, 1:] != -100)
    return bool(torch.allclose(log_probs, expected, atol=tolerance(logits)))
