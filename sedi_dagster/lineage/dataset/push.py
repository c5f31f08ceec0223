"""Pushing an exported dataset to a Hugging Face hub, or to whatever `HF_ENDPOINT` names."""

from __future__ import annotations

from pathlib import Path

from sedi_dagster.errors import SediError


def push(folder: Path, repository: str, public: bool = False) -> str:
    """Upload a folder as a dataset repository, made if it is not there (private unless `public`). Returns its address.

    The token is the one of `HF_TOKEN`, or of `hf auth login`.

    Raises:
        SediError: the hub refused it or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    hub = HfApi()
    try:
        made = hub.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        hub.upload_folder(
            folder_path=folder, repo_id=made.repo_id, repo_type="dataset", commit_message="Export of sedi-dagster"
        )
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise SediError(
            f"{repository} could not be pushed to {hub.endpoint}: {str(error).strip().splitlines()[0]}",
            "Check the name (owner/name), HF_TOKEN (it must be allowed to write), HF_ENDPOINT and HF_HUB_OFFLINE.",
        ) from None
    return str(made.url)
