"""Checks that run before anything is spent; each gives one clear error."""

import asyncio
import shlex
import shutil
from collections.abc import Callable, Mapping
from tempfile import TemporaryFile
from typing import Any

from sedi_dagster.errors import InputFileError, ModelError, SediError, SettingsError, StorageError
from sedi_dagster.evaluation.sandbox import run_tests
from sedi_dagster.evaluation.served import check_served
from sedi_dagster.generation.methods import check_mix
from sedi_dagster.models import BUNDLED_EMBEDDING, BUNDLED_STUDENT, bundled_gguf, bundled_minilm
from sedi_dagster.orchestration.ray_jobs import check_ray
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.teaching import check_judge
from sedi_dagster.reporting.seed_check import rules_that_drop_all
from sedi_dagster.settings import PROJECT_ROOT, Settings
from sedi_dagster.student.check import check_student, model_folder
from sedi_dagster.student.config import check_max_length, load_config
from sedi_dagster.student.loading import check_quantization, load_tokenizer, student_source
from sedi_dagster.targets import check_reference
from sedi_dagster.teacher.open import open_teacher
from sedi_dagster.training.varlen import VARLEN, check_available


def preflight(sedi: SediResource) -> None:
    """Check the settings, files, models, the data folder, and the teacher endpoint.

    Raises:
        SediError: the first problem, with its fix.
    """
    for _, check in preflight_checks(sedi):
        check()


def preflight_checks(sedi: SediResource) -> list[tuple[str, Callable[[], object]]]:
    """Return the checks with their names, quick ones first. A check that fails raises `SediError`."""
    settings = sedi.settings()
    return [
        ("generation methods", lambda: check_mix(settings.generation.methods)),
        ("seed tasks", lambda: _check_seeds(sedi, settings)),
        ("evaluation items", sedi.all_items),
        ("code sandbox", lambda: _check_sandbox(sedi, settings)),
        ("targets", lambda: check_reference(sedi.categories(), settings.evaluation.reference)),
        ("protected files", sedi.guarded_texts),
        ("data folder", sedi.store().check_writable),
        ("cache", lambda: _check_cache(settings)),
        ("programs", lambda: _check_programs(settings)),
        *([("Ray", lambda: check_ray(settings))] if settings.compute == "ray" else []),
        ("judge", lambda: check_judge(settings)),
        ("models", lambda: _check_models(settings)),
        ("served student", lambda: asyncio.run(_check_served(settings))),
        (f"teacher: {settings.teacher.shown}", lambda: asyncio.run(_check_teacher(settings))),
    ]


def _check_seeds(sedi: SediResource, settings: Settings) -> None:
    """The seed file is valid, and the filters do not reject tasks like its own."""
    for _, problem, fix in rules_that_drop_all(sedi.seeds().with_row_index("row"), settings.filtering):
        raise InputFileError(f"{settings.path(settings.seeds)}: {problem}.", f"Use {fix}.")


def _check_sandbox(sedi: SediResource, settings: Settings) -> None:
    """The sandbox works on this machine, if items need it and are not evaluated by Ray workers."""
    if settings.compute == "ray" or not any(_runs_code(item.verifier, item.args) for item in sedi.all_items()):
        return
    result = run_tests("def one():\n    return 1", "one", ["assert one() == 1"])
    if result.reason == "unavailable":
        raise SediError(
            "Some evaluation items are judged by running code, and the sandbox does not work on this machine: "
            f"{result.detail}.",
            "Use another machine, or remove these items from SEDI_ITEMS.",
        )


def _runs_code(verifier: str, args: Mapping[str, Any]) -> bool:
    parts = args["of"] if verifier == "all" else ()
    return verifier == "code_tests" or any(_runs_code(part["verifier"], part["args"]) for part in parts)


def _check_cache(settings: Settings) -> None:
    cache = settings.path(settings.cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=cache):
            pass
    except OSError as error:
        raise StorageError(
            f"The cache {cache} cannot be written: {error.strerror}.",
            "Set SEDI_CACHE to a folder that this user may write to.",
        ) from None


def _check_programs(settings: Settings) -> None:
    """The programs that start workloads exist, if workloads run on this machine."""
    if settings.compute != "local" or settings.pod:
        return
    launcher = shlex.split(settings.training.launcher)[:1]
    programs = {"SEDI_TRAINING_PYTHON": settings.training.python, "SEDI_TRAINING_LAUNCHER": "".join(launcher)}
    for setting, program in programs.items():
        path = str(PROJECT_ROOT / program) if "/" in program else program
        if program and program != "accelerate" and shutil.which(path) is None:  # the interpreter runs accelerate
            raise SettingsError(f"{setting}: there is no program {path}.", "Correct it, or give the absolute path.")


def _check_models(settings: Settings) -> None:
    if settings.teacher.base_url is None:
        bundled_gguf()
    _check_model(settings.training.student, "SEDI_TRAINING_STUDENT", settings)
    if settings.evaluation.reference:
        _check_model(settings.evaluation.reference, "SEDI_EVALUATION_REFERENCE", settings)
    if settings.compute == "local" and not settings.training.python:  # otherwise the GPU and packages are elsewhere
        if settings.training.method == "qlora":
            check_quantization()
        if settings.training.attention == VARLEN:
            check_available()
    embedding = settings.batching.embedding_model
    if embedding == BUNDLED_EMBEDDING:
        bundled_minilm()
    elif model_folder(embedding, "SEDI_BATCHING_EMBEDDING_MODEL") is None and embedding.startswith("bundled:"):
        raise ModelError(
            f"Unknown bundled model {embedding!r}.",
            f"Set SEDI_BATCHING_EMBEDDING_MODEL to {BUNDLED_EMBEDDING}, a folder or a hub name.",
        )


def _check_model(name: str, setting: str, settings: Settings) -> None:
    """A student or reference model exists, can be loaded, and has a chat template (base models have none)."""
    trained = setting == "SEDI_TRAINING_STUDENT"
    check_student(name, setting, trained)
    if name == BUNDLED_STUDENT:
        return
    source = student_source(name, settings.path(settings.cache))
    if not settings.training.python:  # that interpreter's transformers may support other models
        config = load_config(source, setting, trained)
        if trained:
            check_max_length(name, config, settings.training.max_length)
    load_tokenizer(source, setting)


async def _check_served(settings: Settings) -> None:
    evaluation = settings.evaluation
    if evaluation.base_url:
        key = evaluation.api_key.get_secret_value()
        await check_served(evaluation.base_url, evaluation.model, key, evaluation.timeout_s)


async def _check_teacher(settings: Settings) -> None:
    async with open_teacher(settings, run="preflight") as teacher:
        await teacher.check()
