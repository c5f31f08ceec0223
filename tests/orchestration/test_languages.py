"""The whole loop in twelve languages: asked for in the language of the seeds, kept, trained on and exported."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.testing import simulated_teacher as server

sys.path.insert(0, str(Path(__file__).parents[1] / "languages"))
from texts import TWELVE, Language

HELD_BACK = 2
"""Subjects of which the seeds know nothing: the teacher's tasks are about them."""


def category(language: Language) -> str:
    return f"tasks_{language.code}"


def write(prompt: str, rng: random.Random) -> str:
    """Tasks in the language that the prompt asks for, or the answer to a task in the language it is in."""
    asked = re.search(r"Write everything in (\w+)", prompt)
    wanted = re.search(r"Write (\d+) more tasks of this kind, numbered from (\d+)", prompt)
    if wanted is None:
        return next(of for of in TWELVE if any(way[:5] in prompt or way[-5:] in prompt for way in of.ways)).answer_to(
            prompt
        )
    language = next((language for language in TWELVE if asked and language.name == asked[1]), None)
    if language is None:
        return "Task 9: Explain why nobody told me in which language to write.\nInput: <noinput>"
    subjects = language.subjects[-HELD_BACK:]
    tasks = [rng.choice(language.ways).format(rng.choice(subjects)) for _ in range(int(wanted[1]))]
    return "\n".join(f"Task {int(wanted[2]) + n}: {task}\nInput: <noinput>\n" for n, task in enumerate(tasks))


@pytest.mark.slow
def test_a_round_in_twelve_languages_keeps_examples_of_each(
    project: Path, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "write", write)
    for name, value in {
        "SEDI_GENERATION_INSTANCES": "answer",
        "SEDI_GENERATION_MAX_INSTRUCTION_TOKENS": "2000",
        "SEDI_FILTERING_NOVELTY_THRESHOLD": "0.95",  # one subject in place of another is new enough here
        "SEDI_TRAINING_MAX_LENGTH": "1024",  # the English tokenizer needs many tokens for other scripts
    }.items():
        monkeypatch.setenv(name, value)
    categories = [
        {"id": category(of), "name": of.name, "definition": "Some tasks.", "hint": "Keep them short.", "share": 1 / 12,
         "target": 0.9, "max_answer_tokens": 200, "verifiers": ["match"]}
        for of in TWELVE
    ]  # fmt: skip
    (project / "categories.yaml").write_text(yaml.safe_dump(categories), encoding="utf-8")
    seeds, items = [], []
    for of in TWELVE:
        for subject in of.subjects[:-HELD_BACK]:
            for way in of.ways:
                task = way.format(subject)
                seeds.append({"instruction": task, "output": of.answer_to(task), "category": category(of)})
        for n in range(4):
            name = f"{of.code}-{n}"
            items.append(
                {"id": name, "category": category(of), "prompt": f"{of.subjects[n]} = ?", "verifier": "match",
                 "args": {"aliases": ["mauve"]}, "reference": "mauve", "cluster": name}
            )  # fmt: skip
    for name, rows in (("seeds", seeds), ("items", items)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (project / f"{name}.jsonl").write_text(text, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "sedi_dagster.cli", "run", "--rounds", "1"],
        capture_output=True, text=True, check=False, timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    kept = pl.read_parquet(project / "data" / "exports" / "sft_dataset.parquet")
    by_category = dict(kept.group_by("category").len().iter_rows())
    verdicts = pl.read_parquet(project / "data" / "assets" / "filtered_batches" / "round-0001" / "verdicts.parquet")
    message = verdicts.filter(pl.col("state") != "kept").select("category", "rule", "score", "instruction", "neighbour")
    assert set(by_category) == {category(of) for of in TWELVE}, message.rows()
    for of in TWELVE:
        for row in kept.filter(pl.col("category") == category(of)).iter_rows(named=True):
            assert any(subject in row["instruction"] for subject in of.subjects[-HELD_BACK:]), row
            assert row["output"].startswith(of.answer.strip()), row
