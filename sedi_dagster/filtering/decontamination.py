"""Evaluation items never reach the training set: nothing that is near one is kept.

Two measures, either is enough: a run of 13 words shared with an item (Brown and others 2020, appendix C), and
ROUGE-L F1 with an item's prompt at or above a threshold.
"""

from __future__ import annotations

from collections.abc import Iterable

from sedi_dagster.filtering.novelty import NoveltyIndex, tokens


class Decontaminator:
    """Knows the evaluation items; tells whether a text is near one of them."""

    def __init__(self, items: Iterable[tuple[str, str]], threshold: float, ngram: int) -> None:
        """`items`: (id, text) pairs."""
        self._threshold, self._ngram = threshold, ngram
        self._index = NoveltyIndex()
        self._runs: dict[tuple[str, ...], tuple[str, str]] = {}
        for item_id, text in items:
            self._index.add(item_id, text)
            for run in self._ngrams(text):
                self._runs.setdefault(run, (item_id, text))

    def contamination(self, text: str) -> tuple[str, float, float, str, str] | None:
        """(rule, score, threshold, item id, item text) if the text is near an item, else None."""
        for run in self._ngrams(text):
            if run in self._runs:
                item_id, item = self._runs[run]
                return "evaluation_ngram", float(self._ngram), float(self._ngram), item_id, item
        near = self._index.nearest(text, self._threshold, or_equal=True)
        return ("evaluation_rouge_l", near[2], self._threshold, near[0], near[1]) if near else None

    def _ngrams(self, text: str) -> Iterable[tuple[str, ...]]:
        words = tokens(text)
        return (tuple(words[i : i + self._ngram]) for i in range(len(words) - self._ngram + 1))
