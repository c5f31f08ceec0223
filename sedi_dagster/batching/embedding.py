"""Sentence embeddings of instructions, from the bundled MiniLM or any sentence-transformers model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sedi_dagster.errors import ModelError
from sedi_dagster.models import BUNDLED_EMBEDDING, bundled_minilm, file_digest
from sedi_dagster.settings import PROJECT_ROOT, local_path


def embed(texts: Sequence[str], model_name: str) -> np.ndarray:
    """Return unit vectors, float32, shape (len(texts), dimensions); the dot product of two is their cosine.

    Raises:
        ModelError: the model is missing or not a sentence-transformers model.
    """
    model = _loaded(model_name)
    if not texts:
        return np.empty((0, model.get_embedding_dimension()), dtype=np.float32)
    vectors: np.ndarray = model.encode(
        list(texts), batch_size=64, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    )
    return vectors.astype("float32")


def model_identity(model_name: str) -> str:
    """Return the model's name; for a folder, also a hash of its weights, which may change while the name does not."""
    weights = _folder(model_name) / "model.safetensors"
    return f"{model_name} {file_digest(weights)}" if weights.is_file() else model_name


def _folder(model_name: str) -> Path:
    """The folder that a name would refer to; a relative path starts at the project's root."""
    return bundled_minilm() if model_name == BUNDLED_EMBEDDING else PROJECT_ROOT / local_path(model_name)


@lru_cache(maxsize=1)
def _loaded(model_name: str) -> Any:
    """Load a model. It is cached, as loading takes as long as embedding a thousand texts."""
    folder = _folder(model_name)
    source = str(folder) if folder.is_dir() else model_name
    from sentence_transformers import SentenceTransformer  # takes 5 s and 500 MB

    try:
        return SentenceTransformer(
            source,
            trust_remote_code=False,
            local_files_only=Path(source).is_dir(),  # not HF_HUB_OFFLINE, as the student may come from a hub
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The embedding model {model_name!r} cannot be loaded: {error}",
            f"Set SEDI_BATCHING_EMBEDDING_MODEL to {BUNDLED_EMBEDDING} or the folder of a sentence-transformers model.",
        ) from None
