"""Recognizing out-of-memory errors, and freeing memory before another attempt."""

from __future__ import annotations

import gc

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, torch or safetensors means that memory ran out, on any device."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


def free_memory() -> None:
    """Free memory that is no longer referenced, including that of a GPU."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
