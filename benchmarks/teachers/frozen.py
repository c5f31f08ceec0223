"""The hash of all that a ground is: what its teacher answers to some hundred requests, and the files.

    python -m benchmarks.teachers.frozen

The requests are made here and not by the product's prompts, which may change while the teacher may not.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator

from benchmarks.teachers.author import Author
from benchmarks.teachers.ground import GROUNDS, Ground, load_ground
from benchmarks.teachers.grounds import Row, ground_files, items, perfect_examples, seed_tasks
from sedi_dagster.records import task_prompt

PERFECT = 24
_WISHES = (
    "",
    "Answer briefly.",
    "Work step by step.",
    "Answer in a full sentence.",
    "Give three answers in different styles.",
)


def fingerprint(ground: Ground) -> str:
    """SHA-256 of the ground's behaviour."""
    author, digest = Author(ground), hashlib.sha256()
    for number, prompt in enumerate(requests(ground)):
        digest.update(json.dumps([prompt, author.write(prompt, number)]).encode())
    for name, text in sorted(ground_files(ground, PERFECT).items()):
        digest.update(json.dumps([name, text]).encode())
    return digest.hexdigest()


def requests(ground: Ground) -> Iterator[str]:
    """Requests of every kind that the teacher knows."""
    rng = random.Random(f"frozen {ground.name}")
    seeds = seed_tasks(ground)
    for entry in ground.categories:
        own = [row for row in seeds if row["category"] == entry["id"]]
        for _ in range(4):
            shown = rng.sample(own, 3)
            head = f"All tasks are of one kind: {entry['name']}. {entry['definition']}\n\n"
            wish = "\n\nWrite 4 more tasks, numbered from 4."
            yield head + _series(shown, with_input=True) + wish
            yield head + _series(shown, with_input=False) + wish
            yield f"{head}The tasks are hard.\n\n{_series(shown, with_input=True)}{wish}"
            yield head + _series(shown, with_input=True) + "\n\nTask 4:"
            yield head + _series(shown, with_input=True, with_output=True) + "\n\nTask 4:"
            yield head + "\n".join(json.dumps(row) for row in shown) + "\n\nWrite 4 more of this kind."
            yield f"{head}{json.dumps(shown[0])}\n\nWrite 3 more examples with short answers."
    for place, row in enumerate([*seeds, *perfect_examples(ground, 6), _no_task(ground)]):
        instruction, text_input = row["instruction"], row["input"]
        yield f"{task_prompt(instruction, text_input)}\n\n{_WISHES[place % len(_WISHES)]}".strip()
        yield f"Task: One.\nExample 1\nInput: <noinput>\nOutput: 1\n\nTask: {instruction}\nExample 1\nInput:"
        yield f"Task: One.\nClass label: a\nInput: b\n\nTask: {instruction}\nClass label:"
        yield f"Task: One.\nClassification: no\n\nTask: {instruction}\nClassification:"
        yield f"Task: {instruction}\nInput: {text_input or '<noinput>'}\nChanged:"
        yield f"First: {instruction}\nSecond: {instruction} Again.\nAre they the same?\nVerdict:"


def _no_task(ground: Ground) -> Row:
    return {"instruction": items(ground)[0][0]["prompt"], "input": ""}


def _series(rows: list[Row], with_input: bool, with_output: bool = False) -> str:
    told = []
    for number, row in enumerate(rows, 1):
        lines = [f"Task {number}: {row['instruction']}"]
        lines += [f"Input: {row['input'] or '<noinput>'}"] if with_input else []
        lines += [f"Output: {row['output']}"] if with_output else []
        told.append("\n".join(lines))
    return "\n\n".join(told)


if __name__ == "__main__":
    for name in GROUNDS:
        print(name, fingerprint(load_ground(name)))
