"""A model's config, checked before its weights are loaded, and short descriptions of errors that libraries raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sedi_dagster.errors import ModelError
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.student.check import check_config

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

UNUSABLE = (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, AttributeError, AssertionError)
"""Exceptions that libraries raise for an incomplete or invalid model folder."""

_MAX_REASON_LENGTH = 400


def load_config(source: str, setting: str = "SEDI_TRAINING_STUDENT", trained: bool = True) -> PreTrainedConfig:
    """Load the config of a model and check that it can be a student.

    Args:
        source: folder or hub name.
        setting: name of the setting that names the model, for the error.
        trained: whether the model will be trained.

    Raises:
        ModelError: the config cannot be loaded, or transformers has no causal language model for it.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except UNUSABLE as error:
        raise ModelError(f"The model {source!r} cannot be loaded: {reason(error)}", fix(setting)) from None
    check_config(source, config.to_dict(), setting, trained)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"{source} is a {config.model_type!r} model, which transformers does not load as a causal language model.",
            f"Set {setting} to a chat model; for an image or audio model, to its text-only version.",
        )
    return config


def known_positions(config: PreTrainedConfig) -> int | None:
    """Return the context length of a student in tokens; None if it has no limit."""
    text = config.get_text_config()
    length = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    return length if isinstance(length, int) and length > 0 else None


def check_max_length(name: str, config: PreTrainedConfig, max_length: int) -> None:
    """Raise `ModelError` if rows may be longer than the student's context, before teacher calls are paid for."""
    positions = known_positions(config)
    if positions and max_length > positions:
        raise ModelError(
            f"SEDI_TRAINING_MAX_LENGTH={max_length} is more than the {positions} positions of {name}.",
            f"Set SEDI_TRAINING_MAX_LENGTH to {positions} or less, or set SEDI_TRAINING_STUDENT to another model.",
        )


def reason(error: Exception) -> str:
    """Return a short description of an error raised by transformers.

    The original messages may list all known models, or recommend running code from the model's repository.
    """
    text = str(error)
    if isinstance(error, KeyError):
        return f"its files contain {text}, which is unknown to this version of transformers."
    if "trust_remote_code" in text:
        return "it needs code from its repository, which is never run here."
    if "ignore_mismatched_sizes" in text:
        return "the shapes of its weights do not match its config.json."
    return text if len(text) <= _MAX_REASON_LENGTH else text[:_MAX_REASON_LENGTH] + " ..."


def fix(setting: str) -> str:
    """Return the fix for a model that cannot be used; `setting` is the setting that names it."""
    return f"Set {setting} to {BUNDLED_STUDENT} or to a folder with safetensors weights."
