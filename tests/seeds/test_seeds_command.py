"""`sedi seeds check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from sedi_dagster.datafiles import Problems
from sedi_dagster.errors import InputFileError
from sedi_dagster.records import EvaluationItem, SeedTask
from sedi_dagster.reporting.seed_check import check_seeds, seeds, show_report
from sedi_dagster.seed_pool import SeedFile
from sedi_dagster.settings import Settings

Write = Callable[[Any], Path]


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def _check(*arguments: object) -> Result:
    return CliRunner().invoke(seeds, ["check", *map(str, arguments)])


def _row(task: SeedTask) -> dict[str, Any]:
    return {**vars(task)}


def test_our_own_seeds_have_no_problem_and_no_remark(seed_tasks: list[SeedTask]) -> None:
    result = _check()
    assert result.exit_code == 0, result.output
    assert "No problem" in result.output
    assert "remark" not in result.output
    with_input = sum(bool(task.input) for task in seed_tasks)
    assert f"All │ {len(seed_tasks)} │ {with_input} │ 0 │ 0" in " ".join(result.output.split())


def test_problems_are_all_listed_and_end_with_status_2(
    write_jsonl: Write, seed_tasks: list[SeedTask], items: list[EvaluationItem]
) -> None:
    rows: list[Any] = [_row(task) for task in seed_tasks]
    rows[3] = {**rows[3], "output": ""}
    rows[7] = {**rows[7], "instruction": items[0].prompt}
    rows[11] = '{"instruction": "Broken'
    rows.append({**rows[0], "output": "Another answer to the first question."})
    result = _check(write_jsonl(rows), "--remarks")
    assert result.exit_code == 2
    assert "3 problem(s) to fix" in result.output
    assert "line 4, field 'output': is empty; expected text" in result.output
    assert f"line 8, field 'instruction': is too close to evaluation item {items[0].id}" in result.output
    assert "line 12: is not JSON" in result.output
    assert f"line {len(rows)}, field 'instruction': is close to that of line 1 (ROUGE-L 1.00)" in result.output


def test_remarks_alone_are_no_problem(write_jsonl: Write, seed_tasks: list[SeedTask]) -> None:
    rows = [_row(task) for task in seed_tasks]
    rows.append({**rows[0], "instruction": "Describe the picture that hangs above my desk."})
    path = write_jsonl(rows)
    result = _check(path)
    assert result.exit_code == 0
    assert "1 remark(s)" in result.output
    assert "unservable_keyword" not in result.output
    assert "violates the filter rule unservable_keyword" in _check(path, "--remarks").output


def test_a_file_that_cannot_be_read_is_an_error_for_the_user(tmp_path: Path) -> None:
    result = _check(tmp_path / "none.jsonl")
    assert isinstance(result.exception, InputFileError)


def test_assigned_categories_are_told_with_their_confidence(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [SeedTask(f"Add {number} to it.", "", "The sum.", "math") for number in range(3)]
    confidence = {task.id: sure for task, sure in zip(tasks, (0.2, 0.7, 0.9), strict=True)}
    found = SeedFile(tasks, [1, 2, 3], confidence, ["no row names a category"], Problems(Path("sums.jsonl")))
    report = check_seeds(found, ["math", "coding"], [], Settings())
    show_report(Console(width=200), Path("sums.jsonl"), report, with_remarks=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Confidence (median)" in shown
    assert "math │ 3 │ 0 │ 0 │ 0 │ 70%" in shown
    assert "Note: no row names a category." in shown


def test_markup_in_a_file_is_shown_as_it_is(write_jsonl: Write) -> None:
    path = write_jsonl([{"instruction": "Say it.", "output": "x", "category": "[red]x[/red] [/nothing]"}])
    result = _check(path).output
    assert "'[red]x[/red] [/nothing]' is unknown" in result and "`sedi seeds split` makes categories" in result


def test_a_rule_that_all_seeds_break_is_a_problem(
    write_jsonl: Write, seed_tasks: list[SeedTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    russian = ["Объясните, почему небо синее.", "Расскажите, откуда берётся снег.", "Опишите старый город."]
    path = write_jsonl(
        [{"instruction": f"{text} {t.category}", "output": "Да.", "category": t.category} for t in seed_tasks[::24]
         for text in russian]
    )  # fmt: skip
    assert "nothing would be kept" not in _check(path).output
    monkeypatch.setenv("SEDI_FILTERING_MODE", "self_instruct")
    message = _check(path)
    assert message.exit_code == 2
    assert "all 36 seed tasks violate the filter rule starts_with_non_ascii: nothing would be kept" in message.output
    assert "expected SEDI_FILTERING_MODE=sedi" in message.output


def test_outputs_that_are_no_answers_and_marks_of_templates_are_told(
    write_jsonl: Write, seed_tasks: list[SeedTask]
) -> None:
    rows: list[Any] = [_row(task) for task in seed_tasks]
    rows[2] = {**rows[2], "output": "Es tut mir leid, aber dabei kann ich nicht helfen."}
    rows[5] = {**rows[5], "output": "<nooutput>"}
    rows[6] = {**rows[6], "output": "<think>Hm.</think>" + rows[6]["output"]}
    result = _check(write_jsonl(rows), "--remarks")
    assert "Note: 1 outputs are not answers (refusal)" in result.output
    assert "Note: 1 outputs are not answers (placeholder)" in result.output
    assert "Note: 1 texts contain chat-template tokens or reasoning" in result.output
    assert "line 3, field 'output': violates the filter rule refusal" in result.output
    assert "line 7, field 'output': contains reasoning" in result.output


def test_texts_that_were_decoded_or_escaped_wrongly_are_told(write_jsonl: Write, seed_tasks: list[SeedTask]) -> None:
    rows = [_row(task) for task in seed_tasks[:4]]
    rows[0]["output"] = "KÃ¤se schmeckt gut â€“ wirklich."
    rows[1]["instruction"] = "Is it true that 3 &lt; 5 &amp; 7 &gt; 6?"
    rows[2]["output"] = "In HTML, write &amp; for &."
    rows[3]["output"] = "The ÂNGELUS, a château, São Paulo and MANHÃ."
    result = _check(write_jsonl(rows), "--remarks")
    assert "2 texts are wrongly decoded or escaped" in result.output
    assert "line 1, field 'output': contains 'Ã¤'" in result.output
    assert "line 2, field 'instruction': contains '&lt;'" in result.output


def test_category_names_of_one_s_own_are_taken_as_a_setting_says(
    write_jsonl: Write, seed_tasks: list[SeedTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = [{**_row(task), "category": f"my {task.category}"} for task in seed_tasks]
    rows.append({"instruction": "Say hello.", "output": "Hello.", "category": "chat"})
    path = write_jsonl(rows)
    refused = _check(path)
    assert refused.exit_code == 2 and "SEDI_SEED_CATEGORIES='{" in refused.output
    names = {f"my {task.category}": task.category for task in seed_tasks} | {"chat": ""}
    monkeypatch.setenv("SEDI_SEED_CATEGORIES", json.dumps(names))
    taken = _check(path)
    assert taken.exit_code == 0, taken.output
    assert "1 rows are of category 'chat', which is excluded" in taken.output
