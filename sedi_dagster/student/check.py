"""Checks that a configured model is available (bundled, in a folder, or on the hub), before money is spent."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sedi_dagster.errors import ModelError
from sedi_dagster.models import BUNDLED_STUDENT, bundled_gguf
from sedi_dagster.settings import PROJECT_ROOT, local_path

TIMEOUT_S = 20.0
WEIGHTS = "model.safetensors"
"""The weights file that transformers reads; larger models have several, and an index with this name as its prefix."""


def model_folder(name: str, setting: str = "SEDI_TRAINING_STUDENT") -> Path | None:
    """Return the folder that a model's name refers to; None if it is a bundled or a hub name.

    Relative folders are relative to the project's root, so that they do not depend on the working folder.

    Args:
        setting: name of the setting that names the model, for the error.

    Raises:
        ModelError: the name is a URL or a file, or can only be a folder but does not exist.
    """
    if "://" in name:
        raise ModelError(
            f"{name} is a URL.", f"Download it, and set {setting} to a folder or a hub name (owner/model)."
        )
    folder = Path(os.path.normpath(PROJECT_ROOT / local_path(name)))
    if folder.is_dir() and name.strip() and not name.startswith("bundled:"):
        return folder
    if folder.is_file():
        raise ModelError(f"{folder} is a file.", f"Set {setting} to the folder of a model with safetensors weights.")
    if name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        note = "" if local_path(name).is_absolute() else f" Folders are relative to {PROJECT_ROOT}."
        raise ModelError(
            f"There is no model folder {folder}.", f"Correct {setting}; a hub name has the form owner/model.{note}"
        )
    return None


def check_student(name: str, setting: str, trained: bool = True) -> None:
    """Check that a model and its weights exist, without loading them.

    Args:
        name: bundled:..., a folder or a hub name.
        setting: name of the setting that names the model, for the error.
        trained: whether the model will be trained, or only generates answers.

    Raises:
        ModelError: the model does not exist, is private or gated, has no safetensors weights or is not a causal
            language model, or the hub cannot be reached.
    """
    if name.startswith("bundled:"):
        if name != BUNDLED_STUDENT:
            raise ModelError(
                f"Unknown bundled model {name!r}.", f"Set {setting} to {BUNDLED_STUDENT}, a folder or a hub name."
            )
        bundled_gguf()
    elif (folder := model_folder(name, setting)) is not None:
        _check_folder(folder, setting, trained)
    else:
        _check_hub(name, setting, trained)


def check_config(name: str, config: Mapping[str, Any], setting: str, trained: bool) -> None:
    """Raise `ModelError` if the content of a model's config.json shows that it cannot be a student.

    Arguments as for `check_student`.
    """
    architectures = " ".join(config.get("architectures") or ())
    if config.get("is_encoder_decoder"):
        raise ModelError(
            f"{name} is an encoder-decoder model ({config.get('model_type')}), not a causal language model.",
            f"Set {setting} to a decoder-only chat model.",
        )
    if any(other in architectures for other in _OTHER_ARCHITECTURES):
        raise ModelError(
            f"{name} is a {architectures}, not a causal language model.", f"Set {setting} to a chat model."
        )
    quantized = config.get("quantization_config") or config.get("quantization")  # the latter: MLX
    if quantized and trained:
        method = quantized.get("quant_method", "MLX") if isinstance(quantized, Mapping) else quantized
        raise ModelError(
            f"The weights of {name} are quantized ({method}), so they cannot be trained or merged.",
            f"Set {setting} to the unquantized model; SEDI_TRAINING_METHOD=qlora quantizes it to 4 bits.",
        )


_OTHER_ARCHITECTURES = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering", "RewardModel")


def _check_folder(folder: Path, setting: str, trained: bool) -> None:
    if (folder / "adapter_config.json").is_file():
        raise _adapter(folder, setting)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json.", f"Correct {setting}.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{folder / 'config.json'} is not a JSON object.", f"Copy it again, or correct {setting}.")
    check_config(str(folder), config, setting, trained)
    _check_weights(folder, setting)


def _check_weights(folder: Path, setting: str) -> None:
    """Check that the folder has the weights file, or the index of several and all files listed in it, none damaged."""
    if (folder / WEIGHTS).is_file():
        _check_whole_file(folder / WEIGHTS)
        return
    index = folder / f"{WEIGHTS}.index.json"
    if not index.is_file():
        other = next((file.name for file in sorted(folder.glob("*.safetensors"))), "")
        raise ModelError(
            f"{folder} has no safetensors weights: neither {WEIGHTS} nor {index.name}"
            f"{f' (only {other})' if other else ''}.",
            f"Save the model with `save_pretrained` of transformers, and set {setting} to that folder.",
        )
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged.", f"Copy or download it again, or correct {setting}.") from None
    missing = [name for name in shards if not (folder / str(name)).is_file()]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of its {len(shards)} weights files ({missing[0]}).",
            "Copy or download it again.",
        )
    for name in shards:
        _check_whole_file(folder / name)


def _check_whole_file(file: Path) -> None:
    """Check that the header of a safetensors file can be read and that the file has the length that it gives."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise damaged_weights(file, error) from None


def damaged_weights(source: object, error: Exception) -> ModelError:
    """Return the error for a safetensors file that cannot be read."""
    return ModelError(
        f"A safetensors file of {str(source)!r} is damaged: {error}.",
        "Copy or download it again (a file of a few lines is a Git LFS pointer: run `git lfs pull`).",
    )


def _check_hub(name: str, setting: str, trained: bool) -> None:
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return  # already downloaded
    except HFValidationError:
        raise ModelError(
            f"{name!r} is neither a folder ({PROJECT_ROOT / name}) nor the name of a model on the hub.",
            f"Correct {setting}: a hub name has the form owner/model. Download a revision (@v1), and name its folder.",
        ) from None
    token = "set HF_TOKEN to a token with read access (or run `hf auth login`)"
    try:
        info = HfApi().model_info(name, timeout=TIMEOUT_S)
    except GatedRepoError:
        raise ModelError(
            f"{name} is gated: its terms must be accepted first.", f"Accept them on its page, then {token}."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{name} does not exist on the hub or is private, and there is no folder {PROJECT_ROOT / name}.",
            f"Correct {setting}; if the model is private, {token}.",
        ) from None
    except OfflineModeIsEnabled:
        raise ModelError(
            f"{name} is not in the local cache, and HF_HUB_OFFLINE forbids using the hub.",
            f"Unset HF_HUB_OFFLINE, or set {setting} to a folder (there is no {PROJECT_ROOT / name}).",
        ) from None
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelError(
            f"The hub cannot be reached to look up {name}: {error}",
            f"Check the network (HF_ENDPOINT, proxy), or set {setting} to a folder.",
        ) from None
    check_config(name, info.config or {}, setting, trained)
    files = {file.rfilename for file in info.siblings or ()}
    if "adapter_config.json" in files:
        raise _adapter(name, setting)
    if files.isdisjoint((WEIGHTS, f"{WEIGHTS}.index.json")):
        raise ModelError(f"{name} has no safetensors weights on the hub.", f"Set {setting} to another model.")


def _adapter(name: object, setting: str) -> ModelError:
    return ModelError(
        f"{name} is an adapter, not a full model.",
        f"Set {setting} to its base model, or merge the two with `merge_and_unload` of peft and save the result.",
    )
