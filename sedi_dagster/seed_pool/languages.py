"""Notes on the languages of a seed file."""

from __future__ import annotations

import polars as pl

from sedi_dagster.models import BUNDLED_EMBEDDING
from sedi_dagster.settings import Settings
from sedi_dagster.texts.language import language_name, main_languages
from sedi_dagster.texts.words import mostly_foreign

MULTILINGUAL_EXAMPLE = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"


def language_notes(texts: list[str], settings: Settings) -> list[str]:
    """Return remarks for the user on the languages of some instructions; none if all of them are English."""
    notes = []
    codes = main_languages(texts)
    if codes and codes != ["en"] and not settings.generation.language:
        names = " or ".join(language_name(code) for code in codes)
        notes.append(f"the teacher is asked to write in {names}; set SEDI_GENERATION_LANGUAGE for another language")
    foreign = int(mostly_foreign(pl.Series(texts, dtype=pl.String)).sum())
    if foreign and settings.batching.embedding_model == BUNDLED_EMBEDDING:
        notes.append(
            f"{foreign} of {len(texts)} are not in the Latin script, the only one that the bundled embedding model "
            "reads: they are not compared by meaning, and training batches of them are hardly more diverse than "
            f"random ones. Set SEDI_BATCHING_EMBEDDING_MODEL to a multilingual model, such as {MULTILINGUAL_EXAMPLE}"
        )
    return notes
