"""Out-of-memory errors: how libraries report them, and what to try next."""

from __future__ import annotations

import gc

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ended: Python's own, or one of torch or safetensors on any device."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


def free_memory() -> None:
    """Give back what is not referred to any more, also on a GPU."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
