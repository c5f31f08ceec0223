"""The overhead of orchestration: loading the code location, a tick after 500 rounds, a round without work.

    python benchmarks/orchestration.py --folder /tmp/orchestration --rounds 500

Two rounds by `sedi run` and one by the daemon use the rehearsal's settings, a student of planted answers and a teacher
that answers at once, so that nearly all of their time is overhead. Then the second is copied until there are as many
rounds as asked for, with as many runs in Dagster's records, and the sensors' ticks are timed on that. Wall-clock and
CPU time are reported: the latter hardly depends on what else the machine does.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.cluster import Page, free_port

LOADS, TICKS, RUNS_PER_ROUND = 3, 3, 4
PATIENCE_S = 900
LOAD = "from sedi_dagster.definitions import defs; defs().get_repository_def()"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(seconds, processor seconds) of this process and of those that it waited for."""

    def used() -> float:
        parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(part.ru_utime + part.ru_stime for part in parts)

    began, before = time.perf_counter(), used()
    work()
    return time.perf_counter() - began, used() - before


def report(what: str, figures: list[tuple[float, float]]) -> None:
    clock, processor = (statistics.median(column) for column in zip(*figures, strict=True))
    click.echo(f"{what:<44} {clock:6.2f} s   processor {processor:6.2f} s   (median of {len(figures)})")


def two_rounds(folder: Path) -> None:
    from benchmarks.testbed.planted_student import interpreter

    os.environ["SEDI_TRAINING_PYTHON"] = str(interpreter(folder))
    command = [sys.executable, "-m", "sedi_dagster.cli", "run", "--rounds", "1"]
    for what in ("a first round, with the start of `sedi run`", "a later round, with the start of `sedi run`"):
        report(what, [timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))])


def round_by_the_daemon(folder: Path) -> None:
    """A third round: opened by the job and carried by the sensor, from the job's launch to the round's manifest."""
    port = free_port()
    command = [sys.executable, "-m", "sedi_dagster.cli", "ui", "--port", str(port)]
    manifest = folder / "data" / "manifests" / "round-0003.json"
    page = Page(port)
    with (folder / "ui.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as ui:

        def wait_until(is_so: Callable[[], bool]) -> float:
            began = time.perf_counter()
            while not is_so():
                if ui.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    raise click.ClickException(f"`sedi ui` did not carry the round; see {folder / 'ui.log'}.")
                time.sleep(0.2)
            return time.perf_counter() - began

        try:
            wait_until(page.is_ready)
            page.switch_on("round_ready_sensor")
            page.launch("open_round")
            seconds = wait_until(manifest.exists)
        finally:
            ui.terminate()
    click.echo(f"{'a later round by the daemon':<44} {seconds:6.2f} s")


def many_rounds(folder: Path, rounds: int) -> None:
    """Copies of the second round's plan and manifest, and of all that the last one holds; and runs of all."""
    import dagster as dg

    from sedi_dagster.definitions import defs
    from sedi_dagster.orchestration.runs import WORK

    data, job = folder / "data", defs().resolve_job_def("train_round")
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
        for number in range(4, rounds + 1):
            name = f"round-{number:04d}"
            for place in ("plans", "manifests"):
                text = (data / place / "round-0002.json").read_text().replace("round-0002", name)
                (data / place / f"{name}.json").write_text(text)
            for n in range(RUNS_PER_ROUND):
                tags = {WORK: f"round|{name}|{n}", "dagster/partition": name}
                instance.add_run(run._replace(run_id=str(uuid4()), tags=tags))
        for place in ("assets", "inputs", "checks"):
            for found in (data / place).glob("*/round-0002*"):
                target = found.with_name(found.name.replace("round-0002", name))
                shutil.copytree(found, target) if found.is_dir() else shutil.copyfile(found, target)
        marker = data / "inputs" / "sft_dataset.json"
        record = json.loads(marker.read_text())
        record["inputs"] = {key.replace("round-0002", name): value for key, value in record["inputs"].items()}
        marker.write_text(json.dumps(record))


def ticks() -> None:
    import dagster as dg

    from sedi_dagster.orchestration.resources import SediResource
    from sedi_dagster.orchestration.sensors import round_ready_sensor, weak_category_sensor

    with dg.DagsterInstance.get() as instance:
        for sensor in (weak_category_sensor, round_ready_sensor):
            context = dg.build_sensor_context(instance=instance, resources={"sedi": SediResource()})
            click.echo(f"{sensor.name} says: {sensor(context)}")
            report(f"a tick of {sensor.name}", [timed(lambda s=sensor, c=context: s(c)) for _ in range(TICKS)])


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Emptied first.")
@click.option("--rounds", type=click.IntRange(4), default=500, show_default=True)
@click.option("--student", help="Its tokenizer counts tokens; default: the bundled one, which is converted first.")
def main(folder: Path, rounds: int, student: str | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "dagster").mkdir(parents=True)
    os.environ |= {
        "SEDI_PROFILE": "rehearsal",
        "SEDI_DATA": str(folder / "data"),
        "SEDI_CACHE": str(folder / "cache"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "SEDI_LOOP_GOAL": "score",  # else the planner stops when no category is weak
        "SEDI_LOOP_MAX_ROUNDS": str(rounds + 10),
        "SEDI_LOOP_PLATEAU_ROUNDS": str(rounds + 10),  # else the planner answers before it has looked at the rounds
        "SEDI_GENERATION_CANDIDATES_PER_CATEGORY": "4",
        **({"SEDI_TRAINING_STUDENT": student} if student else {}),
    }
    load = [sys.executable, "-c", LOAD]
    report("loading the code location", [timed(lambda: subprocess.run(load, check=True)) for _ in range(LOADS)])
    two_rounds(folder)
    round_by_the_daemon(folder)
    many_rounds(folder, rounds)
    ticks()


if __name__ == "__main__":
    main()
