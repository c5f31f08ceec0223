"""The evaluation workload: the student answers the items, and verifiers score the answers.

The job file is a JSON object:
    student: name or folder, as for `from_pretrained`
    adapter: checkpoint folder, or null for the untrained student
    items: list of evaluation items with `key` and `max_answer_tokens`
    results: file to which rows are appended
    batch_size: number of items per batch, or null: chosen by device
    setting: name of the setting that names the student, for error messages (optional)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sedi_dagster.errors import WorkloadError
from sedi_dagster.evaluation.decoding import Decoder, Ids
from sedi_dagster.evaluation.results import END_OF_THOUGHT, append_results, result_row
from sedi_dagster.student.chat import answer_ids, end_tokens, question_text, token_ids
from sedi_dagster.student.config import known_positions
from sedi_dagster.student.loading import check_vocabulary, device_note, load_student, load_tokenizer
from sedi_dagster.student.memory import free_memory, is_out_of_memory
from sedi_dagster.student.reading import NOT_PADDED
from sedi_dagster.workloads.process import Log, progress_log

BATCH_SIZES = {"cpu": 24, "cuda": 256}


def evaluate(job: Mapping[str, Any], log: Log) -> None:
    """Append one row per item: answer, score, kinds of error, loss of the reference answer.

    If a batch runs out of memory, the batch size is halved for the rest of the job.

    Raises:
        WorkloadError: a single item does not fit in memory, or an item is longer than the student's context.
    """
    report = progress_log(log, "evaluate")
    setting = job.get("setting", "SEDI_TRAINING_STUDENT")
    tokenizer = load_tokenizer(job["student"], setting)
    adapter = Path(job["adapter"]) if job["adapter"] else None
    model = load_student(job["student"], adapter, inference=True, setting=setting)
    model.eval()
    if device_note():
        log(device_note())
    items = job["items"]
    prompts = [token_ids(tokenizer, question_text(tokenizer, item["prompt"])) for item in items]
    references = [answer_ids(tokenizer, item["prompt"], item["reference"]) for item in items]
    check_vocabulary(job["student"], tokenizer, model, [*prompts, *references])
    ends = end_tokens(tokenizer, model)
    limits = _limits(items, prompts, references, known_positions(model.config))
    decoder = Decoder(model, ends)
    if not decoder.padded:
        log(NOT_PADDED)
    # Items of similar length and limit share a batch, to avoid padding and waiting for longer answers.
    order = sorted(range(len(items)), key=lambda i: (items[i]["max_answer_tokens"], len(prompts[i])))
    size = job["batch_size"] or BATCH_SIZES[model.device.type]
    done = passed = 0
    while done < len(order):
        batch = order[done : done + size]
        if not decoder.padded:
            lengths = [len(prompts[i]) for i in batch]
            batch = batch[: next((n for n, length in enumerate(lengths) if length != lengths[0]), None)]
        try:
            answers, losses = decoder.answers_and_losses(
                [prompts[i] for i in batch], [references[i] for i in batch], [limits[i] for i in batch]
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = len(batch) // 2
            if not size:
                raise WorkloadError(
                    f"Answering {items[batch[0]]['id']} alone ran out of memory.",
                    "Use a smaller student (SEDI_TRAINING_STUDENT), or a machine with more memory.",
                ) from None
            log(f"Out of memory; continuing with batches of {size} items.")
            free_memory()
            continue
        rows = []
        for i, ids, loss in zip(batch, answers, losses, strict=True):
            complete = ids[-1] in ends
            content = ids[:-1] if complete else ids
            text = tokenizer.decode(content, skip_special_tokens=True).rpartition(END_OF_THOUGHT)[2].strip()
            rows.append(result_row(items[i], text, len(content), not complete, loss))
        append_results(Path(job["results"]), rows)
        done, passed = done + len(rows), passed + sum(row["passed"] for row in rows)
        report(done, len(items), {"passed": passed})


def _limits(
    items: Sequence[Mapping[str, Any]], prompts: Sequence[Ids], references: Sequence[Ids], positions: int | None
) -> list[int]:
    """The maximum number of tokens of each answer: the item's limit, or what the student's context has room for.

    Raises:
        WorkloadError: an item with its reference answer is longer than the student's context.
    """
    if positions is None:
        return [item["max_answer_tokens"] for item in items]
    for item, prompt, reference in zip(items, prompts, references, strict=True):
        if len(prompt) + len(reference) > positions:
            raise WorkloadError(
                f"Item {item['id']} and its reference answer have {len(prompt) + len(reference)} tokens, but the "
                f"student has only {positions} positions.",
                "Remove the item, or set SEDI_TRAINING_STUDENT to a model with a longer context.",
            )
    return [
        min(item["max_answer_tokens"], positions - len(prompt)) for item, prompt in zip(items, prompts, strict=True)
    ]
