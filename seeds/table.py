"""Rewrites the table in `README.md` from the files of this folder.

    python seeds/table.py                            after a change of seeds or items (half a minute)
    python seeds/table.py --student items.parquet    also take in the untrained student's results

`items.parquet` is what the evaluation workload writes for all items; passes by category are kept in
`untrained_student.json`, with a digest of the items they were measured on: once those change, the table says
so rather than show an old score.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import polars as pl

from sedi_dagster.evaluation.statistics import wilson_interval
from sedi_dagster.evaluation.verifiers import verify

SEEDS = Path(__file__).resolve().parent
START, END = "<!-- table: python seeds/table.py -->", "<!-- end of the table -->"
REFUSAL = "I'm sorry, but I can't help with that."
CONSTANTS = (
    "",
    "yes",
    "no",
    "A",
    "B",
    "C",
    "D",
    "0",
    "1",
    "2",
    "10",
    "true",
    "false",
    "None",
    "not stated",
    "[]",
    "{}",
    REFUSAL,
)
"""Answers that do not look at the question; every reference answer of a category is tried as one too."""

Row = dict[str, Any]


def rows_of(name: str) -> list[Row]:
    """The rows of one of the folder's JSON-lines files."""
    return [json.loads(line) for line in (SEEDS / name).read_text(encoding="utf-8").splitlines()]


def by_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by category, in the order of their first appearance."""
    names = dict.fromkeys(row["category"] for row in rows)
    return {name: [row for row in rows if row["category"] == name] for name in names}


def passes(item: Row, answer: str) -> bool:
    """Whether the item's verifier lets the answer pass."""
    return verify(item["verifier"], item["args"], answer, item["prompt"]).passed


def wrong_answers(item: Row, others: Sequence[Row]) -> Iterator[str]:
    """Answers that must fail: nothing, an echo, a refusal, "yes", and what is right for other items."""
    yield from ("", item["prompt"], REFUSAL, "yes")
    yield from (other["reference"] for other in others if other["reference"] != item["reference"])


def content_cells(seeds: Sequence[Row], items: Sequence[Row]) -> list[str]:
    """What can be read off the files of one category."""
    with_input = sum(bool(seed["input"]) for seed in seeds)
    templates = sum(item["origin"] != "written" for item in items)
    verifiers = Counter(name for item in items for name in _verifiers(item))
    return [
        str(len(seeds)),
        f"{with_input / len(seeds):.0%}",
        f"{mean(_words(seed['instruction'], seed['input']) for seed in seeds):.0f}",
        str(len(items)),
        f"{templates / len(items):.0%}",
        f"{mean(_words(item['prompt']) for item in items):.0f}",
        ", ".join(sorted(verifiers, key=lambda name: (-verifiers[name], name))),
    ]


def _words(*texts: str) -> int:
    return sum(len(text.split()) for text in texts)


def _verifiers(item: Row) -> set[str]:
    parts = item["args"]["of"] if item["verifier"] == "all" else [item]
    return {part["verifier"] for part in parts}


def verifier_cells(items: Sequence[Row]) -> list[str]:
    """How the verifiers of one category stand up to wrong answers and to constant ones."""
    passing: Counter[str] = Counter()
    failed = tried = 0
    for item in items:
        verdicts = {answer: passes(item, answer) for answer in {*CONSTANTS, *(i["reference"] for i in items)}}
        passing.update(answer for answer, passed in verdicts.items() if passed)
        for answer in wrong_answers(item, items):
            tried += 1
            failed += not (verdicts[answer] if answer in verdicts else passes(item, answer))
    return [f"{failed / tried:.2%}", f"{passing.most_common(1)[0][1] / len(items):.0%}"]


def student_cell(items: Sequence[Row], measured: Row | None) -> str:
    """The student's pass rate with its 95 % interval, if it was measured on just these items."""
    if measured is None:
        return "not measured"
    if measured["digest"] != digest(items):
        return "items changed since"
    low, high = wilson_interval(measured["passed"], len(items))
    return f"{measured['passed'] / len(items):.0%} ({low:.0%} to {high:.0%})"


def digest(items: Sequence[Row]) -> str:
    """Identity of the questions and their verifiers."""
    asked = [[item[name] for name in ("id", "prompt", "verifier", "args")] for item in items]
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()


def take_in_student(results: Path, items: dict[str, list[Row]]) -> None:
    """Keep the passes by category of an evaluation of all items."""
    passed = dict(pl.read_parquet(results).select("item_id", "passed").iter_rows())
    if missing := [item["id"] for of_one in items.values() for item in of_one if item["id"] not in passed]:
        raise SystemExit(f"{results} lacks {len(missing)} items, such as {missing[0]}; evaluate all of them.")
    kept = {
        name: {"digest": digest(of_one), "passed": sum(passed[item["id"]] for item in of_one)}
        for name, of_one in items.items()
    }
    (SEEDS / "untrained_student.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


HEADINGS = (
    "Category", "Seeds", "With input", "Words a seed", "Items", "From templates", "Words a prompt",
    "Verifiers", "Wrong answers that fail", "Best constant answer", "Untrained student",
)  # fmt: skip


def table() -> str:
    """The whole table in Markdown."""
    seeds, items = by_category(rows_of("seed_tasks.jsonl")), by_category(rows_of("evaluation_items.jsonl"))
    scores = SEEDS / "untrained_student.json"
    measured = json.loads(scores.read_text(encoding="utf-8")) if scores.exists() else {}
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for name, of_seeds in seeds.items():
        cells = content_cells(of_seeds, items[name]) + verifier_cells(items[name])
        lines.append([name, *cells, student_cell(items[name], measured.get(name))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    options = argparse.ArgumentParser(description="Rewrite the table in seeds/README.md.")
    options.add_argument("--student", type=Path, help="items.parquet of the untrained student, for all items")
    results = options.parse_args().student
    if results:
        take_in_student(results, by_category(rows_of("evaluation_items.jsonl")))
    readme = SEEDS / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(START)
    readme.write_text(f"{before}{START}\n{table()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
