"""The evaluation workload: the student answers items, a verifier scores each answer.

The job file (JSON) has:
    student: what `from_pretrained` takes       adapter: checkpoint folder, or null for the untrained student
    items: list of evaluation items with `key` and `max_answer_tokens`
    results: file that rows are appended to     batch_size: items at once, or null: by device
    setting: the variable that names the student, for errors (optional)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sedi_dagster.errors import WorkloadError
from sedi_dagster.evaluation.decoding import Decoder, Ids
from sedi_dagster.evaluation.results import END_OF_THOUGHT, append_results, judged
from sedi_dagster.student.chat import answer_ids, end_tokens, question_text, token_ids
from sedi_dagster.student.config import known_positions
from sedi_dagster.student.loading import check_vocabulary, device_note, load_student, load_tokenizer
from sedi_dagster.student.memory import free_memory, is_out_of_memory
from sedi_dagster.student.reading import NOT_PADDED
from sedi_dagster.workloads.process import Log, progress_log

BATCH_SIZES = {"cpu": 24, "cuda": 256}


def evaluate(job: Mapping[str, Any], log: Log) -> None:
    """Append a row an item: answer, score, kinds of error, loss of the reference answer.

    When memory ends, batches are halved from there on.

    Raises:
        WorkloadError: one item alone does not fit into memory.
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
    # Neighbours in length and cap share a batch, so that little is padded and none waits for a longer answer.
    order = sorted(range(len(items)), key=lambda i: (items[i]["max_answer_tokens"], len(prompts[i])))
    size = job["batch_size"] or BATCH_SIZES[model.device.type]
    done = passed = 0
    while done < len(order):
        chosen = order[done : done + size]
        if not decoder.padded:
            lengths = [len(prompts[i]) for i in chosen]
            chosen = chosen[: next((n for n, length in enumerate(lengths) if length != lengths[0]), None)]
        batch = [items[i] for i in chosen]
        try:
            answers, losses = decoder.answers_and_losses(
                [prompts[i] for i in chosen],
                [references[i] for i in chosen],
                [limits[i] for i in chosen],
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = len(chosen) // 2
            if not size:
                raise WorkloadError(
                    f"Answering {batch[0]['id']} alone ran out of memory.",
                    "Use a smaller student (SEDI_TRAINING_STUDENT), or a machine with more memory.",
                ) from None
            log(f"Memory ended: {size} items at once from here on.")
            free_memory()
            continue
        rows = []
        for item, ids, loss in zip(batch, answers, losses, strict=True):
            whole = ids[-1] in ends
            said = ids[:-1] if whole else ids
            text = tokenizer.decode(said, skip_special_tokens=True).rpartition(END_OF_THOUGHT)[2].strip()
            rows.append(judged(item, text, len(said), not whole, loss))
        append_results(Path(job["results"]), rows)
        done, passed = done + len(rows), passed + sum(row["passed"] for row in rows)
        report(done, len(items), {"passed": passed})


def _limits(
    items: Sequence[Mapping[str, Any]], prompts: Sequence[Ids], references: Sequence[Ids], positions: int | None
) -> list[int]:
    """Most tokens of each answer: what the item allows, and no more than the student has positions for.

    Raises:
        WorkloadError: an item and its reference answer take more positions than the student knows.
    """
    if positions is None:
        return [item["max_answer_tokens"] for item in items]
    for item, prompt, reference in zip(items, prompts, references, strict=True):
        if len(prompt) + len(reference) > positions:
            raise WorkloadError(
                f"Item {item['id']} and its reference answer have {len(prompt) + len(reference)} tokens, and the "
                f"student knows {positions} positions.",
                "Leave the item out, or name a student that reads longer texts in SEDI_TRAINING_STUDENT.",
            )
    return [
        min(item["max_answer_tokens"], positions - len(prompt)) for item, prompt in zip(items, prompts, strict=True)
    ]
