"""What holds of duplicates whatever the texts: neighbours are kept, kept ones are not near, nothing is dropped idly."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.filtering.duplicates import duplicates
from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.texts.words import tokens

NOVELTY, SEMANTIC = 0.6, 0.97
TEXTS = st.lists(st.lists(st.sampled_from("ab ba abc cab dd d".split()), min_size=1, max_size=6), max_size=14)


def letters(texts: list[str]) -> np.ndarray:
    """Vectors of letter counts: another nearness than that of words in order."""
    counts = np.array([[text.count(letter) for letter in ascii_lowercase] for text in texts], np.float32)
    return counts.reshape(len(texts), 26) / np.maximum(
        np.linalg.norm(counts.reshape(-1, 26), axis=1, keepdims=True), 1e-9
    )


def rouge_l(a: str, b: str) -> float:
    index = NoveltyIndex()
    index.add("b", b)
    found = index.nearest(a, 1e-6)
    return found[2] if found else 0.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TEXTS, TEXTS, st.booleans())
def test_neighbours_are_kept_and_kept_ones_are_not_near(
    pool_words: list[list[str]], words: list[list[str]], by_meaning: bool
) -> None:
    pool = {f"p{n}": " ".join(message) for n, message in enumerate(pool_words[:3])}
    texts = {f"c{n}": " ".join(message) for n, message in enumerate(words)}
    found = duplicates(
        pl.DataFrame(
            {"id": list(texts), "text": list(texts.values())}, schema={"id": pl.String, "text": pl.String}
        ).with_row_index("row"),
        pl.DataFrame({"id": list(pool), "text": list(pool.values())}, schema={"id": pl.String, "text": pl.String}),
        NOVELTY,
        SEMANTIC if by_meaning else None,
        letters,
    )
    assert found["row"].is_unique().all()
    dropped = {f"c{row}" for row in found["row"]}
    kept = [name for name in texts if name not in dropped]
    known = pool | {name: texts[name] for name in kept}
    for row, rule, score, _, neighbour_id, neighbour in found.iter_rows():
        assert neighbour_id in known and known[neighbour_id] == neighbour
        text = texts[f"c{row}"]
        if rule == "exact_duplicate":
            assert tokens(text) == tokens(neighbour)
        elif rule == "near_duplicate":
            assert score == rouge_l(text, neighbour) > NOVELTY
        else:
            cosine = float(letters([text])[0] @ letters([neighbour])[0])
            assert rule == "semantic_duplicate" and by_meaning and abs(score - cosine) < 1e-5 and score > SEMANTIC
    for place, name in enumerate(kept):
        for other in [*pool, *kept[:place]]:
            assert rouge_l(texts[name], known[other]) <= NOVELTY
            if by_meaning:
                assert float(letters([texts[name]])[0] @ letters([known[other]])[0]) <= SEMANTIC + 1e-5
