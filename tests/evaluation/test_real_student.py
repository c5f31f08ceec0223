"""The bundled student itself: batching, padding and sorting change none of its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.decoding import Decoder
from sedi_dagster.evaluation.items import draw_items, load_evaluation_items
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.settings import load_settings
from sedi_dagster.student.loading import load_student, student_source
from sedi_dagster.training.sizing import _has_bf16


@pytest.mark.slow
def test_batched_answers_of_the_bundled_student_equal_those_one_by_one(tmp_path: Path) -> None:
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    drawn = draw_items(load_evaluation_items(settings.path(settings.items), categories), 2, 0)
    items = [{**vars(item), "key": item.id, "max_answer_tokens": 24} for item in drawn]
    source = student_source(settings.training.student, settings.path(settings.cache))
    rows = []
    for batch_size in (24, 1):
        results = tmp_path / f"{batch_size}.jsonl"
        job = {"student": source, "adapter": None, "items": items, "results": str(results), "batch_size": batch_size}
        evaluate(job, lambda line: None)
        rows.append(read_results(results))
    batched, single = rows
    assert {key: row["answer"] for key, row in batched.items()} == {key: row["answer"] for key, row in single.items()}
    for key, row in batched.items():
        assert row["reference_loss"] == pytest.approx(single[key]["reference_loss"], abs=1e-3)


def test_the_bundled_student_is_answered_in_batches_also_in_bf16_as_on_a_gpu() -> None:
    """Its logits are about 10, of which bf16 keeps 8 bits: rounding alone comes to a tenth of a nat."""
    import torch

    if not _has_bf16("cpu"):
        pytest.skip("torch emulates bf16 on this CPU, with other results of attention, and no student is asked in it")
    settings = load_settings()
    source = student_source(settings.training.student, settings.path(settings.cache))
    assert Decoder(load_student(source, None).to(torch.bfloat16).eval(), frozenset({2})).padded
