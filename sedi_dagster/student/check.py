"""Whether a configured model is available (bundled, in a folder, or on a hub), before money is spent."""

from __future__ import annotations

from pathlib import Path

from sedi_dagster.errors import ModelError
from sedi_dagster.models import BUNDLED_STUDENT, bundled_gguf

TIMEOUT_S = 20.0
_WEIGHTS = ".safetensors"


def check_student(name: str, setting: str) -> None:
    """Look for a model and its weights.

    Args:
        name: bundled:..., a folder or a hub name. setting: the variable that names it, for the error.

    Raises:
        ModelError: it is not there, is private or gated, has no safetensors weights, or the hub cannot be asked.
    """
    if name.startswith("bundled:"):
        if name != BUNDLED_STUDENT:
            raise ModelError(
                f"Unknown bundled model {name!r}.", f"Set {setting} to {BUNDLED_STUDENT}, a folder or a hub name."
            )
        bundled_gguf()
    elif Path(name).is_dir():
        _check_folder(Path(name), setting)
    elif name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise ModelError(f"There is no model folder {name}.", f"Correct {setting}; a hub name reads owner/model.")
    else:
        _check_hub(name, setting)


def _check_folder(folder: Path, setting: str) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model folder: it has no config.json.", f"Correct {setting}.")
    if not any(folder.glob(f"*{_WEIGHTS}")):
        raise ModelError(
            f"{folder} has no safetensors weights.",
            f"Save the model with `save_pretrained` of transformers, and name that folder in {setting}.",
        )


def _check_hub(name: str, setting: str) -> None:
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return  # it was downloaded before
    token = "set HF_TOKEN to a token that may read it (or run `hf auth login`)"
    try:
        found = HfApi().model_info(name, timeout=TIMEOUT_S)
    except GatedRepoError:
        raise ModelError(
            f"{name} is gated: its terms have to be accepted first.", f"Accept them on its page, then {token}."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"The hub has no {name}, or it is private.", f"Correct {setting}; if it is private, {token}."
        ) from None
    except OfflineModeIsEnabled:
        raise ModelError(
            f"{name} is not in the cache of this machine, and HF_HUB_OFFLINE forbids using the hub.",
            f"Unset HF_HUB_OFFLINE, or name a folder in {setting}.",
        ) from None
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelError(
            f"The hub cannot be reached for {name}: {error}",
            f"Check the network (HF_ENDPOINT, proxy), or name a folder in {setting}.",
        ) from None
    if not any(file.rfilename.endswith(_WEIGHTS) for file in found.siblings or ()):
        raise ModelError(f"{name} has no safetensors weights on the hub.", f"Name another model in {setting}.")
