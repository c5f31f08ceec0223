"""`sedi seeds split`: one file becomes seed tasks, items and categories that the loop accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from sedi_dagster.categories import load_categories
from sedi_dagster.cli import main
from sedi_dagster.evaluation.held_out_tasks import MAX_OUTPUT_BYTES, item_of, labels_of
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.evaluation.verifiers import verify
from sedi_dagster.records import SeedTask
from sedi_dagster.seed_pool.loading import read_seed_file

Write = Callable[[Any], Path]
QUESTIONS = {
    "Which town is the capital of France?": "Paris",
    "Where does the government of Norway have its seat?": "Oslo",
    "Name the largest city on the Nile.": "Cairo",
    "In what Italian city do gondolas carry the guests?": "Venice",
    "The Golden Gate spans the bay of which place?": "San Francisco",
    "Say where the Olympic games of 1912 were held.": "Stockholm",
    "Mozart was born in this Austrian city; what is it called?": "Salzburg",
    "What used to be Constantinople?": "Istanbul",
    "A tower of this town leans, and tourists hold it up in photographs.": "Pisa",
    "Tell me which port the Titanic left for New York.": "Southampton",
    "Under whose streets do the oldest tube trains run?": "London",
    "I want to see the little mermaid on her stone: where should I go?": "Copenhagen",
}


def task(instruction: str, output: str, text_input: str = "") -> SeedTask:
    return SeedTask(instruction, text_input, output, "c")


def split(file: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["seeds", "split", str(file), "--out", str(out), *more])


def towns(category: str | None = "Towns of the world") -> list[dict[str, str]]:
    named = {"category": category} if category else {}
    return [{"instruction": question, "output": town, **named} for question, town in QUESTIONS.items()]


@pytest.mark.parametrize(
    ("output", "verifier"),
    [
        ("42", "numeric"),
        ("$1,200.50", "numeric"),
        ('{"name": "Ada", "year": 1815}', "json_fields"),
        ('{"": "Ada"}', "match"),
        ("12.05.1815", "match"),
        ("1, 2, 3", "match"),
        ("1.2.3", "match"),
        ("1,234,567.5", "numeric"),
        ("1.234,56 €", "numeric"),
        ("1.234", "match"),  # 1234 in German
        ("Ada Lovelace", "match"),
        ("She wrote the first program for a machine that was never built in her lifetime.", "token_f1"),
    ],
)
def test_the_form_of_the_output_decides_how_an_answer_is_judged(output: str, verifier: str) -> None:
    others = ["Charles Babbage", "7", "The engine was too costly for the government of the day, so it stayed a plan."]
    item = item_of(task("Say who or what is meant here.", output), [], [output, *others])
    assert item is not None and item.verifier == verifier
    assert verify(item.verifier, item.args, output, item.prompt).passed
    for wrong in ("", item.prompt, *others):
        assert not verify(item.verifier, item.args, wrong, item.prompt).passed


def test_labels_are_known_by_their_number() -> None:
    tasks = [task(f"Is message {n} kind?", ("Yes", "No.", "no")[n % 3]) for n in range(12)]
    assert labels_of(tasks) == ["Yes", "No."]
    assert labels_of(tasks[:4]) == [] and labels_of([task("Is it?", "Yes")] * 9) == []
    assert labels_of([task("Which?", f"Town {n}") for n in range(12)]) == []
    item = item_of(tasks[2], ["Yes", "No."], [one.output for one in tasks])
    assert item is not None and (item.verifier, item.args["answer"]) == ("label", "No.")


@pytest.mark.parametrize(
    ("asked", "labels", "most"),
    [
        ("Is this message spam?", ["spam", "ham"], 3),
        ("Is it urgent?", ["normal", "urgent", "low"], 2),
        ("Is it spam or not spam?", ["spam", "not spam"], None),
        ("Sort the message.", ["spam", "ham"], None),
        ("Spam?", ["spam", "ham"], 1),
    ],
)
def test_tasks_of_every_label_can_be_items_also_where_the_question_names_one(
    asked: str, labels: list[str], most: int | None
) -> None:
    """Else a student that gives the other label whatever it is asked would be right each time."""
    tasks = [task(asked, labels[n % len(labels)], f"We meet on the {n}th at nine.") for n in range(12)]
    items = [item_of(one, labels_of(tasks), [other.output for other in tasks]) for one in tasks]
    assert {(item.verifier, item.args["answer"], item.args.get("max_words")) for item in items if item} == {
        ("label", name, most) for name in labels
    }
    assert all(item and not verify("label", item.args, item.prompt).passed for item in items)


def test_outputs_that_differ_by_a_sign_alone_are_not_taken_for_one_another() -> None:
    numbers = [task(f"How good was stay {n}?", ("-1", "0", "1")[n % 3]) for n in range(12)]
    item = item_of(numbers[0], labels_of(numbers), [one.output for one in numbers])
    assert item is not None and not verify(item.verifier, item.args, "1", item.prompt).passed
    languages = [task(f"Which language is program {n} in?", ("C", "C++", "C#")[n % 3]) for n in range(12)]
    assert labels_of(languages) == []
    assert item_of(languages[1], [], [one.output for one in languages]) is None
    assert item_of(task("Which town?", "Paris."), [], ["Paris", "paris", "Rome"]) is not None


def test_a_category_whose_items_would_all_have_one_answer_is_left_out(write_jsonl: Write, tmp_path: Path) -> None:
    grades = [{"instruction": question, "output": "A+", "category": "g"} for question in QUESTIONS]
    for number, row in enumerate(grades):
        row["output"] = ("A+", "A", "B")[number % 3]
    result = split(write_jsonl(grades + towns()), tmp_path / "own")
    assert result.exit_code == 0 and "g (12 tasks, 'B' is the answer to all possible items)" in result.output
    assert list(load_categories(tmp_path / "own" / "categories.yaml")) == ["towns_of_the_world"]


def test_an_output_that_is_no_answer_is_not_what_an_item_asks_for(write_jsonl: Write, tmp_path: Path) -> None:
    rows = towns() + [{"instruction": q, "output": "yes" if len(q) % 2 else "no", "category": "b"} for q in QUESTIONS]
    rows[1]["output"] = "As an AI language model, I cannot help with that."
    rows[13]["output"] = rows[14]["output"] = "N/A"
    result = split(write_jsonl(rows), tmp_path / "own")
    assert "and so no items: towns_of_the_world (1), b (2)" in result.output
    seeds = read_seed_file(tmp_path / "own" / "seed_tasks.jsonl", None).tasks
    assert {rows[n]["output"] for n in (1, 13)} <= {seed.output for seed in seeds}
    items = [json.loads(line) for line in (tmp_path / "own" / "evaluation_items.jsonl").read_text().splitlines()]
    assert {i["reference"] for i in items if i["category"] == "b"} == {"yes", "no"}
    assert all(i["args"]["labels"] == ["yes", "no"] for i in items if i["category"] == "b") and "AI" not in str(items)


def test_a_task_that_no_verifier_can_judge_is_no_item() -> None:
    text = "The committee met on Monday and talked about the roof, the heating and the new chairs for the hall."
    echo = task("Correct the text.", text, text.replace("committee", "comittee"))
    assert item_of(echo, [], [text]) is None
    assert item_of(task("Tell a story.", "word " * MAX_OUTPUT_BYTES), [], []) is None
    assert item_of(task("Which sign?", "?!"), [], []) is None
    assert item_of(task("What is it?", "[" * MAX_OUTPUT_BYTES), [], []) is None  # nested too deep to be read


def test_the_files_are_what_the_loop_reads(write_jsonl: Write, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        *towns()[:5],
        *towns("towns_of_the_World")[5:8],  # one category, however it is written
        *towns("首都")[8:],
        {"instruction": "Hum a tune.", "output": "La", "category": "x"},
    ]
    result = split(write_jsonl(rows), tmp_path / "own")
    assert result.exit_code == 0, result.output
    categories = load_categories(tmp_path / "own" / "categories.yaml")
    assert {c.id: c.name for c in categories.values()} == {
        "towns_of_the_world": "Towns of the world",
        "category_2": "首都",
    }
    seeds = read_seed_file(tmp_path / "own" / "seed_tasks.jsonl", categories).checked().tasks
    items = load_evaluation_items(tmp_path / "own" / "evaluation_items.jsonl", categories)
    assert len(seeds) + len(items) == len(rows) - 1 and len(items) == 6
    assert "left out" in result.output and "x (1 tasks, 4 are needed)" in result.output
    asked = {item.prompt for item in items}
    assert asked.isdisjoint(seed.instruction for seed in seeds) and all(item.verifier == "match" for item in items)


def test_rows_may_name_a_category_as_its_entry_does(write_jsonl: Write, tmp_path: Path) -> None:
    file = write_jsonl(towns("Städte der Welt"))
    assert split(file, tmp_path / "own").exit_code == 0
    found = read_seed_file(file, load_categories(tmp_path / "own" / "categories.yaml")).checked()
    assert {task.category for task in found.tasks} == {"stadte_der_welt"}


def test_a_file_without_categories_gets_one_or_those_of_the_bundled_seeds(write_jsonl: Write, tmp_path: Path) -> None:
    file = write_jsonl(towns(None))
    assert split(file, tmp_path / "one", "--single-category", "Towns", "--items", "3").exit_code == 0
    (entry,) = yaml.safe_load((tmp_path / "one" / "categories.yaml").read_text())
    assert (entry["id"], entry["name"], entry["share"]) == ("towns", "Towns", 1.0)
    assert len((tmp_path / "one" / "evaluation_items.jsonl").read_text().splitlines()) == 3
    result = split(file, tmp_path / "bundled")
    assert result.exit_code == 0 and "most similar bundled seeds" in result.output
    entries = yaml.safe_load((tmp_path / "bundled" / "categories.yaml").read_text())
    bundled = load_categories(Path("seeds/categories.yaml"))
    assert entries and all(entry["definition"] == bundled[entry["id"]].definition for entry in entries)
    assert split(write_jsonl(towns("math")), tmp_path / "math").exit_code == 0
    assert load_categories(tmp_path / "math" / "categories.yaml")["math"].hint == bundled["math"].hint
    odd = [row | {"category": category} for row, category in zip(towns(), [3, None, "Own"] * 4, strict=True)]
    result = split(write_jsonl(odd), tmp_path / "all", "--single-category", "Towns")
    assert result.exit_code == 0 and "ignored: category (8)" in result.output
    assert list(load_categories(tmp_path / "all" / "categories.yaml")) == ["towns"]


def test_an_item_that_is_near_a_seed_task_becomes_one(write_jsonl: Write, tmp_path: Path) -> None:
    rows = towns()
    copies = [row | {"instruction": f"{row['instruction']} Think."} for row in rows[::2]]
    assert split(write_jsonl(rows + copies), tmp_path / "own").exit_code == 0
    categories = load_categories(tmp_path / "own" / "categories.yaml")
    items = load_evaluation_items(tmp_path / "own" / "evaluation_items.jsonl", categories)
    seeds = read_seed_file(tmp_path / "own" / "seed_tasks.jsonl", categories).checked().tasks
    assert len(items) + len(seeds) == len(rows + copies) and items
    told = {seed.instruction.removesuffix(" Think.") for seed in seeds}
    assert told.isdisjoint(item.prompt.removesuffix(" Think.") for item in items)


def test_what_cannot_be_split_or_would_be_overwritten_is_refused(write_jsonl: Write, tmp_path: Path) -> None:
    result = split(write_jsonl(towns()[:3]), tmp_path / "few")
    assert result.exit_code == 2 and "3 tasks, 4 are needed" in result.output and not (tmp_path / "few").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "seed_tasks.jsonl").write_text("mine")
    result = split(write_jsonl(towns()), tmp_path / "full")
    assert result.exit_code == 2 and "already has seed_tasks.jsonl" in result.output
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps(towns()[0]) + '\n{"instruction": "Half')
    result = split(broken, tmp_path / "broken")
    assert result.exit_code == 2 and "line 2: is not JSON" in result.output
