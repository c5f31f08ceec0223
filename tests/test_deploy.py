"""The files of deploy/: what they set is there to be set, what they copy is there to be copied."""

from __future__ import annotations

import json
import re
import tomllib

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
