"""The LoRA adapter of a student: its configuration, and the layers to which it is applied."""

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
    """Return peft's configuration of an adapter on all linear layers that can be adapted.

    Args:
        model: excludes the layers of this model that cannot be adapted; None: excludes none.

    Raises:
        ModelError: the model has no linear layer that can be adapted.
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
    """Linear layers that an adapter would break, or on which it would have no effect.

    Some return something other than the product (the routers of Llama 4 and Phi MoE). The weights of others are used
    directly, without calling the layer (the last layer of a Mamba block, by a fused kernel). Those of image and audio
    encoders process no text.
    """
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    excluded, count = [], 0
    text_modules: set[Any] = set(model.modules())
    if model.config.get_text_config() is not model.config:
        text_modules = set(model.get_decoder().modules())
    kind: Any
    for prefix, parent in model.named_modules():
        if parent is model:  # its output layer is not adapted
            continue
        kind = type(parent)
        used_directly = _layers_used_directly(kind)
        for name, layer in parent.named_children():
            if isinstance(layer, Linear | Conv1D):
                count += 1
                if name in used_directly or layer not in text_modules or not _is_product(layer):
                    excluded.append(f"{prefix}.{name}")
    if len(excluded) == count:
        raise ModelError(
            f"The student is a {type(model).__name__}, which has no linear layers that LoRA can adapt.",
            "Set SEDI_TRAINING_METHOD=full, or set SEDI_TRAINING_STUDENT to another model.",
        )
    return excluded or None


def _is_product(layer: Any) -> bool:
    """Whether a linear layer returns the product of its input, even if its class overrides `forward` (Falcon)."""
    import torch

    if not isinstance(layer, torch.nn.Linear) or "bitsandbytes" in type(layer).__module__:
        return True
    if type(layer).forward is torch.nn.Linear.forward:
        return True
    try:
        with torch.no_grad():
            output = layer(layer.weight.new_ones(1, layer.in_features))
    except FAILURES:
        return False
    return isinstance(output, torch.Tensor) and output.shape == (1, layer.out_features)


@cache
def _layers_used_directly(kind: Any) -> frozenset[str]:
    """Names of the layers whose weights the module's code reads, other than for dtype, device or shape."""
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        return frozenset()
    return frozenset(re.findall(r"self\.(\w+)\.weight\b(?!\.(?:dtype|device|shape))", code))
