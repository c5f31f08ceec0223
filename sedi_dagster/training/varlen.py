"""Attention over rows that stand one after another in one sequence, by torch's own FlashAttention kernel.

For NVIDIA GPUs of compute capability 8.0 or more, in bf16. Rows take no padding and no mask over all pairs of tokens,
and the package `flash-attn` is not needed (`torch.nn.attention.varlen`, from torch 2.10).
"""

from __future__ import annotations

import importlib.util
from typing import Any

from sedi_dagster.errors import ModelError

VARLEN = "varlen"
"""Name of the implementation in transformers' registry of attention functions."""

_AMPERE = (8, 0)
_DIFFERENT = ("sliding_window", "softcap", "s_aux", "position_bias")
"""What a family may ask of attention that is not causal attention over the whole row."""


def check_available() -> None:
    """Raise `ModelError` unless this process's device and torch have the kernel."""
    import torch

    has_gpu = torch.version.cuda is not None and torch.cuda.is_available()
    new_enough = has_gpu and torch.cuda.get_device_capability() >= _AMPERE
    if not new_enough or importlib.util.find_spec("torch.nn.attention.varlen") is None:
        raise ModelError(
            f"SEDI_TRAINING_ATTENTION={VARLEN} needs an NVIDIA GPU of compute capability 8.0 or more, and torch 2.10.",
            "Set SEDI_TRAINING_ATTENTION=auto, or SEDI_TRAINING_PYTHON to an interpreter whose torch has both.",
        )


def register() -> None:
    """Make `varlen` known to transformers, for `set_attn_implementation`."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(VARLEN, _attend)
    AttentionMaskInterface.register(VARLEN, _mask)


def _mask(*args: Any, attention_mask: Any = None, local_size: int | None = None, **kwargs: Any) -> Any:
    """None where rows stand in one sequence, which come without a mask.

    Raises:
        ValueError: the family has a window or chunks; some (Llama 4, Phi-MoE) say so by the mask alone.
    """
    from transformers.masking_utils import sdpa_mask

    if local_size is not None:
        raise ValueError(f"attention `{VARLEN}` is causal and knows no sliding_window or chunks")
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
    """Attention as transformers calls it: `query` of shape (rows, heads, tokens, size); returns (rows, tokens, heads,
    size).

    Padded rows, which come without `cu_seq_lens_q`, go to `sdpa`.

    Raises:
        ValueError: the family wants more than causal attention.
    """
    import torch
    from torch.nn.attention import varlen
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    asked = [name for name in _DIFFERENT if kwargs.get(name) is not None]
    if asked or dropout or not getattr(module, "is_causal", True):
        raise ValueError(f"attention `{VARLEN}` is causal and knows no {', '.join(asked) or 'dropout or other masks'}")
    if cu_seq_lens_q is None:
        padded: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, 0.0, scaling, **kwargs
        )
        return padded
    device = query.device.type
    kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
    groups = query.shape[1] // key.shape[1]  # of query heads that share a key; torch 2.11 takes as many keys as queries
    shared: tuple[Any, ...] = (query, key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1))
    asking, keys, values = (
        states[0].transpose(0, 1).to(kind).contiguous() for states in shared
    )  # (tokens, heads, size)
    ends, longest = cu_seq_lens_q, int(max_length_q)
    attended: Any = varlen.varlen_attn(
        asking, keys, values, ends, ends, longest, longest, scale=scaling, window_size=(-1, 0)
    )
    return attended.unsqueeze(0), None
