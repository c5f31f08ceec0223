"""Categories for seed tasks whose file names none: from their neighbours among seeds of known category.

Sentence embeddings tell subjects apart better than kinds of task: a vote of the ten nearest instructions is
right for a third of the project's own seeds, each left out in turn. So the neighbourhood is that of
instruction, output and a few measures of form together, and every seed votes with the weight that kernel
ridge regression gives it; that is right for two thirds. The confidence is the softmax of the votes, at the
temperature under which the categories of left-out seeds are most likely (Guo and others, arXiv 1706.04599).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sedi_dagster.batching.embedding import BUNDLED, embed
from sedi_dagster.records import SeedTask

if TYPE_CHECKING:
    import numpy as np

Assigned = list[tuple[str, float]]
"""Category and confidence (0 to 1) of each task."""

RIDGE = 1.0
COMPARED_CHARS = 400
"""The kind of a task shows at its beginning; longer texts would only take longer."""

_DIGIT = re.compile(r"\d")
_SYMBOL = re.compile(r"[{}()\[\]=]")


def assign_categories(tasks: Sequence[SeedTask], known: Sequence[SeedTask], cache: Path | None = None) -> Assigned:
    """Category and confidence of each of `tasks`, from `known` ones; kept in the folder `cache`, if given."""
    if cache is None:
        return _assign(tasks, known)
    kept = cache / "seed_categories" / f"{_digest(tasks, known)}.json"
    if kept.is_file():
        return [(category, confidence) for category, confidence in json.loads(kept.read_text(encoding="utf-8"))]
    assigned = _assign(tasks, known)
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}.tmp")  # other steps may be doing the same
    temporary.write_text(json.dumps(assigned), encoding="utf-8")
    temporary.replace(kept)
    return assigned


def _digest(tasks: Sequence[SeedTask], known: Sequence[SeedTask]) -> str:
    content = json.dumps([1, RIDGE, [task.id for task in tasks], [task.id for task in known]])
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def _assign(tasks: Sequence[SeedTask], known: Sequence[SeedTask]) -> Assigned:
    names = sorted({task.category for task in known})
    labels = [names.index(task.category) for task in known]
    votes = Votes(features(known), labels, len(names))
    shares = votes.shares(features(tasks))
    return [(names[int(row.argmax())], round(float(row.max()), 4)) for row in shares]


class Votes:
    """Votes of known neighbours: linear-kernel ridge regression onto one indicator a category.

    With centred features X, indicators Y and G = (X X^T + RIDGE I)^-1, the prediction for row i by the others
    alone is Y_i - [G Y]_i / G_ii (`left_out`).
    """

    def __init__(self, vectors: np.ndarray, labels: Sequence[int], categories: int) -> None:
        import numpy as np

        self._centre = vectors.mean(axis=0)
        centred = vectors - self._centre
        indicators = np.eye(categories)[list(labels)]
        self._mean = indicators.mean(axis=0)
        inverse = np.linalg.inv(centred @ centred.T + RIDGE * np.eye(len(vectors)))
        dual = inverse @ (indicators - self._mean)
        self._weights = centred.T @ dual
        self.left_out = indicators - dual / np.diag(inverse)[:, None]
        rows = np.arange(len(labels))
        temperatures = np.geomspace(0.02, 2.0, 25)
        losses = [-np.log(_softmax(self.left_out / t)[rows, list(labels)]).mean() for t in temperatures]
        self.temperature = float(temperatures[int(np.argmin(losses))])

    def shares(self, vectors: np.ndarray) -> np.ndarray:
        """One row a task, one column a category; a row sums to 1."""
        return _softmax(((vectors - self._centre) @ self._weights + self._mean) / self.temperature)


def _softmax(values: np.ndarray) -> np.ndarray:
    import numpy as np

    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def features(tasks: Sequence[SeedTask]) -> np.ndarray:
    """Embeddings of instruction and output, and the measures of form on a like scale, side by side."""
    import numpy as np

    texts = [task.instruction for task in tasks] + [task.output for task in tasks]
    vectors = embed([text[:COMPARED_CHARS] for text in texts], BUNDLED)
    forms = np.array([_form(task) for task in tasks])
    return np.hstack([vectors[: len(tasks)], vectors[len(tasks) :], forms])


def _form(task: SeedTask) -> list[float]:
    """Measures of form, none above 0.75: what is given, how long it is, and how the answer relates to it."""
    given = set((task.input or task.instruction).lower().split())
    said = set(task.output.lower().split())
    found = [
        float(bool(task.input)),
        _length(task.instruction),
        _length(task.input),
        _length(task.output),
        float(len(task.output.split()) < 4),
        float("\n" in task.output),
        float(task.instruction.endswith("?")),
        float('"' in task.instruction),
        float(bool(_DIGIT.search(task.instruction))),
        float(bool(_DIGIT.search(task.output))),
        float(bool(_SYMBOL.search(task.input + task.output))),
        len(given & said) / max(1, len(said)),
    ]
    return [0.75 * value for value in found]


def _length(text: str) -> float:
    return math.log1p(len(text.split())) / 5
