"""A fake sentence-transformers, for processes that should not spend seconds on it: vectors of hashed words."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np


class SentenceTransformer:
    def __init__(self, *_: object, **__: object) -> None:
        """Any model is the same."""

    def get_embedding_dimension(self) -> int:
        return 32

    def encode(self, texts: Sequence[str], **_: object) -> np.ndarray:
        vectors = np.full((len(texts), self.get_embedding_dimension()), 0.01, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, crc32(word.encode()) % vectors.shape[1]] += 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
