"""The evaluation workload: the student answers items, a verifier scores each answer.

The job file (JSON) has:
    student: what `from_pretrained` takes       adapter: checkpoint folder, or null for the untrained student
    items: list of evaluation items with `key` and `max_answer_tokens`
    results: file that rows are appended to     batch_size
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedi_dagster.evaluation.decoding import answers_and_losses
from sedi_dagster.evaluation.results import append_results, judged
from sedi_dagster.student import load_student, load_tokenizer
from sedi_dagster.workload import Log, progress_log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def evaluate(job: Mapping[str, Any], log: Log) -> None:
    """Append a row an item: answer, score, kinds of error, loss of the reference answer."""
    report = progress_log(log, "evaluate")
    tokenizer = load_tokenizer(job["student"])
    model = load_student(job["student"], Path(job["adapter"]) if job["adapter"] else None)
    model.eval()
    items = job["items"]
    prompts = [
        _ids(
            tokenizer,
            tokenizer.apply_chat_template(
                [{"role": "user", "content": item["prompt"]}], tokenize=False, add_generation_prompt=True
            ),
        )
        for item in items
    ]
    end = tokenizer.eos_token_id
    # Neighbours in length and cap share a batch, so that little is padded and none waits for a longer answer.
    order = sorted(range(len(items)), key=lambda i: (items[i]["max_answer_tokens"], len(prompts[i])))
    done = passed = 0
    for start in range(0, len(order), job["batch_size"]):
        chosen = order[start : start + job["batch_size"]]
        batch = [items[i] for i in chosen]
        answers, losses = answers_and_losses(
            model,
            [prompts[i] for i in chosen],
            [[*_ids(tokenizer, item["reference"]), end] for item in batch],
            [item["max_answer_tokens"] for item in batch],
            end,
        )
        rows = []
        for item, ids, loss in zip(batch, answers, losses, strict=True):
            whole = ids[-1] == end
            said = ids[:-1] if whole else ids
            text = tokenizer.decode(said, skip_special_tokens=True).strip()
            rows.append(judged(item, text, len(said), not whole, loss))
        append_results(Path(job["results"]), rows)
        done, passed = done + len(rows), passed + sum(row["passed"] for row in rows)
        report(done, len(items), {"passed": passed})


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
