"""Teacher B, RECORDED: the API over a stream of real instruction data, drawn from and never made up.

    python -m benchmarks.teachers.recorded FOLDER --seed 0 --port 0 [--state FILE]

FOLDER is what `recorded_ground.py` wrote. Each request for tasks gets the next rows of its category, none twice until
the stream ends; then it begins anew. Run one server a loop: two loops with the same `--seed` then get the same rows in
the same order, whatever else differs between them. Answers are the recorded ones, so a request for a style changes
nothing, and a task to evolve becomes another of its category.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from benchmarks.teachers.asking import Asked, read_prompt
from benchmarks.teachers.serving import serve
from benchmarks.teachers.tokens import Tokens

UNKNOWN = "This task is not in the recorded stream."


class Recorded(NamedTuple):
    """A row of the stream; white space in instruction and input is single blanks."""

    instruction: str
    input: str
    output: str
    category: str
    is_classification: bool


class RecordedTeacher:
    """Answers prompts from a stream.

    Args:
        rows: the stream; each category is put into an order of its own by `seed`.
        categories: entries of the product's categories file.
        state: file that keeps which rows each request got, so that a server started anew goes on where it was.
    """

    def __init__(
        self,
        rows: Sequence[Recorded],
        categories: Sequence[Mapping[str, Any]],
        seed: int = 0,
        state: Path | None = None,
    ) -> None:
        self._categories, self._state = categories, state
        self._streams: defaultdict[str, list[Recorded]] = defaultdict(list)
        self._by_instruction: defaultdict[str, list[Recorded]] = defaultdict(list)
        for row in rows:
            self._streams[row.category].append(row)
            self._by_instruction[row.instruction].append(row)
        for category, stream in self._streams.items():
            random.Random(f"recorded {seed} {category}").shuffle(stream)
        self._next: defaultdict[str, int] = defaultdict(int)
        self._drawn: dict[str, int] = {}
        if state is not None and state.exists():
            for line in state.read_text(encoding="utf-8").splitlines():
                told = json.loads(line)
                self._drawn[told["request"]] = told["first"]
                self._next[told["category"]] = max(self._next[told["category"]], told["first"] + told["rows"])

    def write(self, prompt: str, seed: object = None, schema: Mapping[str, Any] | None = None) -> str:
        """The text for a prompt; the same for the same prompt and seed."""
        asked = read_prompt(prompt, self._categories, schema)
        match asked.kind:
            case "series":
                return self._series(asked, self._draw(asked, asked.wanted, seed))
            case "evolve":
                row = self._draw(asked, 1, seed)[0]
                head = " " if asked.continues else "Task 2: "
                return f"{head}{row.instruction}\nInput: {row.input or '<noinput>'}\n"
            case "gain":
                return "same" if asked.instruction.split() == asked.after.split() else "different"
            case "classify":
                return "yes" if any(row.is_classification for row in self._of(asked.instruction)) else "no"
            case "labelled":
                told = "\n\n".join(f"Class label: {r.output}\nInput: {r.input}" for r in self._of(asked.instruction))
                return (told or UNKNOWN).removeprefix("Class label:" if asked.continues else "")
            case "instances":
                told = "\n\n".join(
                    f"Example {number}\nInput: {row.input or '<noinput>'}\nOutput: {row.output}"
                    for number, row in enumerate(self._of(asked.instruction), 1)
                )
                return (told or UNKNOWN).removeprefix("Example 1\nInput:" if asked.continues else "")
        return self._answer(asked.instruction)

    def _draw(self, asked: Asked, count: int, seed: object) -> list[Recorded]:
        """The next rows of the category, or of the largest one if none is named."""
        category = asked.category or max(self._streams, key=lambda name: len(self._streams[name]))
        stream = self._streams[category]
        if not stream:
            raise ValueError(f"the recorded stream has no row of category {category!r}")
        request = hashlib.blake2b(f"{seed}\n{asked.prompt}".encode(), digest_size=8).hexdigest()
        if request not in self._drawn:
            self._drawn[request] = self._next[category]
            self._next[category] += count
            if self._state is not None:
                told = {"request": request, "category": category, "first": self._drawn[request], "rows": count}
                with self._state.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(told) + "\n")
        first = self._drawn[request]
        return [stream[(first + place) % len(stream)] for place in range(count)]

    def _series(self, asked: Asked, rows: Sequence[Recorded]) -> str:
        if asked.as_json:
            told = [{"instruction": r.instruction, "input": r.input, "output": r.output} for r in rows]
            return json.dumps({"examples": told}, ensure_ascii=False)
        answered = any(shown.output is not None for shown in asked.demonstrations)
        parts = []
        for number, row in enumerate(rows, asked.number):
            lines = [f"Task {number}: {row.instruction}"]
            lines += [f"Input: {row.input or '<noinput>'}"] if asked.shows_inputs else []
            lines += [f"Output: {row.output}"] if answered else []
            parts.append("\n".join(lines))
        text = ("\n\n" if asked.shows_inputs else "\n").join(parts)
        return text.removeprefix(f"Task {asked.number}:") if asked.continues else text

    def _of(self, instruction: str) -> list[Recorded]:
        return self._by_instruction.get(" ".join(instruction.split()), [])

    def _answer(self, prompt: str) -> str:
        """The recorded answer to a task: an instruction, alone or with its input after an empty line."""
        told = " ".join(prompt.split())
        instruction = " ".join(prompt.partition("\n\n")[0].split())
        for row in [*self._of(instruction), *self._of(told)]:
            if told == f"{row.instruction} {row.input}".strip():
                return row.output
        return UNKNOWN


def read_stream(file: Path) -> list[Recorded]:
    rows = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return [
        Recorded(
            " ".join(row["instruction"].split()),
            " ".join(row["input"].split()),
            row["output"].strip(),
            row["category"],
            bool(row.get("is_classification")),
        )
        for row in rows
    ]


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--seed", default=0, show_default=True, help="Of the stream's order.")
@click.option("--port", default=0, help="Port on loopback; 0: any free one.")
@click.option("--state", type=click.Path(path_type=Path), help="Keeps what was drawn, for a server started anew.")
@click.option("--tokenizer", type=click.Path(path_type=Path, exists=True), help="The student's tokenizer.json.")
def main(folder: Path, seed: int, port: int, state: Path | None, tokenizer: Path | None) -> None:
    categories = yaml.safe_load((folder / "categories.yaml").read_text(encoding="utf-8"))
    teacher = RecordedTeacher(read_stream(folder / "stream.jsonl"), categories, seed, state)
    serve(teacher.write, Tokens(tokenizer), port, teacher="RECORDED", folder=str(folder))


if __name__ == "__main__":
    main()
