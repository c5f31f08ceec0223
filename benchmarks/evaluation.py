"""Items a second of the evaluation workload, beside a plain `generate` loop and lm-evaluation-harness.

    python benchmarks/evaluation.py                            # the bundled student, 72 items, five minutes
    python benchmarks/evaluation.py --harness PATH             # PATH: where `pip install --target PATH lm_eval` put it

All answer the same items greedily with the same weights and limits. This project also takes the loss of every
reference answer and verifies the answers; the others only generate. A plain loop asks one item after another.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["HF_HUB_OFFLINE"] = "1"

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.items import draw_items, load_evaluation_items
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.settings import load_settings
from sedi_dagster.student.loading import load_student, load_tokenizer, student_source

Item = dict[str, Any]
Answers = dict[str, str]


def this_project(source: str, items: Sequence[Item], batch_size: int) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        job = {"student": source, "adapter": None, "items": items, "results": str(results), "batch_size": batch_size}
        evaluate(job, lambda line: None)
        return {key: row["answer"] for key, row in read_results(results).items()}


def plain_loop(source: str, items: Sequence[Item], batch_size: int) -> Answers:
    import torch

    tokenizer, model = load_tokenizer(source), load_student(source, None)
    answers = {}
    for item in items:
        chat = [{"role": "user", "content": item["prompt"]}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            limit = item["max_answer_tokens"]
            found = model.generate(**ids, max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        text = tokenizer.decode(found[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        answers[item["key"]] = text.strip()
    return answers


def harness(source: str, items: Sequence[Item], batch_size: int) -> Answers:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=source, batch_size=batch_size, device="cpu", dtype="float32")
    prompts = [
        model.tokenizer.apply_chat_template(
            [{"role": "user", "content": item["prompt"]}], tokenize=False, add_generation_prompt=True
        )
        for item in items
    ]
    requests = [
        Instance(
            request_type="generate_until",
            doc={},
            arguments=(prompt, {"until": ["<|im_end|>"], "max_gen_toks": item["max_answer_tokens"]}),
            idx=i,
        )
        for i, (prompt, item) in enumerate(zip(prompts, items, strict=True))
    ]
    found = model.generate_until(requests, disable_tqdm=True)
    return {item["key"]: text.strip() for item, text in zip(items, found, strict=True)}


@click.command()
@click.option("--items", "per_category", default=6, show_default=True, help="Items of each category.")
@click.option("--batch-size", default=24, show_default=True)
@click.option("--harness", "harness_path", help="Folder with lm_eval; empty: it is left out.")
def main(per_category: int, batch_size: int, harness_path: str | None) -> None:
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    drawn = draw_items(load_evaluation_items(settings.path(settings.items), categories), per_category, 0)
    items = [
        {**vars(item), "key": item.id, "max_answer_tokens": categories[item.category].max_answer_tokens}
        for item in drawn
    ]
    source = student_source(settings.training.student, settings.path(settings.cache))
    ways: dict[str, Callable[[str, Sequence[Item], int], Answers]] = {"this project": this_project}
    if harness_path:
        logging.disable(logging.WARNING)
        sys.path.append(harness_path)
        ways["lm-evaluation-harness"] = harness
    ways["plain generate loop"] = plain_loop
    for name in ("torch", "transformers"):  # before the clock starts: the first way would pay for all
        importlib.import_module(name)
    seconds, answers = {}, {}
    for name, way in ways.items():
        started = time.perf_counter()
        answers[name] = way(source, items, batch_size)
        seconds[name] = time.perf_counter() - started
        same = sum(answers["this project"][key] == text for key, text in answers[name].items())
        fields = {
            "way": name,
            "items": len(items),
            "seconds": round(seconds[name], 1),
            "items_per_second": round(len(items) / seconds[name], 3),
            "this_project_is_times_faster": round(seconds[name] / seconds["this project"], 2),
            "answers_equal_to_this_projects": same,
        }
        print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
