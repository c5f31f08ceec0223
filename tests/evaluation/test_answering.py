"""The evaluation workload on a tiny student: batches, what is kept of them, and that nothing is evaluated twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.results import append_results, item_table, read_results, result_key, result_row
from sedi_dagster.records import EvaluationItem


def item(number: int, prompt: str) -> dict[str, Any]:
    return {
        "id": f"i{number}",
        "key": f"key-{number}",
        "category": "math",
        "cluster": f"i{number}",
        "prompt": prompt,
        "verifier": "match",
        "args": {"aliases": ["nine"]},
        "reference": "nine " * (number + 1),
        "difficulty": "easy",
        "max_answer_tokens": 4 + number % 2,
    }


Rows = dict[str, dict[str, Any]]


def scores(results: Path, student: Path, items: list[dict[str, Any]], batch_size: int) -> Rows:
    job = {"student": str(student), "adapter": None, "items": items, "results": str(results), "batch_size": batch_size}
    evaluate(job, lambda line: None)
    return read_results(results)


def test_batched_answers_and_losses_equal_those_one_by_one(tmp_path: Path, tiny_student: Path) -> None:
    items = [item(n, "How many? " * (1 + 3 * n)) for n in range(7)]
    batched = scores(tmp_path / "batched.jsonl", tiny_student, items, batch_size=7)
    single = scores(tmp_path / "single.jsonl", tiny_student, items, batch_size=1)
    assert sorted(batched) == sorted(single) == [i["key"] for i in items]
    for key, row in batched.items():
        assert (row["answer"], row["passed"], row["truncated"]) == tuple(
            single[key][name] for name in ("answer", "passed", "truncated")
        )
        assert row["reference_loss"] == pytest.approx(single[key]["reference_loss"], abs=1e-4)


def test_every_item_has_one_row_with_its_answer_cut_at_its_own_limit(tmp_path: Path, tiny_student: Path) -> None:
    items = [item(n, f"What is {n}?") for n in range(5)]
    found = scores(tmp_path / "out.jsonl", tiny_student, items, batch_size=4)  # a batch of both limits
    assert sorted(found) == [i["key"] for i in items]
    assert all(found[i["key"]]["answer_tokens"] <= i["max_answer_tokens"] for i in items)


def test_an_evaluation_that_was_killed_keeps_the_batches_that_were_done(tmp_path: Path, tiny_student: Path) -> None:
    items = [item(n, f"What is {n}?") for n in range(6)]
    results = tmp_path / "results.jsonl"

    def killed(line: str) -> None:
        raise KeyboardInterrupt

    job = {"student": str(tiny_student), "adapter": None, "items": items, "results": str(results), "batch_size": 2}
    with pytest.raises(KeyboardInterrupt):
        evaluate(job, killed)
    assert len(read_results(results)) == 2
    with results.open("a") as torn:
        torn.write('{"key": "key-5", "ans')  # and one was being written
    left = [i for i in items if i["key"] not in read_results(results)]
    assert len(left) == 4
    assert len(scores(results, tiny_student, left, batch_size=2)) == 6


def row(number: int, answer: str, truncated: bool = False) -> dict[str, Any]:
    return result_row(item(number, "Say nine."), answer, 3, truncated, 0.5)


def test_an_answer_that_failed_because_it_was_cut_says_so() -> None:
    assert row(0, "eight and", truncated=True)["errors"] == ["cut off", "wrong answer"]
    assert row(0, "nine and", truncated=True)["errors"] == [] == row(0, "nine")["errors"]


def test_kinds_of_error_are_of_a_closed_set_and_carry_nothing_of_the_item() -> None:
    from typing import get_args

    from sedi_dagster.evaluation.verifiers import ErrorKind

    assert set(row(0, "my secret answer", truncated=True)["errors"]) <= set(get_args(ErrorKind))


def test_a_line_separator_or_a_lone_surrogate_in_an_answer_survives_the_file(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    odd = "nine\u2028\x85\ud800 \U0001f600\n"
    append_results(results, [row(0, odd)])
    append_results(results, [row(1, "nine")])
    assert read_results(results)["key-0"]["answer"] == odd and len(read_results(results)) == 2


def test_a_result_belongs_to_a_student_an_item_and_a_limit() -> None:
    asked = EvaluationItem("i", "math", "Say nine.", "match", {"aliases": ["nine"]}, "nine", "easy", "c")
    keys = {
        result_key("student", asked, 4),
        result_key("another", asked, 4),
        result_key("student", asked, 5),
        result_key("student", EvaluationItem(**{**vars(asked), "args": {"aliases": ["9"]}}), 4),
        result_key("student", EvaluationItem(**{**vars(asked), "reference": "9"}), 4),
    }
    assert len(keys) == 5
    moved = EvaluationItem(**{**vars(asked), "cluster": "d", "difficulty": "hard"})
    assert result_key("student", moved, 4) in keys, "where an item is filed does not change its answer"
    key = result_key("student", moved, 4)
    table = item_table([moved], {"i": key}, {"i": "B"}, {key: {**row(0, "nine"), "key": key}})
    assert table.select("half", "difficulty", "passed").row(0) == ("B", "hard", True)
