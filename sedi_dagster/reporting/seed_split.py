"""`sedi seeds split`: turns one file of a user's tasks into seed tasks, evaluation items and categories."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import polars as pl
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sedi_dagster.categories import load_categories
from sedi_dagster.datafiles.options import column_options
from sedi_dagster.datafiles.shapes import NOT_READ, Columns
from sedi_dagster.datafiles.writing import write_jsonl
from sedi_dagster.errors import InputFileError, StorageError
from sedi_dagster.evaluation.held_out_tasks import item_of, labels_of
from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.project_files import project_file
from sedi_dagster.records import Category, EvaluationItem, SeedTask, derived_rng, task_prompt
from sedi_dagster.reporting.file_problems import show_notes
from sedi_dagster.seed_pool.loading import OTHER_NAMES, SeedFile, read_seed_file
from sedi_dagster.settings import PROJECT_ROOT, Settings, load_settings

MIN_TASKS = 4
"""A category with fewer tasks cannot be split."""
FEW_ITEMS = 30
"""In a category with fewer items, weakness is hard to distinguish from chance."""
FILES = ("categories.yaml", "seed_tasks.jsonl", "evaluation_items.jsonl")
TARGET = (0.6, "untrained + 0.2")
_HEAD = """\
# Written by `sedi seeds split`. `definition` and `hint` are part of the prompts to the teacher: describe there what
# these tasks are and what a good one looks like. The documentation describes every field (docs/categories.md).
"""
_DEFINITION = "Tasks of the kind that the examples show."
_HINT = "Vary the subject, the wording, the length and the difficulty as the examples do, and keep their form."
_SHARED_HINT = "Keep the instruction as it is in the examples, and write a new input that differs from theirs."


@dataclass
class Split:
    """Seed tasks and items by category.

    Attributes:
        left_out: categories that could not be split, with the reason.
        near: number of tasks that stayed seed tasks because they are too close to others, by category.
        no_answers: number of tasks that stayed seed tasks because their output is a refusal or a placeholder.
    """

    seeds: dict[str, list[SeedTask]] = field(default_factory=dict)
    items: dict[str, list[EvaluationItem]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    near: Counter[str] = field(default_factory=Counter)
    no_answers: Counter[str] = field(default_factory=Counter)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: FILE.seeds]")
@click.option(
    "--items", type=click.IntRange(1), default=100, show_default=True, help="Maximum number of items per category."
)
@click.option("--single-category", metavar="NAME", help="Put all tasks into one category of this name.")
@column_options
def split(file: Path, out: Path | None, items: int, single_category: str | None, columns: Columns) -> None:
    """Split a file of your tasks into seed tasks and evaluation items, and write categories for them.

    Up to half of the tasks of each category become items, with their outputs as the correct answers. Items are never
    shown to the teacher. Categories are those named in FILE, otherwise those of the most similar bundled seeds, or a
    single one with --single-category.
    """
    settings = load_settings()
    console = Console(soft_wrap=True, highlight=False)
    folder = out or Path(f"{file.name}.seeds")
    if present := [name for name in FILES if (folder / name).exists()]:
        raise StorageError(f"{folder} already has {', '.join(present)}.", "Name another folder with --out.")
    with console.status("Reading and splitting"):
        bundled = load_categories(project_file("seeds/categories.yaml"))
        seed_file, names = _read(file, columns, settings, bundled, single_category)
        result = split_tasks(seed_file.checked().tasks, items, settings)
        if not result.items:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in result.left_out.items()) or "it has no tasks"
            raise InputFileError(
                f"No category of {file} can be split ({reasons}).",
                f"Each category needs {MIN_TASKS} different tasks. --single-category NAME puts all tasks into one.",
            )
        entries = [_entry(name, names, result, bundled) for name in result.items]
        _write(folder, entries, result)
    _show(console, folder, seed_file, result)


def _read(
    file: Path, columns: Columns, settings: Settings, bundled: Mapping[str, Category], single: str | None
) -> tuple[SeedFile, dict[str, str]]:
    """The tasks with category ids, and the file's name of each category by id."""
    if single is not None:  # ignore any category field of the file
        columns = replace(columns, category=NOT_READ)
    seed_file = read_seed_file(file, None, columns, settings.seed_categories)
    if single is None and not any(task.category for task in seed_file.tasks):
        return read_seed_file(file, bundled, columns, settings.seed_categories), {}
    names = list(dict.fromkeys(single or task.category for task in seed_file.tasks))
    ids: dict[str, str] = {}
    ids_by_spelling: dict[str, str] = {}
    for name in names:
        spelling = re.sub(r"[\s_-]+", " ", name.casefold())
        ids[name] = ids_by_spelling.setdefault(spelling, _category_id(name, ids_by_spelling.values()))
    tasks = [replace(task, category=ids[single or task.category]) for task in seed_file.tasks]
    return replace(seed_file, tasks=tasks), {ids[name]: name for name in reversed(names)}


def _category_id(name: str, taken: Any) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    plain = OTHER_NAMES.get(plain, plain)[:36]
    if not re.match(r"[a-z]", plain):  # a name in another script
        plain = f"category_{plain or len(taken) + 1}"
    number = 1
    while (numbered := plain if number == 1 else f"{plain}_{number}") in taken:
        number += 1
    return numbered


def split_tasks(tasks: Sequence[SeedTask], max_items: int, settings: Settings) -> Split:
    """Split the tasks of each category into seed tasks and items, at random by the project seed.

    Args:
        max_items: largest number of items per category; at most half of its tasks become items.

    Returns:
        The split. No item is too close to a seed task.
    """
    by_category: defaultdict[str, list[SeedTask]] = defaultdict(list)
    for task in tasks:
        by_category[task.category].append(task)
    result = Split()
    form = AnswerForm.of(settings.filtering)
    task_of: dict[str, SeedTask] = {}
    for category, of_category in by_category.items():
        answered = [
            task for task in of_category if not form.problem(task.output, task_prompt(task.instruction, task.input))
        ]
        if len(answered) < MIN_TASKS:
            result.left_out[category] = f"{len(answered)} tasks, {MIN_TASKS} are needed"
            continue
        if len(answered) < len(of_category):
            result.no_answers[category] = len(of_category) - len(answered)
        labels, outputs = labels_of(answered), [task.output for task in answered]
        of_category = [replace(task, is_classification=task.is_classification or bool(labels)) for task in of_category]
        can_be_items = {task.id for task in answered}
        drawn = sorted((task for task in of_category if task.id in can_be_items), key=lambda task: task.id)
        derived_rng(settings.project_seed, "held-out tasks", category).shuffle(drawn)
        target = min(max_items, len(of_category) // 2)
        items: list[EvaluationItem] = []
        for task in drawn:
            if len(items) >= target:
                break
            item = item_of(task, labels, outputs)
            if item is not None and item.id not in task_of:
                items.append(item)
                task_of[item.id] = task
        if len(items) < target and len({item.reference for item in items}) == 1 and len(set(outputs)) > 1:
            answer = items[0].reference
            result.left_out[category] = f"{len(of_category)} tasks, {answer!r} is the answer to all possible items"
            continue
        taken = {task_of[item.id].id for item in items}
        result.items[category] = items
        result.seeds[category] = [task for task in of_category if task.id not in taken]
    _return_near_items(result, task_of, settings)
    for category in [category for category, items in result.items.items() if not items]:
        count, near = len(result.seeds.pop(category)), result.near.pop(category, 0)
        reason = f"{near} too close to others" if near else "no output that differs clearly from the others"
        result.left_out[category] = f"{count} tasks, {reason}"
        del result.items[category]
    return result


def _return_near_items(result: Split, task_of: Mapping[str, SeedTask], settings: Settings) -> None:
    """Turn items that are too close to a seed task back into seed tasks, until there are none."""
    filtering = settings.filtering
    new = [task for of_category in result.seeds.values() for task in of_category]
    shared = SharedInstructions((task.instruction, task.input) for task in (*new, *task_of.values()))
    while new:
        items = [item for of_category in result.items.values() for item in of_category]
        decontaminator = Decontaminator(
            [(item.id, shared.without_instruction(item.prompt)) for item in items],
            filtering.decontamination_threshold,
            filtering.decontamination_ngram,
        )
        tasks = pl.DataFrame(
            [(task.instruction, task.input) for task in new],
            schema={"instruction": pl.String, "input": pl.String},
            orient="row",
        )
        tasks = shared.with_compared(tasks).with_row_index("row")
        texts = pl.concat([tasks.select("row", text=p) for p in (pl.col("instruction"), shared.reciting_input(tasks))])
        near = dict.fromkeys(decontaminator.near(texts)["neighbour_id"].sort())
        new = [task_of[item_id] for item_id in near]
        for task in new:
            result.seeds[task.category].append(task)
            result.near[task.category] += 1
        for category, of_category in result.items.items():
            result.items[category] = [item for item in of_category if item.id not in near]


def _entry(category: str, names: Mapping[str, str], result: Split, bundled: Mapping[str, Category]) -> dict[str, Any]:
    """The entry in `categories.yaml`: the bundled one if there is one, with the fields that depend on the tasks."""
    seeds, items = result.seeds[category], result.items[category]
    total = sum(map(len, result.seeds.values())) + sum(map(len, result.items.values()))
    longest = max(len(item.reference.encode()) for item in items)
    tokens = max(32, 16 * -(-(longest // 3 + 16) // 16))  # about four bytes per token in English, fewer elsewhere
    if category in bundled:
        entry = asdict(bundled[category])
        tokens = max(tokens, entry["max_answer_tokens"])
    else:
        instructions = {task.instruction for task in seeds}
        is_shared = len(instructions) * 4 <= len(seeds)
        name = names.get(category, category)
        entry = {
            "id": category,
            "name": name if name != category else name.replace("_", " ").capitalize(),
            "definition": _DEFINITION,
            "hint": _SHARED_HINT if is_shared else _HINT,
            "target": [*TARGET],
        }
    entry |= {
        "share": round((len(seeds) + len(items)) / total, 2),
        "max_answer_tokens": tokens,
        "verifiers": sorted({item.verifier for item in items}),
    }
    if all(item.verifier == "label" for item in items):
        entry["is_classification"] = True
    return {name: value for name, value in entry.items() if value is not None}


def _write(folder: Path, entries: Sequence[Mapping[str, Any]], result: Split) -> None:
    """Write `FILES`. Raises `StorageError` if the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        listed = yaml.safe_dump([*entries], sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
        (folder / FILES[0]).write_text(_HEAD + listed, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}.", "Name another folder with --out."
        ) from None
    write_jsonl(folder / FILES[1], (vars(task) for tasks in result.seeds.values() for task in tasks))
    write_jsonl(folder / FILES[2], (vars(item) for items in result.items.values() for item in items))


def _show(console: Console, folder: Path, seed_file: SeedFile, result: Split) -> None:
    table = Table()
    for name in ("Category", "Seed tasks", "Items", "Verifiers of the items"):
        table.add_column(name, justify="right" if name in ("Seed tasks", "Items") else "left")
    for category, items in result.items.items():
        verifiers = Counter(item.verifier for item in items).most_common()
        counts = ", ".join(f"{name} ({count})" for name, count in verifiers)
        table.add_row(category, str(len(result.seeds[category])), str(len(items)), counts)
    console.print(table)
    few = [category for category, items in result.items.items() if len(items) < FEW_ITEMS]
    notes = [*seed_file.notes]
    if result.left_out:
        left_out = "; ".join(f"{category} ({why})" for category, why in result.left_out.items())
        notes.append(
            f"left out with all their tasks: {left_out}. They need tasks that differ more, or items that you write"
        )
    if result.no_answers:
        counts = ", ".join(f"{category} ({count})" for category, count in result.no_answers.items())
        notes.append(f"outputs that are not answers (refusals, placeholders), and so no items: {counts}")
    if result.near:
        counts = ", ".join(f"{category} ({count})" for category, count in result.near.items())
        notes.append(f"kept as seed tasks because they are too close to other tasks to be items: {counts}")
    if few:
        notes.append(f"with fewer than {FEW_ITEMS} items, weakness is hard to tell from chance: {', '.join(few)}")
    if any(item.verifier == "token_f1" for items in result.items.values() for item in items):
        notes.append("free text is compared word by word (token_f1), which is strict: review some of these items")
    show_notes(console, notes)
    console.print(
        f"Written to {escape(str(folder))}. Describe each category in {FILES[0]}, then put these lines into .env and "
        "run `sedi seeds check`:"
    )
    for variable, name in zip(("SEDI_CATEGORIES", "SEDI_SEEDS", "SEDI_ITEMS"), FILES, strict=True):
        path = (folder / name).absolute()
        shown = path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path
        console.print(f"{variable}={escape(str(shown))}")
