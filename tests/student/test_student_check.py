"""A student or reference that cannot be had is told in one sentence, before anything is spent."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sedi_dagster.errors import ModelError, SettingsError, StorageError
from sedi_dagster.orchestration.preflight import preflight, preflight_checks
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.settings import load_settings
from sedi_dagster.student.check import check_student
from sedi_dagster.student.loading import check_quantization, is_local, load_student, student_source

ANSWERS = {
    "private": (401, {"X-Error-Code": "RepoNotFound"}, b"{}"),
    "gated": (403, {"X-Error-Code": "GatedRepo"}, b"{}"),
    "pickled": (200, {}, b'{"id": "me/pickled", "siblings": [{"rfilename": "pytorch_model.bin"}]}'),
    "whole": (200, {}, b'{"id": "me/whole", "siblings": [{"rfilename": "model.safetensors"}]}'),
    "sharded": (200, {}, b'{"id": "me/sharded", "siblings": [{"rfilename": "model.safetensors.index.json"}]}'),
    "original": (200, {}, b'{"id": "me/original", "siblings": [{"rfilename": "consolidated.safetensors"}]}'),
    "adapter": (
        200,
        {},
        b'{"id": "me/adapter", "siblings": [{"rfilename": "adapter_config.json"}, '
        b'{"rfilename": "adapter_model.safetensors"}]}',
    ),
    "broken": (500, {}, b"{}"),
}


class Hub(BaseHTTPRequestHandler):
    """Answers as a hub does, by the name of the model."""

    def do_GET(self) -> None:
        status, headers, body = ANSWERS[self.path.split("?")[0].rpartition("/")[2]]
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub import constants

    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("private", "or is private.*SEDI_X; if the model is private, set HF_TOKEN"),
        ("gated", "is gated.*Accept them"),
        ("pickled", "no safetensors weights"),
        ("original", "no safetensors weights"),
        ("adapter", "is an adapter.*SEDI_X to its base model"),
        ("broken", "cannot be reached"),
    ],
)
def test_a_hubs_refusal_says_what_to_do(hub: None, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"(?s){message}"):
        check_student(f"me/{name}", "SEDI_X")


def test_a_model_that_is_there_is_taken(hub: None, tiny_student: Path) -> None:
    for name in ("me/whole", "me/sharded", str(tiny_student), "bundled:smollm2-135m-instruct"):
        check_student(name, "SEDI_X")


def test_a_hub_that_is_kept_out_or_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for offline, text in ((True, "Unset HF_HUB_OFFLINE"), (False, "cannot be reached")):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with pytest.raises(ModelError, match=f"(?s){text}"):
            check_student("me/whole", "SEDI_X")


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    for name, text in (
        (str(tmp_path / "nowhere"), "no model folder"),
        (str(tmp_path), "config.json"),
        ("bundled:x", "Unknown"),
    ):
        with pytest.raises(ModelError, match=text):
            check_student(name, "SEDI_X")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_text("")
    with pytest.raises(ModelError, match="safetensors"):
        check_student(str(tmp_path), "SEDI_X")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SEDI_TRAINING_STUDENT", "/no/where", "SEDI_TRAINING_STUDENT"),
        ("SEDI_EVALUATION_REFERENCE", "/no/where", "SEDI_EVALUATION_REFERENCE"),
        ("SEDI_BATCHING_EMBEDDING_MODEL", "/no/where", "SEDI_BATCHING_EMBEDDING_MODEL"),
        ("SEDI_BATCHING_EMBEDDING_MODEL", "bundled:minilm", "Unknown bundled model 'bundled:minilm'"),
        ("SEDI_TRAINING_PYTHON", "/no/python", "SEDI_TRAINING_PYTHON: there is no program /no/python"),
        ("SEDI_TRAINING_LAUNCHER", "acelerate launch", "SEDI_TRAINING_LAUNCHER: there is no program acelerate"),
        ("SEDI_CACHE", f"{__file__}/cache", "The cache .*/cache cannot be written"),
        ("SEDI_TRAINING_METHOD", "qlora", "qlora needs a GPU"),
        ("SEDI_TRAINING_ATTENTION", "varlen", "varlen needs an NVIDIA GPU"),
    ],
)
def test_the_loop_does_not_start_with_a_student_that_cannot_be_had(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv(variable, value)
    with pytest.raises((ModelError, SettingsError, StorageError), match=message):
        preflight(SediResource())


@pytest.mark.parametrize(("variable", "value"), [("SEDI_COMPUTE", "ray"), ("SEDI_TRAINING_PYTHON", "/opt/cuda/python")])
def test_what_needs_a_gpu_is_not_looked_for_here_where_training_is_elsewhere(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("SEDI_TRAINING_METHOD", "qlora")
    monkeypatch.setenv("SEDI_TRAINING_ATTENTION", "varlen")
    monkeypatch.setenv(variable, value)
    dict(preflight_checks(SediResource()))["models"]()


def test_weights_in_four_bits_are_refused_where_they_cannot_be_had(tiny_student: Path) -> None:
    for refused in (check_quantization, lambda: load_student(str(tiny_student), None, four_bit=True)):
        with pytest.raises(ModelError, match=r"(?s)bitsandbytes.*SEDI_TRAINING_METHOD=lora"):
            refused()


@pytest.mark.parametrize("name", ["owner/model@v1", "owner/my model", "hf:owner/model", "owner/", " ", "models\\x"])
def test_a_name_that_no_hub_can_have_is_told(name: str) -> None:
    with pytest.raises(ModelError, match=r"(?s)neither a folder .* nor the name.*SEDI_X.*owner/model"):
        check_student(name, "SEDI_X")


def test_a_file_is_no_student_and_a_folder_at_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.gguf").write_text("")
    with pytest.raises(ModelError, match=r"model.gguf is a file"):
        check_student(str(tmp_path / "model.gguf"), "SEDI_X")
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("SEDI_TRAINING_STUDENT", "SEDI_EVALUATION_REFERENCE"):
        monkeypatch.setenv(variable, "~/models/mine")
    settings = load_settings()
    assert settings.training.student == settings.evaluation.reference == str(tmp_path / "models" / "mine")


def test_a_url_is_no_name_of_a_model() -> None:
    for name in ("https://huggingface.co/owner/model", "hf://owner/model", "file:///models/mine"):
        with pytest.raises(ModelError, match=r"(?s)is a URL.*SEDI_X to a folder or a hub name \(owner/model"):
            check_student(name, "SEDI_X")


def test_a_relative_folder_is_under_the_projects_root_from_wherever_a_command_is_started(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    shutil.copytree(tiny_student, root / "models" / "mine")
    shutil.copytree(tiny_student, elsewhere / "other")
    for module in ("check", "loading"):
        monkeypatch.setattr(f"sedi_dagster.student.{module}.PROJECT_ROOT", root)
    monkeypatch.chdir(elsewhere)
    for name in ("./models/mine", "models/mine", "../project/models/mine"):
        check_student(name, "SEDI_X")
        assert is_local(name) and student_source(name, tmp_path) == str(root / "models" / "mine")
    assert not is_local("./other")
    for refused in (lambda: check_student("./other", "SEDI_X"), lambda: student_source("./other", tmp_path)):
        with pytest.raises(ModelError, match=f"(?s)no model folder {root}/other.*Folders are relative to {root}"):
            refused()
    assert student_source("owner/model", tmp_path) == "owner/model"
