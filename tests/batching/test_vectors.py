"""A text is embedded once for all rounds, by whichever process, and its vector stays what it was."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sedi_dagster.batching import vectors
from sedi_dagster.batching.vectors import StoredVectors, text_hash


def made_up(texts: Sequence[str]) -> np.ndarray:
    return np.array([[len(text), text_hash(text)[0] < "8", 1.0] for text in texts], dtype="float32").reshape(-1, 3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that a model was asked to embed: the model is a stand-in, the table is real."""
    seen: list[str] = []

    def embed(texts: Sequence[str], model_name: str) -> np.ndarray:
        seen.extend(texts)
        return made_up(texts)

    monkeypatch.setattr(vectors, "embed", embed)
    monkeypatch.setattr(vectors, "STORED_AT_ONCE", 4)
    return seen


def test_each_distinct_text_is_embedded_once_and_rows_come_in_order(tmp_path: Path, asked: list[str]) -> None:
    texts = ["Add.", "Count it's.", "Add.", "Sort; DROP TABLE", "数える", ""]
    store = StoredVectors(str(tmp_path), "some/model")
    assert np.array_equal(store(texts), made_up(texts))
    assert sorted(asked) == sorted(set(texts)) and store.embedded == 5
    again = StoredVectors(str(tmp_path), "some/model")
    assert np.array_equal(again([*texts[::-1], "new"]), made_up([*texts[::-1], "new"]))
    assert asked[5:] == ["new"] and again.embedded == 1
    assert again([]).shape == (0, 3)


def test_a_table_whose_creation_was_interrupted_is_created_again(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / f"{vectors._table_name('one')}.lance" / "_versions").mkdir(parents=True)
    for _ in range(2):
        StoredVectors(str(tmp_path), "one")(["a text"])
    assert asked == ["a text"]


def test_two_models_do_not_share_vectors(tmp_path: Path, asked: list[str]) -> None:
    StoredVectors(str(tmp_path), "one")(["Add."])
    StoredVectors(str(tmp_path), "other")(["Add."])
    assert asked == ["Add.", "Add."]


def test_other_weights_under_the_same_folder_are_another_model(tmp_path: Path, asked: list[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"first")
    StoredVectors(str(tmp_path / "lance"), str(folder))(["Add."])
    vectors.model_identity.__globals__["file_digest"].cache_clear()
    (folder / "model.safetensors").write_bytes(b"second")
    StoredVectors(str(tmp_path / "lance"), str(folder))(["Add."])
    assert asked == ["Add.", "Add."]


def test_what_was_embedded_before_an_interruption_is_kept(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"Task {n}." for n in range(10)]
    whole = vectors.embed

    def interrupted(part: Sequence[str], model_name: str) -> np.ndarray:
        if len(asked) >= 8:
            raise KeyboardInterrupt
        return whole(part, model_name)

    monkeypatch.setattr(vectors, "embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        StoredVectors(str(tmp_path), "m")(texts)
    monkeypatch.setattr(vectors, "embed", whole)
    assert np.array_equal(StoredVectors(str(tmp_path), "m")(texts), made_up(texts))
    assert asked == texts


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, asked: list[str]) -> None:
    texts = [f"Task {n}." for n in range(30)]
    StoredVectors(str(tmp_path), "m")(texts[:1])
    threads = [
        threading.Thread(target=lambda n=n: StoredVectors(str(tmp_path), "m")(texts[n * 5 : n * 5 + 10]))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = len(asked)
    assert np.array_equal(StoredVectors(str(tmp_path), "m")(texts), made_up(texts))
    assert len(asked) == before
