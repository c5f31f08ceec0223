"""Whether a configured model is available (bundled, in a folder, or on a hub), before money is spent."""

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
"""The file that transformers reads; larger models have an index of several beside them."""


def model_folder(name: str, setting: str = "SEDI_TRAINING_STUDENT") -> Path | None:
    """The folder that a model's name means, a relative one under the project's root; None for another kind of name.

    So it is the same from whatever folder a command is started, and in the processes of workloads.

    Raises:
        ModelError: it can only be a folder, and there is none.
    """
    if "://" in name:
        raise ModelError(
            f"{name} is a URL.",
            f"Name a folder or a model on a hub (owner/model) in {setting}; download it if need be.",
        )
    folder = Path(os.path.normpath(PROJECT_ROOT / local_path(name)))
    if folder.is_dir() and name.strip() and not name.startswith("bundled:"):
        return folder
    if folder.is_file():
        raise ModelError(f"{folder} is a file.", f"Name the folder of a model with safetensors weights in {setting}.")
    if name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        under = "" if local_path(name).is_absolute() else f" A relative folder is looked for in {PROJECT_ROOT}."
        raise ModelError(
            f"There is no model folder {folder}.", f"Correct {setting}; a hub name reads owner/model.{under}"
        )
    return None


def check_student(name: str, setting: str, trained: bool = True) -> None:
    """Look for a model and its weights.

    Args:
        name: bundled:..., a folder or a hub name. setting: the variable that names it, for the error.
        trained: whether it is to be trained, not only asked.

    Raises:
        ModelError: it is not there, is private or gated, has no safetensors weights, or the hub cannot be asked.
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
    """Raise `ModelError` for a kind of model that cannot be a student. `config`: what its config.json says."""
    kinds = " ".join(config.get("architectures") or ())
    if config.get("is_encoder_decoder"):
        raise ModelError(
            f"{name} is an encoder-decoder model ({config.get('model_type')}), and a student is a causal language "
            "model.",
            f"Name a decoder-only chat model in {setting}.",
        )
    if any(other in kinds for other in _OTHER_KINDS):
        raise ModelError(
            f"{name} is a {kinds}, and a student is a causal language model.", f"Name a chat model in {setting}."
        )
    quantized = config.get("quantization_config") or config.get("quantization")  # the latter: MLX
    if quantized and trained:
        method = quantized.get("quant_method", "MLX") if isinstance(quantized, Mapping) else quantized
        raise ModelError(
            f"The weights of {name} are quantised ({method}): they cannot be trained or merged.",
            f"Name the model with its plain weights in {setting}; SEDI_TRAINING_METHOD=qlora holds them in 4 bits.",
        )


_OTHER_KINDS = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering", "RewardModel")


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
    """The file that transformers reads, or the index of several and all of them; each is whole."""
    if (folder / WEIGHTS).is_file():
        _check_whole_file(folder / WEIGHTS)
        return
    index = folder / f"{WEIGHTS}.index.json"
    if not index.is_file():
        other = next((file.name for file in sorted(folder.glob("*.safetensors"))), "")
        raise ModelError(
            f"{folder} has no safetensors weights: neither {WEIGHTS} nor {index.name}"
            f"{f' (only {other})' if other else ''}.",
            f"Save the model with `save_pretrained` of transformers, and name that folder in {setting}.",
        )
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged.", f"Copy or download it again, or correct {setting}.") from None
    missing = [name for name in shards if not (folder / str(name)).is_file()]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of its {len(shards)} files of weights ({missing[0]}).",
            "Copy or download it again.",
        )
    for name in shards:
        _check_whole_file(folder / name)


def _check_whole_file(file: Path) -> None:
    """The header of a safetensors file can be read, and the file is as long as the header says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise damaged_weights(file, error) from None


def damaged_weights(source: object, error: Exception) -> ModelError:
    """The error for a safetensors file that cannot be read."""
    return ModelError(
        f"A safetensors file of {str(source)!r} is damaged: {error}.",
        "Copy or download it again (a file of a few lines is a pointer of Git LFS: run `git lfs pull`).",
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
            return  # it was downloaded before
    except HFValidationError:
        raise ModelError(
            f"{name!r} is neither a folder ({PROJECT_ROOT / name}) nor the name of a model on a hub.",
            f"Correct {setting}: a hub name reads owner/model. For a revision (@v1), download it and name its folder.",
        ) from None
    token = "set HF_TOKEN to a token that may read it (or run `hf auth login`)"
    try:
        found = HfApi().model_info(name, timeout=TIMEOUT_S)
    except GatedRepoError:
        raise ModelError(
            f"{name} is gated: its terms have to be accepted first.", f"Accept them on its page, then {token}."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"The hub has no {name}, or it is private; nor is there a folder {PROJECT_ROOT / name}.",
            f"Correct {setting}; if it is private, {token}.",
        ) from None
    except OfflineModeIsEnabled:
        raise ModelError(
            f"{name} is not in the cache of this machine, and HF_HUB_OFFLINE forbids using the hub.",
            f"Unset HF_HUB_OFFLINE, or name a folder in {setting} (there is no {PROJECT_ROOT / name}).",
        ) from None
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelError(
            f"The hub cannot be reached for {name}: {error}",
            f"Check the network (HF_ENDPOINT, proxy), or name a folder in {setting}.",
        ) from None
    check_config(name, found.config or {}, setting, trained)
    files = {file.rfilename for file in found.siblings or ()}
    if "adapter_config.json" in files:
        raise _adapter(name, setting)
    if files.isdisjoint((WEIGHTS, f"{WEIGHTS}.index.json")):
        raise ModelError(f"{name} has no safetensors weights on the hub.", f"Name another model in {setting}.")


def _adapter(name: object, setting: str) -> ModelError:
    return ModelError(
        f"{name} is an adapter, not a whole model.",
        f"Name its base model in {setting}, or merge the two with `merge_and_unload` of peft and save the result.",
    )
