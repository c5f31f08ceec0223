"""What a model's config.json tells before its weights are read; and what libraries raise for a model, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sedi_dagster.errors import ModelError
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.student.check import check_config

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

UNUSABLE = (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, AttributeError, AssertionError)
"""What libraries raise for a folder that is no whole model."""

_LONGEST_REASON = 400


def load_config(source: str, setting: str = "SEDI_TRAINING_STUDENT", trained: bool = True) -> PreTrainedConfig:
    """A model's config, once it is one of a causal language model that transformers knows.

    Raises:
        ModelError: it is not; `setting` names the model.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except UNUSABLE as error:
        raise ModelError(f"The model {source!r} cannot be loaded: {reason(error)}", fix(setting)) from None
    check_config(source, config.to_dict(), setting, trained)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"{source} is of the kind {config.model_type!r}, which transformers does not load as a causal language "
            "model.",
            f"Name a chat model in {setting}; of a model for images or sound, the one for text alone.",
        )
    return config


def known_positions(config: PreTrainedConfig) -> int | None:
    """Tokens that a student can read in one row; None where nothing limits them."""
    text = config.get_text_config()
    found = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    return found if isinstance(found, int) and found > 0 else None


def check_max_length(name: str, config: PreTrainedConfig, max_length: int) -> None:
    """Raise `ModelError` if rows may be longer than a student can read: they would be paid for in vain."""
    most = known_positions(config)
    if most and max_length > most:
        raise ModelError(
            f"SEDI_TRAINING_MAX_LENGTH={max_length} is more than the {most} positions that {name} knows.",
            f"Set SEDI_TRAINING_MAX_LENGTH to {most} or less, or name another model in SEDI_TRAINING_STUDENT.",
        )


def reason(error: Exception) -> str:
    """An error of transformers in a sentence or two; many list all models, or advise to run a repository's code."""
    text = str(error)
    if isinstance(error, KeyError):
        return f"its files name {text}, which this version of transformers does not know."
    if "trust_remote_code" in text:
        return "it needs code from its repository, which is never run here."
    if "ignore_mismatched_sizes" in text:
        return "the shapes of its weights are not those of its config.json."
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + " ..."


def fix(setting: str) -> str:
    """What to do about a model that cannot be used; `setting` names it."""
    return f"Set {setting} to {BUNDLED_STUDENT} or to a folder with safetensors weights."
