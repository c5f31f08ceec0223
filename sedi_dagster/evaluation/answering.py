"""The evaluation workload: the student answers items, a verifier scores each answer.

The job file (JSON) has:
    student: what `from_pretrained` takes       adapter: checkpoint folder, or null for the untrained student
    items: list of evaluation items with `key` and `max_answer_tokens`
    results: file that rows are appended to     batch_size
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedi_dagster.evaluation.results import append_results, judged
from sedi_dagster.losses import answer_losses
from sedi_dagster.student import load_student, load_tokenizer
from sedi_dagster.workload import Log, progress_log

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def evaluate(job: Mapping[str, Any], log: Log) -> None:
    """Append a row an item: answer, score, kinds of error, loss of the reference answer."""
    report = progress_log(log, "evaluate")
    tokenizer = load_tokenizer(job["student"])
    model = load_student(job["student"], Path(job["adapter"]) if job["adapter"] else None)
    model.eval()
    items = job["items"]
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": item["prompt"]}], tokenize=False, add_generation_prompt=True
        )
        for item in items
    ]
    # Neighbours in length and cap share a batch, so that little is padded and none waits for a longer answer.
    order = sorted(range(len(items)), key=lambda i: (items[i]["max_answer_tokens"], len(prompts[i])))
    done = passed = 0
    for start in range(0, len(order), job["batch_size"]):
        chosen = order[start : start + job["batch_size"]]
        batch = [items[i] for i in chosen]
        texts = [prompts[i] for i in chosen]
        answers = _answers(model, tokenizer, texts, [item["max_answer_tokens"] for item in batch])
        losses = _reference_losses(model, tokenizer, texts, [item["reference"] for item in batch])
        rows = [
            judged(item, answer, tokens, truncated, loss)
            for item, (answer, tokens, truncated), loss in zip(batch, answers, losses, strict=True)
        ]
        append_results(Path(job["results"]), rows)
        done, passed = done + len(rows), passed + sum(row["passed"] for row in rows)
        report(done, len(items), {"passed": passed})


def _answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], limits: Sequence[int]
) -> list[tuple[str, int, bool]]:
    """Greedy answers: (text, tokens, cut off by its own limit, whatever the others in the batch may use)."""
    import torch

    encoded = tokenizer(
        list(prompts), return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
    ).to(model.device)
    with torch.inference_mode():
        generated = model.generate(
            **encoded,
            max_new_tokens=max(limits),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    found = []
    for row, limit in zip(generated[:, encoded["input_ids"].shape[1] :].tolist(), limits, strict=True):
        answer = row[:limit]
        ended = tokenizer.eos_token_id in answer
        tokens = answer.index(tokenizer.eos_token_id) if ended else len(answer)
        found.append((tokenizer.decode(answer[:tokens], skip_special_tokens=True).strip(), tokens, not ended))
    return found


def _reference_losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    references: Sequence[str],
) -> list[float]:
    """Mean negative log-likelihood per token of each reference answer (end of turn included), in nats."""
    prompt_ids = [tokenizer(p, add_special_tokens=False)["input_ids"] for p in prompts]
    answer_ids = [[*tokenizer(r, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for r in references]
    return answer_losses(model, prompt_ids, answer_ids)
