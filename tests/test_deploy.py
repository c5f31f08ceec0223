"""The files of deploy/: what they set is there to be set, what they copy is there to be copied."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from sedi_dagster.settings import PROJECT_ROOT, load_settings

DEPLOY = PROJECT_ROOT / "deploy"
VALUES = yaml.safe_load((DEPLOY / "values.yaml").read_text())
USER_CODE = VALUES["dagster-user-deployments"]["deployments"][0]


def test_the_variables_of_the_chart_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in USER_CODE["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    for name in re.findall(r"from-literal=(SEDI_\w+)", (DEPLOY / "values.yaml").read_text()):
        monkeypatch.setenv(name, "x")
    settings = load_settings()
    assert settings.data == "s3://bucket/loop"
    assert settings.pod["container_config"]["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_runs_that_train_are_given_their_pod() -> None:
    pod = json.loads(next(v["value"] for v in USER_CODE["env"] if v["name"] == "SEDI_POD"))
    k8s = pytest.importorskip("dagster_k8s.job", reason="dagster-k8s is not installed: pip install '.[k8s]'")
    parsed = k8s.get_user_defined_k8s_config({"dagster-k8s/config": json.dumps(pod)})
    assert parsed.pod_spec_config["node_selector"] == {"nvidia.com/gpu.present": "true"}


def test_the_image_copies_files_and_takes_extras_that_there_are() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (PROJECT_ROOT / source).exists(), source
    extras = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.search(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert asked is not None and set(asked[1].split(",")) <= extras.keys()


@pytest.mark.parametrize("part", ["dagsterWebserver", "dagsterDaemon"])
def test_what_asks_the_user_code_waits_as_long_as_on_one_machine(part: str) -> None:
    assert VALUES[part]["env"] == {"DAGSTER_GRPC_TIMEOUT_SECONDS": "300"}


@pytest.mark.slow
def test_the_steps_of_the_image_make_a_code_location(tmp_path: Path) -> None:
    """`docker build` by hand: an environment of its own for the base image, a folder for `WORKDIR`, no users."""
    workdir, environment = tmp_path / "workdir", tmp_path / "environment"
    workdir.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("SEDI_", "PYTHON"))}
    variables |= {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "DAGSTER_HOME": str(tmp_path)}
    command: list[str] = []
    for word, rest in re.findall(r"^([A-Z]+) (.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE):
        if word in ("ARG", "ENV"):
            variables |= dict(pair.split("=", 1) for pair in rest.split())
        elif word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                here, there = PROJECT_ROOT / source, workdir / target
                shutil.copytree(here, there) if here.is_dir() else shutil.copy(here, there)
        elif word == "RUN" and not rest.startswith("useradd"):
            subprocess.run(["sh", "-ec", rest], cwd=workdir, env=variables, check=True)
        elif word == "CMD":
            command = json.loads(rest)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [{"0.0.0.0": "127.0.0.1", "3030": port}.get(part, part) for part in command]
    variables["SEDI_CACHE"] = str(tmp_path / "cache")
    with subprocess.Popen(command, cwd=workdir, env=variables) as location:
        try:
            asked, end = ["dagster", "api", "grpc-health-check", "-p", port], time.monotonic() + 180
            while subprocess.run(asked, cwd=workdir, env=variables, capture_output=True).returncode:
                assert location.poll() is None and time.monotonic() < end
                time.sleep(1)
        finally:
            location.terminate()
