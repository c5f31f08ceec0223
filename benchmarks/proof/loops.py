"""Whole loops by `sedi run`, each in folders of its own, as many side by side as the machine bears."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.proof.arms import Arm

ROOT = Path(__file__).resolve().parents[2]
FINISHED = "loop.json"
LOG = "sedi-run.log"
START_TIMEOUT_S = 60.0
BASELINES = ("data/assets/seed_pool", "data/assets/baseline_scores", "data/checkpoints/seed-tasks")


@dataclass(frozen=True)
class Loop:
    """One arm with one project seed: where it lies and what it is run with.

    `teacher`: the command of its server, which is told `port`: always the same one, because a loop that is taken up
    again must find its teacher at the address that its ledger knows.
    `shares`: a finished loop of the same project seed whose baselines (the untrained student, and that of the seed
    tasks alone) are taken over, if they are what this one would measure; `sedi` itself checks that.
    """

    arm: Arm
    project_seed: int
    folder: Path
    ground: Path
    teacher: tuple[str, ...]
    port: int
    models: Path
    shares: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.arm.name}, seed {self.project_seed}"

    def finished(self) -> dict[str, Any] | None:
        """What is on record of a finished loop; None if it was not finished or ran with other settings."""
        try:
            record: dict[str, Any] = json.loads((self.folder / FINISHED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if record["arm_version"] == self.arm.version else None

    def environment(self, threads: int) -> dict[str, str]:
        """Everything that `sedi` reads; no `SEDI_*` variable of the caller gets in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEDI_")}
        paths = {
            "SEDI_DATA": self.folder / "data",
            "SEDI_CACHE": self.folder / "cache",
            "DAGSTER_HOME": self.folder / "dagster",
            "SEDI_SEEDS": self.ground / self.arm.seeds_file,
            "SEDI_CATEGORIES": self.ground / "categories.yaml",
            "SEDI_ITEMS": self.ground / "decision_items.jsonl",
        }
        own = {
            "SEDI_PROJECT_SEED": str(self.project_seed),
            "SEDI_TEACHER_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": python_path(),
        }
        return kept | {name: str(path) for name, path in paths.items()} | own | dict(self.arm.settings)

    def run(self, threads: int) -> None:
        """Run it to its end; one that was stopped goes on where it was.

        Raises:
            RuntimeError: `sedi` failed; with the end of its log.
        """
        record = self.folder / "arm.json"
        if record.exists() and json.loads(record.read_text())["version"] != self.arm.version:
            raise RuntimeError(f"{self.folder} holds a loop of {self.arm.name} with other settings: remove it first")
        (self.folder / "cache").mkdir(parents=True, exist_ok=True)
        (self.folder / "dagster").mkdir(exist_ok=True)
        record.write_text(json.dumps({"version": self.arm.version, "settings": dict(self.arm.settings)}, indent=2))
        link = self.folder / "cache" / "models"
        if not link.exists():
            link.symlink_to(self.models, target_is_directory=True)
        if self.shares is not None and not (self.folder / "data").exists():
            self._take_baselines(self.shares)
        started = time.monotonic()
        with teacher_server([*self.teacher, "--port", str(self.port)]), (self.folder / LOG).open("ab") as log:
            done = subprocess.run(
                self._command(),
                cwd=ROOT,
                env=self.environment(threads),
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            tail = (self.folder / LOG).read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with status {done.returncode}:\n{tail}")
        seconds = time.monotonic() - started
        finished = {
            "arm_version": self.arm.version,
            "seconds": round(seconds, 1),
            "commit": commit(),
            "threads": threads,
        }
        (self.folder / FINISHED).write_text(json.dumps(finished))

    def _take_baselines(self, other: Path) -> None:
        for part in BASELINES:
            if (other / part).exists():
                shutil.copytree(other / part, self.folder / part, dirs_exist_ok=True)

    def _command(self) -> list[str]:
        if self.arm.rounds == 0:  # the baselines alone
            dg = Path(sys.executable).with_name("dg")
            return [str(dg), "launch", "--job", "prepare"]
        there = len(list((self.folder / "data" / "manifests").glob("round-*.json")))
        return [sys.executable, "-m", "sedi_dagster.cli", "run", "--rounds", str(max(1, self.arm.rounds - there))]


def run_all(loops: Sequence[Loop], jobs: int, threads: int, tell: Callable[[str], None]) -> list[str]:
    """Run what is not finished, `jobs` at a time. A loop that fails does not stop the others.

    Returns:
        What failed, in words.
    """
    waiting = [loop for loop in loops if loop.finished() is None]
    tell(f"{len(loops) - len(waiting)} of {len(loops)} loops are finished; {len(waiting)} to run, {jobs} at a time")
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(loop.run, threads): loop for loop in waiting}
        for number, future in enumerate(as_completed(running), 1):
            loop = running[future]
            try:
                future.result()
                tell(f"{number}/{len(waiting)} {loop.name}: {(loop.finished() or {})['seconds']:.0f} s")
            except RuntimeError as error:
                failed.append(str(error))
                tell(f"{number}/{len(waiting)} {loop.name} FAILED\n{error}")
    return failed


def python_path() -> str:
    """This checkout before what the caller imports from."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@contextmanager
def teacher_server(command: Sequence[str]) -> Iterator[None]:
    """The teacher as a process of its own. It prints its address as JSON once it listens.

    Raises:
        RuntimeError: it did not start; its own error is on stderr.
    """
    environment = os.environ | {"PYTHONPATH": python_path()}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # it ends once its standard input does
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            if "base_url" not in process.stdout.readline():
                raise RuntimeError(f"the teacher did not start: {' '.join(command)}")
            yield
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


def commit() -> str:
    """The checkout's commit, with `+changes` if files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+changes"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
