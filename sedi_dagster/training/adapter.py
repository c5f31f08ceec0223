"""The LoRA adapter of a student: its size, and the layers that it is put on."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import ModelError
from sedi_dagster.student.reading import FAILURES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LORA_ALPHA_PER_RANK = 2


def lora_config(rank: int, model: PreTrainedModel | None = None) -> Any:
    """peft's configuration of an adapter on all linear layers that it can adapt.

    Raises:
        ModelError: the model has none.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=LORA_ALPHA_PER_RANK * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=_not_adapted(model) if model is not None else None,
        task_type="CAUSAL_LM",
    )


def _not_adapted(model: PreTrainedModel) -> list[str] | None:
    """Linear layers that an adapter would break, or would have no effect on.

    Some return something else than a product (the router of Llama 4 and Phi MoE); the weights of others are read
    instead of called (the last layer of Mamba's, by a fused kernel); those of a model's eyes and ears see no text.
    """
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    found, all_of_them = [], 0
    of_text: set[Any] = set(model.modules())
    if model.config.get_text_config() is not model.config:
        of_text = set(model.get_decoder().modules())
    kind: Any
    for prefix, parent in model.named_modules():
        if parent is model:  # its output layer is not adapted
            continue
        kind = type(parent)
        read = _weights_read(kind)
        for name, layer in parent.named_children():
            if isinstance(layer, Linear | Conv1D):
                all_of_them += 1
                if name in read or layer not in of_text or not _is_product(layer):
                    found.append(f"{prefix}.{name}")
    if len(found) == all_of_them:
        raise ModelError(
            f"The student is a {type(model).__name__}, which has no linear layers that LoRA can adapt.",
            "Set SEDI_TRAINING_METHOD=full, or name another model in SEDI_TRAINING_STUDENT.",
        )
    return found or None


def _is_product(layer: Any) -> bool:
    """Whether a linear layer returns a product of its input, also if its class has its own forward (Falcon)."""
    import torch

    if not isinstance(layer, torch.nn.Linear) or "bitsandbytes" in type(layer).__module__:
        return True
    if type(layer).forward is torch.nn.Linear.forward:
        return True
    try:
        with torch.no_grad():
            made = layer(layer.weight.new_ones(1, layer.in_features))
    except FAILURES:
        return False
    return isinstance(made, torch.Tensor) and made.shape == (1, layer.out_features)


@cache
def _weights_read(kind: Any) -> frozenset[str]:
    """Layers whose weights the code of a module reads, other than to look at their type."""
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        return frozenset()
    return frozenset(re.findall(r"self\.(\w+)\.weight\b(?!\.(?:dtype|device|shape))", code))
