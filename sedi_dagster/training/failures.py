"""Expected failures of training, each reported with the setting to change."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from sedi_dagster.errors import WorkloadError
from sedi_dagster.settings import TrainingSettings
from sedi_dagster.student.memory import is_out_of_memory

_DISK_FULL = ("no space left", "disk quota exceeded", "enforce fail at inline_container")  # the last is torch's own
_RESUMES = "The next run resumes from the last saved state."


@contextmanager
def as_workload_error(settings: TrainingSettings) -> Iterator[None]:
    """Turn errors about exhausted memory or disk space into a `WorkloadError`; other errors pass."""
    try:
        yield
    except MemoryError:
        raise out_of_memory(settings) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(str(error)) from None
        raise
    except (RuntimeError, SafetensorError) as error:  # torch and safetensors raise these for both
        if is_out_of_memory(error):
            raise out_of_memory(settings) from None
        if any(sign in str(error).lower() for sign in _DISK_FULL):
            raise _disk_full(str(error)) from None
        raise


def diverged(step: int, quantity: str, value: float, learning_rate: float) -> WorkloadError:
    """Return the error for a loss or gradient norm that is not finite."""
    return WorkloadError(
        f"The {quantity} is {value} at step {step}: training has diverged.",
        f"Lower SEDI_TRAINING_LEARNING_RATE (now {learning_rate:g}), or set SEDI_TRAINING_PRECISION=fp32, and run "
        "again. No checkpoint was written; the last promoted one is untouched.",
    )


def out_of_memory(settings: TrainingSettings) -> WorkloadError:
    """Return the error for a training that does not fit in memory, with the settings that reduce its size."""
    changes = []
    if settings.micro_batch_size != 1:
        changes.append(f"lower SEDI_TRAINING_MICRO_BATCH_SIZE (now {settings.micro_batch_size or 'by device'})")
    if not settings.gradient_checkpointing:
        changes.append("set SEDI_TRAINING_GRADIENT_CHECKPOINTING=true")
    changes.append(f"lower SEDI_TRAINING_MAX_LENGTH (now {settings.max_length})")
    if settings.method == "full":
        changes.append("set SEDI_TRAINING_METHOD=lora")
    return WorkloadError("Training ran out of memory.", f"Do one of these: {'; '.join(changes)}. {_RESUMES}")


def _disk_full(message: str) -> WorkloadError:
    return WorkloadError(
        f"The disk is full: {message[:200]}.", f"Free space in SEDI_CACHE and SEDI_DATA, then run again. {_RESUMES}"
    )
