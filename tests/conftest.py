"""What the tests of the whole loop share: a tiny student, a simulated teacher, and a project of two categories."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.tiny_student import write_tiny_student
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.testing.simulated_teacher import MODEL
from sedi_dagster.workloads.warm_worker.address import warm_worker_ready

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file, in any import mode
pytest_plugins = ["servers"]

CATEGORIES = ("math", "open_qa")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup: what the tests start could not be interrupted
    signal.signal(signal.SIGINT, signal.default_int_handler)
_WORKERS = "XDG_RUNTIME_DIR"
_MODULES_WORTH_FREEZING = 100


def pytest_configure(config: pytest.Config) -> None:
    """Warm workers of these tests are theirs alone, and shared by all processes of the tests.

    Each of several processes computes on a core of its own.
    """
    gc.disable()  # until all tests are imported: there is nothing to collect
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    else:
        os.environ[_WORKERS] = tempfile.mkdtemp(prefix="sedi-tests-")


_frozen = 0


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What was imported stays to the end, so collections pass over it: training alone asks for one again and again."""
    global _frozen
    if len(sys.modules) > _frozen + _MODULES_WORTH_FREEZING:
        gc.collect()
        gc.freeze()
        _frozen = len(sys.modules)


def pytest_unconfigure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        for worker in Path(os.environ[_WORKERS]).glob("*/*.sock"):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:  # it ends when the last leaves
                last.connect(str(worker))
        shutil.rmtree(os.environ.pop(_WORKERS), ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own SEDI_* variables must not decide a test."""
    for name in [name for name in os.environ if name.startswith("SEDI_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised student of 0.8 M parameters with SmolLM2's tokenizer: real training, no knowledge.

    The first of several processes makes it for all of them.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "tiny-student"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            made = tmp_path_factory.mktemp("tiny-student")
            write_tiny_student(made)
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def warm_worker() -> Iterator[None]:
    """Holds the warm worker of real workloads from one test to the next: starting it takes 7 s of a processor."""
    with warm_worker_ready(True, PROJECT_ROOT):
        yield


@pytest.fixture
def simulated_teacher() -> Iterator[FaultyTeacher]:
    with FaultyTeacher() as server:
        yield server


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_student: Path, simulated_teacher: FaultyTeacher
) -> Path:
    """A project in a temporary folder: two categories, one evaluation item each, every setting small."""
    settings = {
        "SEDI_DATA": str(tmp_path / "data"),
        "SEDI_CACHE": str(tmp_path / "cache"),
        "SEDI_CATEGORIES": str(tmp_path / "categories.yaml"),
        "SEDI_SEEDS": str(tmp_path / "seeds.jsonl"),
        "SEDI_ITEMS": str(tmp_path / "items.jsonl"),
        "SEDI_TEACHER_BASE_URL": simulated_teacher.base_url,
        "SEDI_TEACHER_MODEL": MODEL,
        "SEDI_TRAINING_STUDENT": str(tiny_student),
        "SEDI_TRAINING_LORA_RANK": "2",
        "SEDI_LOOP_GOAL": "targets",  # a second round that asks for the weak categories alone
        "SEDI_TRAINING_SEED_EPOCHS": "0",  # a training less; test_seed_student.py has it
        "SEDI_BATCHING_BATCH_SIZE": "4",
        "SEDI_GENERATION_CANDIDATES_PER_CATEGORY": "4",
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    categories = [
        f"- {{id: {c}, name: {c}, definition: Some tasks., hint: Keep them short., share: 0.5, target: 0.9, "
        "max_answer_tokens: 4, verifiers: [match]}"
        for c in CATEGORIES
    ]
    (tmp_path / "categories.yaml").write_text("\n".join(categories), encoding="utf-8")
    _write_jsonl(
        tmp_path / "seeds.jsonl",
        [
            {
                "instruction": f"Say how many {thing} a {c} teacher needs.",
                "input": "",
                "output": f"{n} {thing} are enough.",
                "category": c,
            }
            for c in CATEGORIES
            for n, thing in enumerate(("pens", "maps of towns", "red books", "chairs", "warm lamps", "old clocks"))
        ],
    )
    _write_jsonl(
        tmp_path / "items.jsonl",
        [
            {
                "id": f"{c}-{n}",
                "category": c,
                "prompt": f"Name the colour number {n} of {c}.",
                "verifier": "match",
                "args": {"aliases": ["mauve"]},
                "reference": "mauve",
                "difficulty": "easy",
                "cluster": f"{c}-{n}",
            }
            for c in CATEGORIES
            for n in range(6)
        ],
    )
    (tmp_path / "dagster").mkdir()
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
