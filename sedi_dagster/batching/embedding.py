"""Sentence embeddings of instructions, by the bundled MiniLM or any sentence-transformers model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sedi_dagster.errors import ModelError
from sedi_dagster.models import bundled_minilm

if TYPE_CHECKING:
    import numpy as np

BUNDLED = "bundled:all-MiniLM-L6-v2"


def embed(texts: Sequence[str], model_name: str) -> np.ndarray:
    """Unit vectors, float32, shape (len(texts), dimensions), so that a dot product is the cosine.

    Raises:
        ModelError: the model is missing or not a sentence-transformers model.
    """
    source = model_name
    if model_name == BUNDLED:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        source = str(bundled_minilm())
    from sentence_transformers import SentenceTransformer  # 5 s and 500 MB: only where vectors are needed

    try:
        model = SentenceTransformer(source, trust_remote_code=False, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The embedding model {model_name!r} cannot be loaded: {error}",
            f"Set SEDI_BATCHING_EMBEDDING_MODEL to {BUNDLED} or to a folder with a sentence-transformers model.",
        ) from None
    vectors: np.ndarray = model.encode(
        list(texts), batch_size=64, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    )
    return vectors.astype("float32")
