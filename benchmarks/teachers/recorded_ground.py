"""The files of teacher B, made of two files of the user's: a stream of instruction data, and human-written tasks.

    python -m benchmarks.teachers.recorded_ground ALPACA.json HUMAN.jsonl FOLDER

`stream.jsonl` is what the recorded teacher writes. `seed_tasks.jsonl`, `decision_items.jsonl` and
`measurement_items.jsonl` are disjoint parts of the human tasks, `categories.yaml` the product's categories that all of
these have, with short answers. An item is judged by its words (token F1), but what counts is the loss of its human
answer, which every evaluation measures (`reference_loss`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from sedi_dagster.categories import load_categories
from sedi_dagster.datafiles import Problems
from sedi_dagster.datafiles.shapes import read_exchanges
from sedi_dagster.errors import InputFileError
from sedi_dagster.records import SeedTask, derived_rng, task_prompt
from sedi_dagster.seed_pool.loading import read_seed_file, with_known_names
from sedi_dagster.settings import PROJECT_ROOT

CATEGORIES = PROJECT_ROOT / "seeds" / "categories.yaml"
SEED_SHARE, DECISION_SHARE = 0.4, 0.2
"""Of the human tasks of a category; the others measure."""
LEAST, LEAST_STREAMED = 4, 15
"""Human tasks (two seeds, an item that decides, one that measures) and rows of the stream that a category must have."""
MOST_WORDS = 120
MOST_ANSWER_TOKENS = 32
"""Of the student in an evaluation: the loss of the human answer needs none, and answering takes most of its time."""
SPLIT_SEED = "recorded ground"
Row = dict[str, Any]


def write_recorded_ground(alpaca_file: Path, human_file: Path, folder: Path, most_words: int = MOST_WORDS) -> None:
    """Write the files of the recorded ground. The same for the same two files.

    Args:
        alpaca_file: instruction, input, output, in JSON or JSON lines; categories are assigned if it has none.
        human_file: tasks written by people, in any form that the product takes for seeds.
        most_words: rows of the stream with longer tasks or answers are left out, so that a CPU can train on them.

    Raises:
        InputFileError: a file cannot be used; it names every bad line.
    """
    entries = {entry["id"]: entry for entry in yaml.safe_load(CATEGORIES.read_text(encoding="utf-8"))}
    stream = [task for task in _tasks(alpaca_file) if _words(task) <= most_words]
    human = _tasks(human_file)
    by_category = _by_category(human)
    streamed = Counter(task.category for task in stream)
    used = [name for name in entries if len(by_category[name]) >= LEAST and streamed[name] >= LEAST_STREAMED]
    if not used:
        raise InputFileError(
            f"No category has {LEAST} tasks in {human_file} and {LEAST_STREAMED} rows of at most {most_words} words in "
            f"{alpaca_file}.",
            "Take larger files, or a higher --most-words.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    categories = [entries[name] | {"max_answer_tokens": MOST_ANSWER_TOKENS} for name in used]
    (folder / "categories.yaml").write_text(yaml.safe_dump(categories, sort_keys=False))
    parts = {name: split(by_category[name]) for name in used}
    _write(folder / "stream.jsonl", (_row(task) for task in stream if task.category in used))
    _write(folder / "seed_tasks.jsonl", (_row(task) for name in used for task in parts[name][0]))
    for place, kind in ((1, "decision"), (2, "measurement")):
        items = (_item(task, kind, number) for name in used for number, task in enumerate(parts[name][place], 1))
        _write(folder / f"{kind}_items.jsonl", items)


def _tasks(file: Path) -> list[SeedTask]:
    """The tasks of a file. If it names categories, it need not have every one of the product's."""
    known = load_categories(CATEGORIES).keys()
    rows = with_known_names([*read_exchanges(file, Problems(file))], known, Problems(file))
    named = {row.category for row in rows} & known
    return read_seed_file(file, named or known).checked().tasks


def split(tasks: Sequence[SeedTask]) -> tuple[list[SeedTask], list[SeedTask], list[SeedTask]]:
    """(seeds, tasks that decide, tasks that measure) of one category; at least one of each, for `LEAST` or more."""
    mixed = sorted(tasks, key=lambda task: task.id)
    derived_rng(SPLIT_SEED, mixed[0].category).shuffle(mixed)
    decision = max(1, round(len(mixed) * DECISION_SHARE))
    seeds = min(max(1, round(len(mixed) * SEED_SHARE)), len(mixed) - decision - 1)
    return mixed[:seeds], mixed[seeds : seeds + decision], mixed[seeds + decision :]


def _item(task: SeedTask, kind: str, number: int) -> Row:
    name = f"human-{task.category}-{kind}-{number:03}"
    return {
        "id": name,
        "category": task.category,
        "prompt": task_prompt(task.instruction, task.input),
        "verifier": "token_f1",
        "args": {"references": [task.output]},
        "reference": task.output,
        "difficulty": "medium",
        "cluster": name,
        "origin": "human",
    }


def _row(task: SeedTask) -> Row:
    return {
        "instruction": task.instruction,
        "input": task.input,
        "output": task.output,
        "category": task.category,
        "is_classification": task.is_classification,
    }


def _by_category(tasks: Sequence[SeedTask]) -> defaultdict[str, list[SeedTask]]:
    found: defaultdict[str, list[SeedTask]] = defaultdict(list)
    for task in tasks:
        found[task.category].append(task)
    return found


def _words(task: SeedTask) -> int:
    return max(len(f"{task.instruction} {task.input}".split()), len(task.output.split()))


def _write(file: Path, rows: Iterable[Row]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@click.command(help=__doc__)
@click.argument("alpaca", type=click.Path(path_type=Path, exists=True))
@click.argument("human", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--most-words", default=MOST_WORDS, show_default=True, help="Of a task, and of an answer.")
def main(alpaca: Path, human: Path, folder: Path, most_words: int) -> None:
    write_recorded_ground(alpaca, human, folder, most_words)
    for name in ("stream", "seed_tasks", "decision_items", "measurement_items"):
        click.echo(f"{name}: {len((folder / f'{name}.jsonl').read_text(encoding='utf-8').splitlines()):,}")


if __name__ == "__main__":
    main()
