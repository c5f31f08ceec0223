"""Neighbours of a text among the kept examples, now and as of a round."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from click.testing import CliRunner

from sedi_dagster.cli import main
from sedi_dagster.errors import SediError
from sedi_dagster.lineage.commands import similar_examples
from sedi_dagster.storage.store import Store

MODEL = "a-model"


def embed(texts: Sequence[str], model: str) -> np.ndarray:
    """The made loop's examples have the unit vectors of 8 dimensions in turn; a text names its own by a digit."""
    return np.eye(8, dtype=np.float32)[[int(text[-1]) for text in texts]]


def test_the_nearest_come_first_with_their_cosine(finished: Store) -> None:
    found = similar_examples(finished, "as number 3", embed, MODEL, limit=4)
    assert found[0]["cosine"] == pytest.approx(1) and found[-1]["cosine"] == pytest.approx(0, abs=1e-6)
    assert len(found) == 4 and found[0]["instruction"].startswith("Write down")


def test_as_of_a_round_later_examples_are_not_there_yet(finished: Store) -> None:
    now = similar_examples(finished, "as number 1", embed, MODEL, limit=100)
    then = similar_examples(finished, "as number 1", embed, MODEL, limit=100, as_of="round-0001")
    assert {row["round"] for row in now} == {"round-0001", "round-0002"}
    assert {row["round"] for row in then} == {"round-0001"} and 0 < len(then) < len(now)


def test_one_category_alone(finished: Store) -> None:
    found = similar_examples(finished, "as number 0", embed, MODEL, limit=100, category="coding")
    assert {row["category"] for row in found} == {"coding"}


def test_what_cannot_be_looked_for_is_told(finished: Store, tmp_path: object) -> None:
    for options, text in (
        ({"as_of": "round-0009"}, "The examples have no version for round 'round-0009'"),
        ({"category": "it's"}, "No example has the category"),
        ({"model": "another"}, "stored embeddings were made with a-model"),
    ):  # fmt: skip
        with pytest.raises(SediError, match=text):
            similar_examples(finished, "as number 1", embed, **({"model": MODEL} | options))  # type: ignore[arg-type]
    with pytest.raises(SediError, match="No example has been kept"):
        similar_examples(Store(str(tmp_path)), "as number 1", embed, MODEL)


def test_the_command_takes_a_round_by_its_number(finished: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_DATA", str(finished.root.path))
    monkeypatch.setenv("SEDI_BATCHING_EMBEDDING_MODEL", MODEL)
    monkeypatch.setattr("sedi_dagster.batching.embedding.embed", embed)
    done = CliRunner().invoke(main, ["similar", "as number 2", "--as-of", "1", "--json", "--limit", "1"])
    assert done.exit_code == 0 and json.loads(done.output)["round"] == "round-0001"
