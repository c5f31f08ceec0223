"""Files as people have them: each shape is taken, or refused by one line that says what was seen and how to convert."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from sedi_dagster.datafiles import Problems
from sedi_dagster.datafiles.output_cleaning import clean_outputs
from sedi_dagster.datafiles.shapes import read_exchanges
from sedi_dagster.errors import InputFileError
from sedi_dagster.filtering.guarded_texts import read_guarded_texts
from sedi_dagster.seed_pool import SeedFile, read_seed_file
from sedi_dagster.texts.cleaning import RULES
from sedi_dagster.texts.words import tokens, word_count

TOOLS = ("saw", "file for nails", "jar", "brush")
ALPACA = [
    {"instruction": f"Explain in a sentence what a {tool} does.", "input": "", "output": f"A {tool} helps."}
    for tool in TOOLS
]
PAIRS = [(row["instruction"], row["output"]) for row in ALPACA]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ALPACA)


def jsonl(rows: list[Any]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def chat(role: str, content: str, user: str, assistant: str) -> list[list[dict[str, str]]]:
    return [[{role: user, content: q}, {role: assistant, content: a}] for q, a in PAIRS]


def parquet(rows: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


def arrow_stream(rows: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_ipc_stream(buffer)
    return buffer.getvalue()


def zstd(raw: bytes) -> bytes:
    return bytes(pa.compress(raw, "zstd", asbytes=True))


def flat_messages() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for n, (question, answer) in enumerate(PAIRS):
        rows.append({"message_id": f"q{n}", "parent_id": None, "text": question, "role": "prompter", "rank": None})
        rows.append({"message_id": f"b{n}", "parent_id": f"q{n}", "text": "Worse.", "role": "assistant", "rank": 1})
        rows.append({"message_id": f"a{n}", "parent_id": f"q{n}", "text": answer, "role": "assistant", "rank": 0})
    return rows


def trees() -> list[dict[str, Any]]:
    return [
        {"message_tree_id": str(n), "tree_state": "ready", "prompt": {"text": q, "role": "prompter", "replies": [
            {"text": "Worse.", "role": "assistant", "rank": 1, "replies": []},
            {"text": a, "role": "assistant", "rank": 0, "replies": []},
        ]}}
        for n, (q, a) in enumerate(PAIRS)
    ]  # fmt: skip


TAKEN: dict[str, tuple[str, str | bytes]] = {
    "alpaca": ("a.json", json.dumps(ALPACA)),
    "alpaca with null inputs": ("a.json", json.dumps([{**row, "input": None} for row in ALPACA])),
    "placeholders as inputs": ("a.jsonl", jsonl([{**row, "input": "<noinput>"} for row in ALPACA])),
    "a comma too many": ("a.json", json.dumps(ALPACA, indent=1)[:-2] + ",\n]"),
    "commas after lines": ("a.jsonl", LINES.replace("}\n", "},\n")),
    "lines in a .json": ("a.json", LINES),
    "objects on several lines": ("a.json", "\n".join(json.dumps(row, indent=2) for row in ALPACA)),
    "a list in an object": ("a.json", json.dumps({"version": 1, "data": ALPACA})),
    "rows of a hub's viewer": ("a.json", json.dumps({"rows": [{"row_idx": 0, "row": row} for row in ALPACA]})),
    "columns": ("a.json", json.dumps({name: [row[name] for row in ALPACA] for name in ALPACA[0]})),
    "columns of pandas": (
        "a.json",
        json.dumps({name: {str(n): row[name] for n, row in enumerate(ALPACA)} for name in ALPACA[0]}),
    ),
    "prompt and completion": ("a.jsonl", jsonl([{"prompt": q, "completion": a} for q, a in PAIRS])),
    "question and answer": ("a.jsonl", jsonl([{"question": q, "answer": a} for q, a in PAIRS])),
    "input and output": ("a.jsonl", jsonl([{"input": q, "output": a} for q, a in PAIRS])),
    "dolly": ("a.jsonl", jsonl([{"instruction": q, "context": "", "response": a} for q, a in PAIRS])),
    "distilabel": ("a.jsonl", jsonl([{"instruction": q, "generation": a, "model_name": "m"} for q, a in PAIRS])),
    "preferences": ("a.jsonl", jsonl([{"prompt": q, "chosen": a, "rejected": "No."} for q, a in PAIRS])),
    "preferences as messages": (
        "a.jsonl",
        jsonl(
            [
                {"prompt": [{"role": "user", "content": q}], "chosen": [{"role": "assistant", "content": a}]}
                for q, a in PAIRS
            ]
        ),
    ),
    "messages": ("a.jsonl", jsonl([{"messages": m} for m in chat("role", "content", "user", "assistant")])),
    "other roles": ("a.jsonl", jsonl([{"messages": m} for m in chat("role", "content", "User", "bot")])),
    "text parts": (
        "a.jsonl",
        jsonl(
            [
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "text", "text": q}]},
                        {"role": "assistant", "content": [{"type": "text", "value": a}]},
                    ]
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "sharegpt": ("a.json", json.dumps([{"conversations": c} for c in chat("from", "value", "human", "gpt")])),
    "turns as strings": ("a.jsonl", jsonl([{"conversation": [q, a, "Thanks."]} for q, a in PAIRS])),
    "messages in a cell": (
        "a.csv",
        pl.DataFrame({"messages": [json.dumps(m) for m in chat("role", "content", "user", "assistant")]}).write_csv(),
    ),
    "trees": ("a.jsonl", jsonl(trees())),
    "flat trees": ("a.jsonl", jsonl(flat_messages())),
    "self-instruct": (
        "a.jsonl",
        jsonl([{"instruction": q, "instances": [{"input": "", "output": a}]} for q, a in PAIRS]),
    ),
    "history": (
        "a.jsonl",
        jsonl([{"instruction": "And then?", "input": "", "output": "So.", "history": [[q, a]]} for q, a in PAIRS]),
    ),
    "csv": ("a.csv", pl.DataFrame(ALPACA).write_csv()),
    "csv of a spreadsheet": ("a.csv", "\ufeff" + pl.DataFrame(ALPACA).write_csv(separator=";").replace("\n", "\r\n")),
    "tsv": ("a.tsv", pl.DataFrame(ALPACA).write_csv(separator="\t")),
    "parquet": ("a.parquet", parquet(ALPACA)),
    "parquet of messages": (
        "a.parquet",
        parquet([{"messages": m} for m in chat("role", "content", "user", "assistant")]),
    ),
    "arrow": ("a.arrow", arrow_stream(ALPACA)),
    "gzip": ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
    "gzip without its suffix": ("a.jsonl", gzip.compress(LINES.encode(), mtime=0)),
    "bzip2": ("a.jsonl.bz2", bz2.compress(LINES.encode())),
    "xz": ("a.jsonl.xz", lzma.compress(LINES.encode())),
    "byte order mark and windows line ends": ("a.jsonl", ("\ufeff" + LINES.replace("\n", "\r\n")).encode()),
    "old macintosh line ends": ("a.jsonl", LINES.replace("\n", "\r")),
    "utf-16 with a mark": ("a.jsonl", LINES.encode("utf-16")),
    "utf-16 without one": ("a.jsonl", LINES.encode("utf-16-be")),
    "strings in turn": ("a.jsonl", jsonl([{"prompt_id": q, "data": [q, a]} for q, a in PAIRS])),
    "turns as objects": ("a.jsonl", jsonl([{"conversation": [{"human": q, "assistant": a}]} for q, a in PAIRS])),
    "parts without a type": (
        "a.jsonl",
        jsonl(
            [
                {"contents": [{"role": "user", "parts": [{"text": q}]}, {"role": "model", "parts": [{"text": a}]}]}
                for q, a in PAIRS
            ]
        ),
    ),
    "inputs and targets": ("a.jsonl", jsonl([{"inputs": q, "targets": a} for q, a in PAIRS])),
    "messages in two fields": ("a.jsonl", jsonl([{"message_1": q, "message_2": a} for q, a in PAIRS])),
    "other capitals": ("a.jsonl", jsonl([{"Instruction": q, " Output": a} for q, a in PAIRS])),
    "chatml": (
        "a.jsonl",
        jsonl([{"text": f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n"} for q, a in PAIRS]),
    ),
    "llama's template": ("a.jsonl", jsonl([{"text": f"<s>[INST] {q} [/INST] {a} </s>"} for q, a in PAIRS])),
    "alpaca's template": (
        "a.jsonl",
        jsonl([{"text": f"Below is a task.\n\n### Instruction:\n{q}\n\n### Response:\n{a}"} for q, a in PAIRS]),
    ),
    "guanaco": ("a.jsonl", jsonl([{"text": f"### Human: {q}### Assistant: {a}"} for q, a in PAIRS])),
    "hh": ("a.jsonl", jsonl([{"chosen": f"\n\nHuman: {q}\n\nAssistant: {a}", "rejected": "-"} for q, a in PAIRS])),
    "rows by id": ("a.json", json.dumps({f"r{n}": row for n, row in enumerate(ALPACA)})),
    "objects within": ("a.json", json.dumps({"train": {"data": ALPACA}})),
    "lists one behind the other": ("a.json", json.dumps(ALPACA[:2]) + "\n" + json.dumps(ALPACA[2:])),
    "objects one behind the other": ("a.json", "".join(json.dumps(row) for row in ALPACA)),
    "a disk that was full": ("a.jsonl", LINES + "\n\x00\x00"),
    "records marked": ("a.jsonl", "\n".join("\x1e" + line for line in LINES.split("\n"))),
    "csv with a line for a program": ("a.csv", "sep=;\n" + pl.DataFrame(ALPACA).write_csv(separator=";")),
    "csv with blank lines": ("a.csv", pl.DataFrame(ALPACA).write_csv().replace("\n", "\n\n")),
    "gzip twice": ("a.jsonl.gz", gzip.compress(gzip.compress(LINES.encode(), mtime=0), mtime=0)),
    "marks of byte order between lines": ("a.jsonl", "\n".join("\ufeff" + line for line in LINES.split("\n"))),
    "files with such marks, one behind the other": (
        "a.jsonl",
        "\ufeff" + jsonl(ALPACA[:2]) + "\n\ufeff" + jsonl(ALPACA[2:]),
    ),
    "a comma too many in an object": ("a.jsonl", "\n".join(line[:-1] + ",}" for line in LINES.split("\n"))),
    "objects in strings": ("a.jsonl", "\n".join(json.dumps(line) for line in LINES.split("\n"))),
    "lists of messages in a list": ("a.json", json.dumps(chat("role", "content", "user", "assistant"))),
    "lists of messages in lines": ("a.jsonl", jsonl(chat("from", "value", "human", "gpt"))),
    "a greeting first": (
        "a.json",
        json.dumps(
            [{"conversations": [{"from": "gpt", "value": "Hi!"}, *c]} for c in chat("from", "value", "human", "gpt")]
        ),
    ),
    "several system messages": (
        "a.jsonl",
        jsonl(
            [
                {"messages": [{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, *m]}
                for m in chat("role", "content", "user", "assistant")
            ]
        ),
    ),
    "angle brackets": ("a.jsonl", jsonl([{"text": f"<human>: {q}\n<bot>: {a}"} for q, a in PAIRS])),
    "a prompt with its marks": (
        "a.jsonl",
        jsonl(
            [{"prompt": f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n", "completion": a} for q, a in PAIRS]
        ),
    ),
    "a prompt with its labels": (
        "a.json",
        json.dumps([{"instruction": f"Human: {q}\n\nAssistant:", "input": "", "output": a} for q, a in PAIRS]),
    ),
    "fields within": ("a.json", json.dumps([{"fields": {"prompt": q, "response": a}} for q, a in PAIRS])),
    "inputs and outputs": ("a.jsonl", jsonl([{"inputs": {"question": q}, "outputs": {"answer": a}} for q, a in PAIRS])),
    "texts in objects": ("a.jsonl", jsonl([{"input": {"text": q}, "output": {"text": a}} for q, a in PAIRS])),
    "rows of a viewer": ("a.jsonl", jsonl([{"row": {"instruction": q, "output": a}, "row_idx": 1} for q, a in PAIRS])),
    "rows of a hub with its features": (
        "a.json",
        json.dumps(
            {
                "features": [{"name": "instruction"}],
                "rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(ALPACA)],
            }
        ),
    ),
    "names with colons": ("a.jsonl", jsonl([{"Question:": q, "Answer:": a} for q, a in PAIRS])),
    "names of two words": ("a.jsonl", jsonl([{"Input Text": q, "Output Text": a} for q, a in PAIRS])),
    "csv with separators at the ends": (
        "a.csv",
        "instruction,output,,\n" + "".join(f'"{q}","{a}",,\n' for q, a in PAIRS),
    ),
    "csv with a separator too many": ("a.csv", "instruction,output\n" + "".join(f'"{q}","{a}",\n' for q, a in PAIRS)),
    "csv in utf-16 with tabs": (
        "a.csv",
        ("\ufeff" + pl.DataFrame(ALPACA).write_csv(separator="\t")).encode("utf-16-le"),
    ),
    "a table of markdown": (
        "a.md",
        "| instruction | output |\n| --- | --- |\n" + "".join(f"| {q} | {a} |\n" for q, a in PAIRS),
    ),
    "a conversation in columns": (
        "a.parquet",
        parquet([{"conversations": {"from": ["human", "gpt"], "value": [q, a]}} for q, a in PAIRS]),
    ),
    "parquet of bytes": ("a.parquet", parquet([{"instruction": q.encode(), "output": a.encode()} for q, a in PAIRS])),
    "an object as author": (
        "a.jsonl",
        jsonl(
            [
                {
                    "messages": [
                        {"author": {"role": "user"}, "content": q},
                        {"author": {"role": "assistant"}, "content": a},
                    ]
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "the question once more in a prompt": (
        "a.jsonl",
        jsonl([{"instruction": q, "prompt": f"Below is a task. {q}", "output": a} for q, a in PAIRS]),
    ),
    "no input in words": ("a.jsonl", jsonl([{**row, "input": "No input required."} for row in ALPACA])),
    "no input in brackets": ("a.jsonl", jsonl([{**row, "input": "（无）"} for row in ALPACA])),
    "nan": ("a.jsonl", jsonl([{**row, "input": float("nan")} for row in ALPACA])),
    "flan, with the name of its task": (
        "a.jsonl",
        jsonl([{"task": "rte", "inputs": q, "targets": a} for q, a in PAIRS]),
    ),
    "separators of OpenAI's first format": (
        "a.jsonl",
        jsonl([{"prompt": f"{q}\n\n###\n\n", "completion": f" {a} END"} for q, a in PAIRS]),
    ),
    "pandas, split, its columns in another order": (
        "a.json",
        json.dumps({"columns": ["output", "instruction"], "index": [0, 1, 2, 3], "data": [[a, q] for q, a in PAIRS]}),
    ),
    "a preferred conversation without a prompt": (
        "a.jsonl",
        jsonl([{"chosen": c, "rejected": c[:1]} for c in chat("role", "content", "user", "assistant")]),
    ),
    "parts with a thought": (
        "a.jsonl",
        jsonl(
            [
                {
                    "messages": [
                        {"role": "user", "content": q},
                        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, {"text": a}]},
                    ]
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "one object a turn, with the system beside it": (
        "a.jsonl",
        jsonl([{"conversation": [{"system": "Be brief.", "input": q, "output": a}]} for q, a in PAIRS]),
    ),
    "preferences in ShareGPT's form": (
        "a.json",
        json.dumps(
            [
                {
                    "conversations": [{"from": "human", "value": q}],
                    "chosen": {"from": "gpt", "value": a},
                    "rejected": {"from": "gpt", "value": "No."},
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "ShareGPT as it was exported first": (
        "a.json",
        json.dumps([{"avatar": "", "items": c} for c in chat("from", "value", "human", "gpt")]),
    ),
    "an expected output": ("a.json", json.dumps([{"input": q, "expected_output": a} for q, a in PAIRS])),
    "an expected output of Langfuse": ("a.jsonl", jsonl([{"input": q, "expectedOutput": a} for q, a in PAIRS])),
    "a reference": ("a.jsonl", jsonl([{"user_input": q, "reference": a} for q, a in PAIRS])),
    "a ground truth": ("a.jsonl", jsonl([{"question": q, "ground_truth": a} for q, a in PAIRS])),
    "a request and a message": (
        "a.jsonl",
        jsonl(
            [
                {
                    "input": {"messages": [{"role": "user", "content": q}]},
                    "output": {"role": "assistant", "content": a},
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "ranked answers": (
        "a.jsonl",
        jsonl(
            [
                {"prompt": q, "answers": [{"answer": "Worse.", "rank": 2.0}, {"answer": a, "rank": 1.0}]}
                for q, a in PAIRS
            ]
        ),
    ),
    "gpt-oss's template": (
        "a.jsonl",
        jsonl(
            [
                {
                    "text": f"<|start|>user<|message|>{q}<|end|><|start|>assistant<|channel|>analysis<|message|>Hm.<|end|>"
                    f"<|start|>assistant<|channel|>final<|message|>{a}<|return|>"
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "Granite's template": (
        "a.jsonl",
        jsonl(
            [
                {
                    "text": f"<|start_of_role|>user<|end_of_role|>{q}<|end_of_text|>\n"
                    f"<|start_of_role|>assistant<|end_of_role|>{a}<|end_of_text|>"
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "Command R's template": (
        "a.jsonl",
        jsonl(
            [
                {
                    "text": f"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{q}<|END_OF_TURN_TOKEN|>"
                    f"<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{a}<|END_OF_TURN_TOKEN|>"
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "question and answer in a text": (
        "a.jsonl",
        jsonl([{"text": f"Q: {q}\nA: {a}"} for q, a in PAIRS]),
    ),
    "preferences with their marks": (
        "a.jsonl",
        jsonl(
            [
                {"prompt": f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n", "chosen": f"{a}<|im_end|>"}
                for q, a in PAIRS
            ]
        ),
    ),
    "turns": ("a.jsonl", jsonl([{"turns": m} for m in chat("role", "content", "user", "assistant")])),
    "request and response": ("a.jsonl", jsonl([{"request": q, "response": a} for q, a in PAIRS])),
    "names in Chinese": ("a.json", json.dumps([{"问题": q, "答案": a} for q, a in PAIRS])),
    "names that end in message": (
        "a.jsonl",
        jsonl([{"user_message": q, "assistant_message": a} for q, a in PAIRS]),
    ),
    "a type as the role": ("a.jsonl", jsonl([{"messages": m} for m in chat("type", "content", "human", "ai")])),
    "names that end in text": (
        "a.csv",
        "Question Text,Answer Text\n" + "".join(f'"{q}","{a}"\n' for q, a in PAIRS),
    ),
    "csv with blanks before quotes": (
        "a.csv",
        "instruction, output\n" + "".join(f'"{q}", "{a}"\n' for q, a in PAIRS),
    ),
    "DeepSeek's template": (
        "a.jsonl",
        jsonl(
            [{"text": f"<｜begin▁of▁sentence｜><｜User｜>{q}<｜Assistant｜>{a}<｜end▁of▁sentence｜>"} for q, a in PAIRS]
        ),
    ),
    "llama's template with a system message": (
        "a.jsonl",
        jsonl([{"text": f"<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n{q} [/INST] {a} </s>"} for q, a in PAIRS]),
    ),
    "questions and answers in a text": (
        "a.jsonl",
        jsonl([{"text": f"### Question:\n{q}\n\n### Answer:\n{a}"} for q, a in PAIRS]),
    ),
    "a category in a list": ("a.jsonl", jsonl([{**row, "category": ["open_qa"]} for row in ALPACA])),
    "json with comments": (
        "a.json",
        "// mine, of May\n[\n/* the first, a saw */\n"
        + ",\n".join(json.dumps(row) for row in ALPACA)
        + " // last\n]\n",
    ),
    "lines with comments": ("a.jsonl", "# mine, of May\n" + LINES),
    "csv with a comment": ("a.csv", "# mine, of May\n# two\n" + pl.DataFrame(ALPACA).write_csv()),
    "yaml": ("a.yaml", "# mine, of May\n" + "".join(f"- instruction: {q}\n  output: |\n    {a}\n" for q, a in PAIRS)),
    "yaml in an object": (
        "a.yml.gz",
        gzip.compress(("seed_examples:\n" + "".join(f"- question: {q}\n  answer: {a}\n" for q, a in PAIRS)).encode()),
    ),
    "documents of yaml": ("a.yml", "".join(f"---\ninstruction: {q}\noutput: {a}\n" for q, a in PAIRS)),
    "preferences of OpenAI": (
        "a.jsonl",
        jsonl(
            [
                {
                    "input": {"messages": [{"role": "user", "content": q}]},
                    "preferred_output": [{"role": "assistant", "content": a}],
                    "non_preferred_output": [{"role": "assistant", "content": "No."}],
                }
                for q, a in PAIRS
            ]
        ),
    ),
    "samples of OpenAI's evals": (
        "a.jsonl",
        jsonl(
            [
                {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": q}], "ideal": a}
                for q, a in PAIRS
            ]
        ),
    ),
    "messages and the answer beside them": (
        "a.jsonl",
        jsonl([{"messages": [{"role": "user", "content": q}], "response": a} for q, a in PAIRS]),
    ),
    "a solution and the final answer": (
        "a.jsonl",
        jsonl([{"problem": q, "solution": a, "answer": "7"} for q, a in PAIRS]),
    ),
    "no solution beside the answer": (
        "a.jsonl",
        jsonl([{"problem": q, "solution": "", "answer": a} for q, a in PAIRS]),
    ),
    "a generated solution": (
        "a.jsonl",
        jsonl([{"problem": q, "generated_solution": a, "expected_answer": "7"} for q, a in PAIRS]),
    ),
    "tables one behind the other": (
        "a.csv",
        pl.DataFrame(ALPACA[:2]).write_csv() + pl.DataFrame(ALPACA[2:]).write_csv(),
    ),
    "messages as Python writes them": (
        "a.jsonl",
        jsonl([{"messages": str(c)} for c in chat("role", "content", "user", "assistant")]),
    ),
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, str | bytes], SeedFile]:
    def write_and_read(name: str, content: str | bytes) -> SeedFile:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_seed_file(path, {"open_qa"})

    return write_and_read


Read = Callable[[str, str | bytes], SeedFile]


@pytest.mark.parametrize("case", TAKEN)
def test_a_shape_in_use_is_taken(read: Read, case: str) -> None:
    found = read(*TAKEN[case]).checked()
    assert [(task.instruction, task.input, task.output) for task in found.tasks] == [(q, "", a) for q, a in PAIRS]


@pytest.mark.parametrize(
    ("encoding", "word"),
    [("cp1252", "Käse"), ("cp1251", "Объясните"), ("gb18030", "请用三句话"), ("cp932", "敬語に書き換えて")],
)
def test_an_old_encoding_is_taken_and_told_with_a_word_of_it(read: Read, encoding: str, word: str) -> None:
    rows = jsonl([{"instruction": f"{word} {n}", "output": f"Yes, {n}."} for n in range(4)])
    found = read("a.jsonl", rows.encode(encoding)).checked()
    assert found.tasks[0].instruction == f"{word} 0"
    assert any(f"is read as {encoding}" in note and word in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.feather", b"FEA1\x00\x00\x00\x00", "is Feather in its first version"),
        ("a.jsonl", b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> b\n", "has an unresolved merge conflict"),
        ("a.zip", b"PK\x03\x04rest", "is a ZIP archive or an Excel workbook"),
        ("a.pkl", b"\x80\x04rest", "is a pickle, which is never loaded"),
        ("a.json", b"<!DOCTYPE html><html></html>", "is a web page"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
        ("a.jsonl", b'{"title": "A", "body": "B"}\n', "has an unknown format (fields: title, body)"),
        ("a.csv", b"title,body\nA,B\n", "has an unknown format (fields: title, body)"),
        ("a.json", json.dumps({"train": ALPACA, "test": ALPACA}).encode(), "holds several lists: train, test"),
        ("a.txt", b"- instruction: A\n  output: B\n", "is YAML or a list of plain text"),
        ("a.yaml", b"- instruction: A\n\toutput: B\n", "a.yaml, line 2, is not YAML that can be read"),
        ("a.yaml", b"- &row {instruction: A, output: B}\n- *row\n", "it has aliases"),
        ("README.md", b"---\nlicense: mit\n---\n", "is YAML"),
        ("a.json", b'[["A", "B"], ["C", "D"]]', "is a list of lists"),
        ("a.txt", b"Explain a saw.\nExplain a jar.\n", "is neither JSON nor a table: it begins with 'Explain a saw."),
        ("a.jsonl", b"{'instruction': 'A'}\n{'instruction': 'B'}\n", "is neither JSON nor a table"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "is a binary file (HDF5)"),
        ("a.7z", b"7z\xbc\xaf'\x1c\x00\x04", "is a binary file (7-Zip)"),
        ("a.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":1}", "is a binary file (safetensors)"),
        ("a.avro", b"Obj\x01rest", "is an Avro file"),
        ("a.tar", b"a.jsonl".ljust(257, b"\x00") + b"ustar", "is a tar archive"),
        ("a.jsonl", b'{"instruction": "A"}\n{"instruction": "B"}\n', "has an unknown format"),
        ("a.jsonl.gz", gzip.compress(b"x" * 1000, mtime=0)[:-9], "compressed (gzip) and damaged"),
        ("a.parquet", parquet(ALPACA)[:-9], "is Parquet that cannot be read"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_one_line_that_names_it(
    read: Read, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(InputFileError) as raised:
        read(name, content)
    assert message in raised.value.problem and "\n" not in raised.value.problem and raised.value.fix


@pytest.mark.parametrize(
    ("name", "message"),
    [("https://hub.example/a.jsonl", "is an address"), ("s3://bucket/a", "is an address"), (".", "is a folder")],
)
def test_what_is_no_file_is_called_what_it_is(name: str, message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        read_seed_file(Path(name), {"open_qa"})


def test_labels_within_a_conversation_are_its_text(read: Read) -> None:
    text = "Human: Choose one.\nA: a gull\nQ: a tern\n\nAssistant: A gull."
    found = read("a.jsonl", jsonl([{"text": text}])).checked()
    assert [t.instruction for t in found.tasks] == ["Choose one.\nA: a gull\nQ: a tern"]


def test_a_comma_before_a_quote_in_a_cell_is_text(read: Read) -> None:
    found = read("a.csv", 'instruction,output\n"Say it, ""saw"", twice.","A ""saw"", a ""saw""."\n').checked()
    assert [(t.instruction, t.output) for t in found.tasks] == [('Say it, "saw", twice.', 'A "saw", a "saw".')]


def test_quotes_with_backslashes_are_quotes(read: Read) -> None:
    found = read(
        "a.csv", 'instruction,output\n"Explain what \\"saw\\" means here.","It is a \\"tool\\"; it cuts."\n'
    ).checked()
    assert (found.tasks[0].instruction, found.tasks[0].output) == (
        'Explain what "saw" means here.',
        'It is a "tool"; it cuts.',
    )
    assert any("backslash" in note for note in found.notes)


def test_a_line_break_inside_a_text_of_json_is_one(read: Read) -> None:
    found = read("a.jsonl", "\n".join(f'{{"instruction": "{q}", "output": "one\n\ttwo"}}' for q, _ in PAIRS)).checked()
    assert [task.output for task in found.tasks] == ["one\n\ttwo"] * 4


def test_what_is_left_out_of_a_row_is_told_with_its_count(read: Read) -> None:
    twice = '{"instruction": "First of the two?", "instruction": "Second of the two?", "output": "Yes."}'
    found = read("a.jsonl", twice).checked()
    assert found.tasks[0].instruction == "Second of the two?"
    assert "1 rows have a field twice: the last value is used" in found.notes
    cut = {"row_idx": 0, "row": ALPACA[0], "truncated_cells": ["output"]}
    found = read("a.json", json.dumps({"features": [], "rows": [cut, {"row_idx": 1, "row": ALPACA[1]}]}))
    assert "was cut short by the viewer" in str(found.problems.found[0]) and len(found.tasks) == 1
    found = read("a.csv", ',instruction,output\n0,"Explain what a saw does.","It cuts."\n')
    assert "1 rows have values in a column without a name, which are ignored" in found.notes
    lonely = {"message_id": "z", "parent_id": None, "text": "And nobody answered?", "role": "prompter", "rank": None}
    further = {"message_id": "y", "parent_id": "a0", "text": "Thanks.", "role": "prompter", "rank": None}
    found = read("a.jsonl", jsonl([*flat_messages(), lonely, further])).checked()
    assert "1 rows are prompts without a reply, which are ignored" in found.notes
    assert any(note.startswith("1 rows are later turns") for note in found.notes)


def test_a_question_beside_the_instruction_is_its_input(read: Read) -> None:
    rows = [{"instruction": "Answer in one short sentence.", "question": q, "response": a} for q, a in PAIRS]
    found = read("a.jsonl", jsonl(rows)).checked()
    assert (found.tasks[0].instruction, found.tasks[0].input) == ("Answer in one short sentence.", PAIRS[0][0])
    rows = [{"instruction": q, "task": "open qa", "question": "short", "response": a} for q, a in PAIRS]
    assert not read("a.jsonl", jsonl(rows)).checked().tasks[0].input


def test_a_definition_is_the_instruction_of_its_inputs(read: Read) -> None:
    rows = [{"definition": "Name the colour in the text.", "inputs": "A red boat.", "targets": "red"}]
    (task,) = read("a.jsonl", jsonl(rows)).checked().tasks
    assert (task.instruction, task.input, task.output) == ("Name the colour in the text.", "A red boat.", "red")


def test_values_of_yaml_are_text(read: Read) -> None:
    answers = ("yes", "no", "007", "3.10", "12:30")
    rows = "".join(f"- instruction: How does saw {n} cut?\n  output: {a}\n" for n, a in enumerate(answers))
    assert [task.output for task in read("a.yaml", rows).checked().tasks] == list(answers)


def test_whether_a_task_is_classification_may_be_told_as_text(read: Read) -> None:
    texts = ("True", "false", "1", "")
    rows = "".join(f"Is saw {n} a tool?,Yes.,{text}\n" for n, text in enumerate(texts))
    found = read("a.csv", f"instruction,output,is_classification\n{rows}").checked()
    assert [task.is_classification for task in found.tasks] == [True, False, True, False]


def test_a_line_of_names_within_a_table_is_left_out_and_told(read: Read) -> None:
    assert (
        "1 rows repeat the names of the columns: they are left out" in read(*TAKEN["tables one behind the other"]).notes
    )


def test_a_file_in_two_encodings_is_an_error_with_its_line(read: Read) -> None:
    rows = [jsonl([{"instruction": f"Käse {n} eins zwei", "output": "gut"}]) for n in range(4)]
    mixed = b"\n".join([rows[0].encode(), rows[1].encode("latin-1"), rows[2].encode(), rows[3].encode("latin-1")])
    found = read("a.jsonl", mixed)
    assert not found.tasks and "line 2: is not UTF-8" in str(found.problems.found[0])


def test_a_value_without_a_name_is_a_problem(read: Read) -> None:
    found = read("a.csv", 'instruction,output\n"Explain what a saw does.","It cuts.","And this?"\n')
    assert "row 1: has more values than there are names: 'And this?'" in str(found.problems.found[0])


def test_an_input_that_may_be_one_stays(read: Read) -> None:
    rows = [
        {"instruction": "Translate this word into French.", "input": word, "output": "Oui."} for word in ("no", "0")
    ]
    assert [task.input for task in read("a.jsonl", jsonl(rows)).checked().tasks] == ["no", "0"]


def test_outputs_of_models_are_cleaned_where_they_become_candidates(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    outputs = ["<think>\nhm\n</think>\n\nA gull.", "A gull.<|im_end|>", "A gull.", "<think>\nhm", "`<think>` is a tag."]
    path.write_text(
        jsonl([{"instruction": q, "output": o} for (q, _), o in zip([*PAIRS, ("Name it.", "")], outputs, strict=True)])
    )
    problems = Problems(path)
    found = list(clean_outputs(read_exchanges(path, problems), frozenset(RULES), problems))
    assert [exchange.output for exchange in found] == ["A gull.", "A gull.", "A gull.", "`<think>` is a tag."]
    assert [str(problem) for problem in problems.found] == [
        "line 4, field 'output': is reasoning that does not end; expected an answer"
    ]
    assert {note.partition(",")[0] for note in problems.note_lines()} == {
        "1 outputs contained reasoning",
        "1 outputs contained turn marks",
    }
    kept = list(clean_outputs(read_exchanges(path, Problems(path)), frozenset(), Problems(path)))
    assert [exchange.output for exchange in kept] == outputs


def test_fields_that_are_not_read_are_told_once_with_their_rows(read: Read) -> None:
    found = read("a.jsonl", jsonl([{**row, "system": "Be brief.", "score": n} for n, row in enumerate(ALPACA)]))
    assert "4 rows have fields that are ignored: system (4), score (4)" in found.notes


def test_fields_of_a_message_and_of_an_instance_that_are_not_read_are_told(read: Read) -> None:
    rows: list[Any] = [
        {"messages": [{"role": "user", "content": q, "name": "Ann"}, {"role": "assistant", "content": o, **more}]}
        for (q, o), more in zip(
            PAIRS, ({"reasoning_content": "hm"}, {"prefix": True}, {"tool_calls": []}), strict=False
        )
    ]
    rows.append({"instruction": PAIRS[3][0], "instances": [{"input": "", "output": "Yes.", "constraints": "short"}]})
    told = next(note for note in read("a.jsonl", jsonl(rows)).checked().notes if "are ignored" in note)
    for field in ("messages: name (3)", "messages: reasoning_content (1)", "messages: prefix (1)"):
        assert field in told
    assert "instances: constraints (1)" in told and "tool_calls" not in told


def test_an_answer_marked_as_bad_is_left_out_and_an_image_is_no_seed(read: Read) -> None:
    rows = [{**ALPACA[0], "label": False}, {**ALPACA[1], "label": True}, {**ALPACA[2], "images": ["a.png"]}]
    found = read("a.jsonl", jsonl(rows))
    assert [task.instruction for task in found.tasks] == [ALPACA[1]["instruction"]]
    assert any("marks a bad answer" in note for note in found.notes)
    assert "line 3, field 'images': is present" in str(found.problems.found[0])


def test_an_answer_that_is_not_to_be_learnt_is_left_out(read: Read) -> None:
    question = {"role": "user", "content": "Name a bird of the north."}
    marks: list[dict[str, Any]] = [
        {"weight": 0}, {"train": False}, {"weight": 1},
        {"weight": "0"}, {"weight": 0.0}, {"training": "False"}, {"loss": False}, {"mask": True}, {"mask": 0},
    ]  # fmt: skip
    rows: list[Any] = [{"messages": [question, {"role": "assistant", "content": f"{m}"} | m]} for m in marks]
    bad = [{**ALPACA[0], "label": "False"}, {**ALPACA[1], "kto_tag": False}, {**ALPACA[2], "weight": 0}]
    found = read("a.jsonl", jsonl([*rows, *bad]))
    assert [task.output for task in found.tasks] == ["{'weight': 1}", "{'mask': 0}"] and not found.problems.found
    assert sorted(found.problems.notes.values())[-4:] == [1, 1, 1, 7]


def test_a_first_name_may_begin_like_a_comment(read: Read) -> None:
    found = read("a.csv", '#,instruction,output\n0,"Name, in a line, a saw.","A saw."\n').checked()
    assert [t.instruction for t in found.tasks] == ["Name, in a line, a saw."]


def test_quotes_at_the_beginning_of_a_cell_between_tabs_may_be_text(read: Read) -> None:
    found = read("a.tsv", 'instruction\toutput\n"Saw" means what in one line?\tIt "cuts".\n').checked()
    assert [(t.instruction, t.output) for t in found.tasks] == [('"Saw" means what in one line?', 'It "cuts".')]
    with pytest.raises(InputFileError, match="not a table"):
        read("a.tsv", 'instruction\toutput\n"Saw" means what?\tIt cuts.\n"two\nlines"\tIt cuts.\n')
    table = pl.DataFrame([{"": 0, "instruction": 'Say "saw" now.', "output": "A\nsaw"}]).write_csv(separator="\t")
    found = read("a.tsv", table).checked()
    assert [(t.instruction, t.output) for t in found.tasks] == [('Say "saw" now.', "A\nsaw")]


def test_two_files_of_xz_behind_one_another_are_read_whole_and_half_a_file_is_an_error(read: Read) -> None:
    first, second = (lzma.compress(jsonl(rows).encode() + b"\n") for rows in (ALPACA[:1], ALPACA[1:]))
    assert len(read("a.jsonl.xz", first + second).checked().tasks) == len(ALPACA)
    with pytest.raises(InputFileError, match="damaged"):
        read("a.jsonl.xz", second[:-20])


def test_bytes_in_a_table_are_text_where_they_are_and_else_a_problem(read: Read) -> None:
    rows = [{**ALPACA[0], "output": b"A saw cuts."}, {**ALPACA[1], "output": b"\xff\xd8\xff"}]
    found = read("a.parquet", parquet([{**row, "picture": b"\xff\xd8"} for row in rows]))
    assert [task.output for task in found.tasks] == ["A saw cuts."]
    assert "row 2, field 'output': is b'\\xff" in str(found.problems.found[0])


@pytest.mark.parametrize("name", ["faq", "flashcards", "pairs", "chats", "内容"])
@pytest.mark.parametrize(
    "row",
    [
        {"q": "Name a bird.", "a": "Heron"},
        {"Question": "Name a bird.", "Answer": "Heron"},
        {"messages": [{"role": "user", "content": "Name a bird."}, {"role": "assistant", "content": "Heron"}]},
    ],
)
def test_an_object_may_hold_its_rows_under_any_name(read: Read, name: str, row: dict[str, Any]) -> None:
    found = read("a.json", json.dumps({"title": "Birds", name: [row]})).checked()
    assert [(task.instruction, task.output) for task in found.tasks] == [("Name a bird.", "Heron")]


def test_two_fields_that_are_called_alike_do_not_replace_one_another(read: Read) -> None:
    found = read("a.jsonl", jsonl([{"Question": "Name a bird.", "Question Text": "Q2", "answer": "Heron"}])).checked()
    assert found.tasks[0].instruction == "Name a bird." and "Question Text" in str(found.notes)


def test_a_cell_that_begins_with_a_quotation_behind_a_blank_is_text(read: Read) -> None:
    found = read("a.csv", 'instruction;output\nSay something.; "Hello" is what I say.\n').checked()
    assert found.tasks[0].output.strip() == '"Hello" is what I say.'


def test_questions_and_answers_in_a_text_keep_their_choices(read: Read) -> None:
    text = "Question: Which barks?\nA: a cat\nB: a dog\nAnswer: B"
    found = read("a.jsonl", json.dumps({"text": text})).checked()
    assert [(t.instruction, t.output) for t in found.tasks] == [("Which barks?\nA: a cat\nB: a dog", "B")]


def test_a_text_that_is_not_questions_and_answers_from_its_start_is_none(read: Read) -> None:
    with pytest.raises(InputFileError, match="unknown format"):
        read("a.jsonl", json.dumps({"text": "The cat sat on the mat.\nQ: Who sat?\nA: The cat"}))


def test_a_name_that_is_known_stands_before_one_that_is_like_it(read: Read) -> None:
    row = {"question_text": "No.", "query": "Name a bird.", "answer_text": "No.", "completion": "A tern."}
    found = read("a.jsonl", jsonl([row])).checked()
    assert [(t.instruction, t.output) for t in found.tasks] == [("Name a bird.", "A tern.")]
    found = read("a.jsonl", jsonl([{"question": "Which?", "context_text": "Terns.", "answer": "A tern."}])).checked()
    assert found.tasks[0].input == "Terns."


@pytest.mark.parametrize("marks", ["Q: 2 + 2?\nA: 4\nQ: 3 + 3?\nA:", "Human: 2 + 2?\n\nAssistant: 4\n\nHuman: 3 + 3?"])
def test_examples_in_an_input_that_has_an_answer_of_its_own_stay_in_it(read: Read, marks: str) -> None:
    for row in ({"input": marks, "target": "6"}, {"question": "Go on.", "input": marks, "answer": "6"}):
        found = read("a.jsonl", json.dumps(row)).checked()
        assert [t.output for t in found.tasks] == ["6"] and marks in (found.tasks[0].instruction, found.tasks[0].input)


def test_one_conversation_in_a_file_is_a_row(read: Read) -> None:
    turns = [{"role": "user", "parts": [{"text": "Name a bird."}]}, {"role": "model", "parts": [{"text": "A tern."}]}]
    assert [t.output for t in read("a.jsonl", json.dumps({"contents": turns})).checked().tasks] == ["A tern."]


def test_the_definition_of_a_task_is_the_instruction_of_its_instances(read: Read) -> None:
    task = {"Definition": ["Name the colour in the text."], "Instances": [{"input": "A red boat.", "output": ["red"]}]}
    found = read("a.json", json.dumps(task)).checked()
    assert [(t.instruction, t.input, t.output) for t in found.tasks] == [
        ("Name the colour in the text.", "A red boat.", "red")
    ]


@pytest.mark.parametrize("missing", ["nan", float("nan"), "<NA>"])
def test_a_missing_output_is_no_answer_however_pandas_writes_it(read: Read, missing: Any) -> None:
    found = read("a.jsonl", jsonl([{**ALPACA[0], "output": missing}, {**ALPACA[1], "output": "NaN"}]))
    assert [str(problem) for problem in found.problems.found] == ["line 1, field 'output': is missing; expected text"]


def test_elements_of_a_list_on_one_line_are_counted(read: Read) -> None:
    found = read("a.json", json.dumps([ALPACA[0], {**ALPACA[1], "output": None}, ALPACA[2]]))
    assert [str(problem) for problem in found.problems.found] == [
        "element 2, field 'output': is missing; expected text"
    ]


def test_categories_in_any_case_and_by_their_usual_names_are_known(read: Read) -> None:
    names = ("Open_QA", "open qa", "Open-QA", "general_qa")
    found = read(
        "a.jsonl", jsonl([{**row, "category": name} for row, name in zip(ALPACA, names, strict=True)])
    ).checked()
    assert {task.category for task in found.tasks} == {"open_qa"}
    assert "1 rows are of category 'general_qa', which is read as open_qa" in found.notes


BENCHMARKS: dict[str, tuple[Any, list[str]]] = {
    "gsm8k": ({"question": "How many whole pots are left?", "answer": "9"}, ["How many whole pots are left?"]),
    "mmlu": (
        {"question": "Which one floats?", "choices": ["cork", "lead"], "answer": 0, "subject": "physics"},
        ["Which one floats?", "Which one floats?\ncork\nlead"],
    ),
    "choices by letter": (
        {"Question": "Which one floats?", "A": "cork", "B": "lead", "Answer": "A"},
        ["Which one floats?", "Which one floats?\ncork\nlead"],
    ),
    "arc": (
        {"id": "1", "question": {"stem": "Which floats?", "choices": [{"text": "cork", "label": "A"}]}, "key": "A"},
        ["Which floats?", "Which floats?\ncork"],
    ),
    "hellaswag": (
        {"ctx": "A man sits on a roof. He", "endings": ["falls asleep", "sings"], "label": 0},
        ["A man sits on a roof. He", "A man sits on a roof. He\nfalls asleep\nsings"],
    ),
    "squad": (
        {"context": "The bridge was built by Ana Roe.", "question": "Who built the bridge?", "answers": {"t": ["Ana"]}},
        ["Who built the bridge?", "The bridge was built by Ana Roe."],
    ),
    "mt-bench": (
        {"question_id": 81, "category": "writing", "turns": ["Describe a harbour.", "Put it in rhyme."]},
        ["Describe a harbour.", "Put it in rhyme."],
    ),
    "humaneval": (
        {"task_id": "0", "prompt": "def double(x):", "canonical_solution": "return 2 * x", "test": "assert double(2)"},
        ["def double(x):"],
    ),
    "piqa": (
        {"goal": "Open a jar", "sol1": "twist it", "sol2": "bake it"},
        ["Open a jar", "Open a jar\ntwist it\nbake it"],
    ),
    "messages": (
        {"messages": [{"role": "user", "content": "Which is the largest?"}, {"role": "assistant", "content": "Me"}]},
        ["Which is the largest?"],
    ),
    "alpaca with a null input": (
        {"instruction": "Which is the largest?", "input": None, "output": "Jupiter"},
        ["Which is the largest?"],
    ),
    "copa": (
        {"premise": "The man broke his toe on a stone.", "choice1": "He limped.", "choice2": "He ran.", "question": "cause"},
        ["The man broke his toe on a stone.", "The man broke his toe on a stone.\nHe limped.\nHe ran."],
    ),
    "an instruction with an input": (
        {"instruction": "Answer the question below.", "input": "Which planet is the largest of all?"},
        ["Answer the question below.\n\nWhich planet is the largest of all?", "Which planet is the largest of all?"],
    ),
    "race": (
        {"article": "A boy went to the river.", "questions": ["What did the boy find?", "Who came to help?"]},
        ["What did the boy find?", "Who came to help?", "A boy went to the river."],
    ),
    "belebele": (
        {"flores_passage": "Make sure your hand is relaxed.", "question": "Which is no tip for playing?"},
        ["Which is no tip for playing?", "Make sure your hand is relaxed."],
    ),
    "svamp": (
        {"Body": "There are 87 pears in a box.", "Question": "How many more are there?", "Answer": 1},
        ["How many more are there?", "There are 87 pears in a box."],
    ),
    "pubmedqa": (
        {"QUESTION": "Do these plants lose leaves?", "CONTEXTS": ["Cell death is regulated here."], "LONG_ANSWER": "Y"},
        ["Do these plants lose leaves?", "Cell death is regulated here."],
    ),
    "bfcl": (
        {
            "id": "simple_0",
            "question": [[{"role": "user", "content": "Find the area of a triangle."}]],
            "function": [{"name": "area", "description": "Calculate the area of a triangle."}],
        },
        ["Find the area of a triangle.", "Calculate the area of a triangle."],
    ),
    "headqa": (
        {"qid": "1", "qtext": "Los potenciales son de este tipo:", "ra": 3, "answers": [{"aid": 1, "atext": "Son de tipo nada"}]},
        ["Los potenciales son de este tipo:"],
    ),
    "ragas": (
        {
            "scenario": "What does the contract say?",
            "retrieved_contexts": ["The rent is due on the first."],
            "reference": "Due on the first day.",
        },
        ["The rent is due on the first.", "What does the contract say?"],
    ),
    "cruxeval": (
        {"code": "def f(a, b, c): return c + a", "input": "'x y', 'z w', 'q r'", "output": "'q rx y and more of it'"},
        ["'x y', 'z w', 'q r'", "def f(a, b, c): return c + a"],
    ),
    "codemmlu": (
        {"question": "What does it return at the end?", "problem_description": "A list of whole numbers is given."},
        ["What does it return at the end?", "A list of whole numbers is given."],
    ),
    "mbpp": (
        {"text": "Write a function that adds two.", "code": "def add(a): return a + 2 or so", "test_list": ["assert add(1) == 3"]},
        ["Write a function that adds two."],
    ),
    "coqa": (
        {"source": "wiki", "story": "The old house was sold.", "questions": [{"input_text": "What was sold in the end?"}]},
        ["What was sold in the end?", "The old house was sold."],
    ),
    "musr": (
        {"narrative": "In the old room a man lay on the floor.", "question": "Who is the murderer?", "answer_index": 0},
        ["Who is the murderer?", "In the old room a man lay on the floor."],
    ),
    "sciq": (
        {"question": "What is used in preparing cheese?", "support": "Mesophiles grow best in moderate temperature."},
        ["What is used in preparing cheese?", "Mesophiles grow best in moderate temperature."],
    ),
    "names of its own": (
        {"uid": "7", "scenario": "Ben drops a glass on a stone floor.", "gold_label": "it breaks into pieces at once"},
        ["Ben drops a glass on a stone floor."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_the_texts_of_a_benchmark_are_guarded(tmp_path: Path, name: str, suffix: str) -> None:
    row, expected = BENCHMARKS[name]
    path = tmp_path / f"bench.{suffix}"
    content = {"jsonl": jsonl([row]).encode(), "json": json.dumps([row]).encode(), "parquet": parquet([row])}[suffix]
    path.write_bytes(content)
    assert read_guarded_texts(path) == [(f"bench.{suffix}:1", text) for text in expected]


def test_questions_that_lie_deeper_are_guarded(tmp_path: Path) -> None:
    questions = [{"question": "Who built the old bridge?", "id": "1", "answers": [{"text": "Ana Roe of the north"}]}]
    context = "The bridge was built by Ana Roe in 1902."
    article = {"title": "The new town of Bran", "paragraphs": [{"context": context, "qas": questions}]}
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"version": "1.1", "data": [article, {**article, "title": "The old town of Bran"}]}))
    found = {text for _, text in read_guarded_texts(path)}
    assert {context, "Who built the old bridge?", "The old town of Bran"} <= found
    assert "Ana Roe of the north" not in found


def test_a_passage_with_its_questions_in_an_object_is_guarded(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    passage = {
        "passage": "The team won in the last quarter.",
        "qa_pairs": [{"question": "How many points were scored?"}],
    }
    path.write_text(json.dumps({"nfl_1": passage}))
    assert {text for _, text in read_guarded_texts(path)} == {
        "The team won in the last quarter.",
        "How many points were scored?",
    }


def test_a_first_row_without_blanks_is_guarded_too(tmp_path: Path) -> None:
    path = tmp_path / "bench.csv"
    path.write_text(
        "次の文章の主題として適切なものはどれですか。,海,山,A\n植物が取り込む気体はどれですか。,酸素,炭酸,B\n"
    )
    assert len(read_guarded_texts(path)) == 2


def test_the_first_row_of_a_table_without_names_is_guarded_too(tmp_path: Path) -> None:
    path = tmp_path / "bench.csv"
    path.write_text("Which one floats on water?,cork,lead,A\nWhich planet is the largest?,this,that,B\n")
    assert {text for _, text in read_guarded_texts(path)} == {
        "Which one floats on water?",
        "Which planet is the largest?",
    }


SPELLINGS = {
    "vowels of Arabic": ("اِشْرَحْ لِمَاذَا السَّمَاءُ زَرْقَاءُ", "اشرح لماذا السماء زرقاء"),
    "lengthened Arabic": ("اشــرح لمــاذا السمــاء زرقــاء", "اشرح لماذا السماء زرقاء"),
    "forms of alef": ("أشرح لماذا السماء زرقاء فى النهار", "اشرح لماذا السماء زرقاء في النهار"),
    "points of Hebrew": ("הַסְבִּירוּ מַדּוּעַ הַשָּׁמַיִם כְּחֻלִּים", "הסבירו מדוע השמים כחלים"),
    "capitals of Turkish": ("İstanbul hakkında yaz", "istanbul hakkında yaz"),
    "capitals of German": ("ERKLÄRE DIE STRASSE", "erkläre die straße"),
    "marks of direction": ("\u200fהסבירו מדוע\u200f השמים כחולים", "הסבירו מדוע השמים כחולים"),
    "joiners of Persian": ("می\u200cخواهم بدانم چرا", "میخواهم بدانم چرا"),
    "full width": ("Ｅｘｐｌａｉｎ　ｔｈｅ　ｓｋｙ", "Explain the sky"),
    "jamo": ("\u1112\u1161\u1102\u1173\u11af\u110b\u1175 파란 이유", "하늘이 파란 이유"),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_spellings_of_one_text_are_compared_as_one(case: str) -> None:
    assert tokens(SPELLINGS[case][0]) == tokens(SPELLINGS[case][1])


def test_what_tells_words_apart_stays() -> None:
    assert tokens("कमल") != tokens("कोमल") and tokens("น้ำ") != tokens("นำ") and tokens("dê") != tokens("de")
    assert word_count("ནམ་མཁའ་སྔོན་པོ་ཡིན་པ") > 3


def test_a_file_from_which_nothing_was_taken_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(jsonl([{"id": n, "answer": "A"} for n in range(3)]))
    with pytest.raises(InputFileError, match="has no text"):
        read_guarded_texts(path)


def test_the_template_that_all_rows_have_is_no_item(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text(jsonl([{"prompt": f"Question {n}?", "context": "Answer in one word, please."} for n in range(6)]))
    assert [text for _, text in read_guarded_texts(path)] == [f"Question {n}?" for n in range(6)]


def test_a_form_feed_does_not_end_a_line_of_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "held_out.txt"
    path.write_text("First page.\x0cStill the first text.\nSecond text.\n")
    assert read_guarded_texts(path) == [
        ("held_out.txt:1", "First page.\nStill the first text."),
        ("held_out.txt:2", "Second text."),
    ]
