"""Attention over rows concatenated to one sequence, with torch's own FlashAttention kernel.

For NVIDIA GPUs of compute capability 8.0 or higher, in bf16. Rows need neither padding nor a mask over all pairs of
tokens, and the package `flash-attn` is not required (`torch.nn.attention.varlen`, since torch 2.10).
"""

from __future__ import annotations

import importlib.util
from typing import Any

from sedi_dagster.errors import ModelError

VARLEN = "varlen"
"""Name of the implementation in transformers' registry of attention functions."""

_AMPERE = (8, 0)
_UNSUPPORTED = ("sliding_window", "softcap", "s_aux", "position_bias")
"""Arguments with which a model family requests something other than causal attention over the whole row."""


def check_available() -> None:
    """Raise `ModelError` unless the device and the torch version of this process have the kernel."""
    import torch

    has_gpu = torch.version.cuda is not None and torch.cuda.is_available()
    new_enough = has_gpu and torch.cuda.get_device_capability() >= _AMPERE
    if not new_enough or importlib.util.find_spec("torch.nn.attention.varlen") is None:
        raise ModelError(
            f"SEDI_TRAINING_ATTENTION={VARLEN} needs an NVIDIA GPU of compute capability 8.0 or more, and torch 2.10.",
            "Set SEDI_TRAINING_ATTENTION=auto, or SEDI_TRAINING_PYTHON to an interpreter whose torch has both.",
        )


def register() -> None:
    """Register `varlen` with transformers, for `set_attn_implementation`."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(VARLEN, _attend)
    AttentionMaskInterface.register(VARLEN, _mask)


def _mask(*args: Any, attention_mask: Any = None, local_size: int | None = None, **kwargs: Any) -> Any:
    """The mask of padded rows; None for concatenated rows, which come without one.

    Raises:
        ValueError: the family uses a window or chunks, which some (Llama 4, Phi-MoE) express in the mask only.
    """
    from transformers.masking_utils import sdpa_mask

    if local_size is not None:
        raise ValueError(f"attention `{VARLEN}` is causal and does not support sliding_window or chunks")
    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: Any = None,
    max_length_q: int = 0,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Compute attention with the interface of transformers.

    Padded rows, which come without `cu_seq_lens_q`, are passed on to `sdpa`.

    Args:
        query, key, value: of shape (rows, heads, tokens, head size).

    Returns:
        The output, of shape (rows, tokens, heads, head size), and None in place of the attention weights.

    Raises:
        ValueError: the family needs more than causal attention.
    """
    import torch
    from torch.nn.attention import varlen
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    unsupported = [name for name in _UNSUPPORTED if kwargs.get(name) is not None]
    if unsupported or dropout or not getattr(module, "is_causal", True):
        features = ", ".join(unsupported) or "dropout or other masks"
        raise ValueError(f"attention `{VARLEN}` is causal and does not support {features}")
    if cu_seq_lens_q is None:
        padded: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, 0.0, scaling, **kwargs
        )
        return padded
    device = query.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
    groups = query.shape[1] // key.shape[1]  # query heads per key head; torch 2.11 needs equal numbers of heads
    states = (query, key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1))
    q, k, v = (state[0].transpose(0, 1).to(dtype).contiguous() for state in states)  # (tokens, heads, head size)
    ends, longest = cu_seq_lens_q, int(max_length_q)
    output: Any = varlen.varlen_attn(q, k, v, ends, ends, longest, longest, scale=scaling, window_size=(-1, 0))
    return output.unsqueeze(0), None
