"""One way in: which source wins, and one clear error for everything that is wrong, without a secret in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.errors import InputFileError, SettingsError
from sedi_dagster.seed_pool import read_seed_file
from sedi_dagster.settings import PROJECT_ROOT, Settings, load_settings, loading

KEY = "sk-do-not-show-this"


@pytest.fixture(autouse=True)
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.env` of the test's own in place of the developer's."""
    file = tmp_path / ".env"
    monkeypatch.setattr(loading, "ENV_FILE", file)
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    return file


def problem(overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides)
    return str(caught.value)


def test_each_source_wins_over_the_ones_below_it(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().teacher.max_concurrency == 8
    monkeypatch.setenv("SEDI_PROFILE", "openai")
    assert load_settings().teacher.max_concurrency == 64
    env_file.write_text("SEDI_TEACHER_MAX_CONCURRENCY=3\n")
    assert load_settings().teacher.max_concurrency == 3
    monkeypatch.setenv("SEDI_TEACHER_MAX_CONCURRENCY", "4")
    assert load_settings().teacher.max_concurrency == 4
    loaded = load_settings({"teacher": {"max_concurrency": 5}})
    assert loaded.teacher.max_concurrency == 5
    assert loaded.teacher.base_url == "https://api.openai.com/v1", "the rest of the group still comes from below"


def test_a_profile_may_be_chosen_by_override_or_file(env_file: Path) -> None:
    assert load_settings({"profile": "openai"}).teacher.model == "gpt-6-luna"
    env_file.write_text("SEDI_PROFILE=openai\n")
    assert load_settings().teacher.model == "gpt-6-luna"
    assert "Unknown profile 'opanai'" in problem({"profile": "opanai"})


@pytest.mark.parametrize("name", sorted(loading.known_variables()))
def test_every_setting_can_be_set_by_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings whose names begin alike must not take one another's variable."""
    known = {loading.variable(place): place for place in places()}
    value = load_settings()
    for part in known[name]:
        value = getattr(value, part)
    secret = name.endswith("_KEY")
    text = (
        "x" if secret or value is None else json.dumps(value, default=vars) if isinstance(value, dict) else f"{value}"
    )
    text = "http://x/v1" if name in ("SEDI_TEACHER_BASE_URL", "SEDI_ALERTS_WEBHOOK") else text
    monkeypatch.setenv(name, "1" if value is None and "URL" not in name else text or "x")
    load_settings()


def places() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, info in Settings.model_fields.items():
        inner = getattr(info.annotation, "model_fields", None)
        found += [(name, field) for field in inner] if inner else [(name,)]
    return found


def test_an_unknown_variable_in_lower_case_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("sedi_project_seed", "3")
    assert load_settings().project_seed == 3
    monkeypatch.setenv("sedi_projct_seed", "4")
    assert "did you mean SEDI_PROJECT_SEED?" in problem()


def test_an_unknown_variable_is_named(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_TEACHER_MODLE", "x")
    env_file.write_text("OTHER=1\nSEDI_LOOP_ROUNDS=3\n")
    message = problem()
    assert "Unknown setting: SEDI_LOOP_ROUNDS (did you mean SEDI_LOOP_MAX_ROUNDS?), SEDI_TEACHER_MODLE" in message
    assert "did you mean SEDI_TEACHER_MODEL?" in message


def test_variables_of_services_beside_the_container_are_no_settings(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = "SEDI_USER_CODE_PORT_3030_TCP"
    for name in (port, f"{port}_PROTO", f"{port}_PORT", f"{port}_ADDR", "SEDI_USER_CODE_PORT"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:3030")
    assert "SEDI_USER_CODE_PORT" in problem(), "without the service itself it may be a typing error"
    for name in ("SEDI_USER_CODE_SERVICE_HOST", "SEDI_USER_CODE_SERVICE_PORT", "SEDI_USER_CODE_SERVICE_PORT_GRPC"):
        monkeypatch.setenv(name, "10.0.0.1")
    assert load_settings() == Settings()
    monkeypatch.setenv("SEDI_TEACHER_MODLE", "m")
    assert "SEDI_TEACHER_MODLE (did you mean SEDI_TEACHER_MODEL?)" in problem()


def test_an_unknown_override_is_named() -> None:
    assert "Unknown setting: SEDI_TRAINIGN" in problem({"trainign": {"epochs": 2}})
    assert "SEDI_TRAINING_EPOCH: Extra inputs" in problem({"training": {"epoch": 2}})


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_TEACHER_TIMEOUT_S", "soon")
    monkeypatch.setenv("SEDI_LOOP_MAX_ROUNDS", "0")
    message = problem()
    assert "SEDI_TEACHER_TIMEOUT_S" in message and "got 'soon'" in message
    assert "SEDI_LOOP_MAX_ROUNDS" in message and "got '0'" in message


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_a_budget_that_caps_nothing_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_BUDGET_MAX_USD", value)
    assert "SEDI_BUDGET_MAX_USD" in problem()


@pytest.mark.parametrize("name", ["SEDI_TEACHER_EXTRA_BODY", "SEDI_BUDGET_PRICES"])
def test_a_variable_that_must_be_json_is_named(name: str, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text(f"{name}='{{bad'\n")
    assert f"{name}: not JSON" in problem()
    env_file.unlink()
    monkeypatch.setenv(name, f'{{"key": {KEY}')
    assert f"{name}: not JSON" in problem() and KEY not in problem()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_LOOP_MAX_TOKENS", "")
    assert load_settings().loop.max_tokens is None


def test_blanks_around_a_value_do_not_count(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("SEDI_PROFILE='openai '\n")
    for name, value in (
        ("SEDI_TRAINING_METHOD", "full "), ("SEDI_TRAINING_EXAMPLE_LOSSES", "false\u00a0"),
        ("SEDI_LOOP_MAX_TOKENS", " "), ("SEDI_TEACHER_BASE_URL", "  "), ("SEDI_POD", " "),
        ("SEDI_TRAINING_STUDENT", " bundled:smollm2-135m-instruct\n"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    loaded = load_settings()
    assert loaded.profile == "openai" and loaded.teacher.base_url == "https://api.openai.com/v1"
    assert loaded.training.method == "full" and loaded.training.example_losses is False
    assert loaded.training.student == "bundled:smollm2-135m-instruct"
    assert loaded.loop.max_tokens is None and loaded.pod == {}
    monkeypatch.setenv("SEDI_BUDGET_PRICES", " {x} ")
    assert "SEDI_BUDGET_PRICES: not JSON" in problem()


def test_a_reference_to_a_variable_that_is_not_set_is_an_error(env_file: Path) -> None:
    env_file.write_text("BASE=/tmp/q\nSEDI_DATA=${BASE}/data\nSEDI_CACHE=${NOWHERE_SET}/cache\n")
    assert "line 3: SEDI_CACHE refers to ${NOWHERE_SET}" in problem()
    env_file.write_text("BASE=/tmp/q\nSEDI_DATA=${BASE}/data\nSEDI_CACHE=${NOWHERE_SET:-/tmp}/cache\n")
    assert load_settings().data == "/tmp/q/data" and str(load_settings().cache) == "/tmp/cache"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "SEDI_TRAINING_LAUNCHER",
            'accelerate launch "x',
            "SEDI_TRAINING_LAUNCHER: Not a command: No closing",
        ),
        ("SEDI_ALERTS_COMMAND", "mail 'x", "SEDI_ALERTS_COMMAND: Not a command"),
        ("SEDI_ALERTS_WEBHOOK", f"hooks.example/{KEY}", "SEDI_ALERTS_WEBHOOK is not an http or https URL"),
        ("SEDI_ALERTS_WEBHOOK", f"ftp://host/{KEY}", "SEDI_ALERTS_WEBHOOK is not an http or https URL"),
        ("SEDI_TEACHER_HEADERS", json.dumps({"X-Team": f"{KEY}\nb"}), "the header 'X-Team' cannot be sent"),
        ("SEDI_TEACHER_HEADERS", json.dumps({"X Team": KEY}), "the header 'X Team' cannot be sent"),
        ("SEDI_TEACHER_HEADERS", json.dumps({"X-Team": f"Köln {KEY}"}), "the header 'X-Team' cannot be sent"),
        ("SEDI_TRAINING_LEARNING_RATE", "5", "SEDI_TRAINING_LEARNING_RATE"),
    ],
)
def test_what_would_fail_late_is_refused_at_once(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert message in problem() and KEY not in problem()


@pytest.mark.parametrize(
    "overrides",
    [{"teacher": {"api_key": [KEY]}}, {"teacher": KEY}, {"teacher": [KEY]}, {"teacher": {"extra_body": KEY}},
     {"teacher": {"api_kye": KEY}}],
)  # fmt: skip
def test_no_error_shows_a_key(overrides: dict[str, Any]) -> None:
    assert KEY not in problem(overrides)


def test_no_record_shows_a_key_or_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_TEACHER_API_KEY", KEY)
    monkeypatch.setenv("SEDI_LEDGER", f"postgresql+psycopg://me:{KEY}@db:5432/ledger?sslmode=require")
    monkeypatch.setenv("SEDI_DATA", f"s3://bucket/data?secret={KEY}&region=eu")
    loaded = load_settings()
    assert KEY in loaded.ledger and loaded.teacher.api_key.get_secret_value() == KEY
    public = loaded.public()
    assert KEY not in json.dumps(public) and KEY not in repr(loaded.teacher)
    assert public["ledger"] == "postgresql+psycopg://me:***@db:5432/ledger?sslmode=require"
    assert public["data"] == "s3://bucket/data?secret=***&region=eu"
    assert public["teacher"]["model"] == loaded.teacher.model


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().loop.max_rounds = 3


def test_relative_paths_are_taken_from_the_project_and_urls_are_left_alone() -> None:
    assert load_settings({"data": "somewhere"}).data_root == str(PROJECT_ROOT / "somewhere")
    assert load_settings({"data": "/tmp/somewhere"}).data_root == "/tmp/somewhere"
    assert load_settings({"data": "s3://bucket/x"}).data_root == "s3://bucket/x"
    assert load_settings({"data": "~/sedi"}).data_root == str(Path.home() / "sedi")
    seeds = load_settings({"seeds": "https://hub.example/a.jsonl"})
    with pytest.raises(InputFileError, match=r"a\.jsonl is an address"):
        read_seed_file(seeds.path(seeds.seeds), {"math"})


def test_the_novelty_threshold_goes_by_mode_unless_given() -> None:
    assert load_settings().filtering.threshold == 0.85
    assert load_settings({"filtering": {"mode": "self_instruct"}}).filtering.threshold == 0.7
    assert load_settings({"filtering": {"mode": "self_instruct", "novelty_threshold": 0.5}}).filtering.threshold == 0.5


@pytest.mark.parametrize(
    ("signal", "training"), [("loss_drop", {"example_losses": False}), ("heldout_gain", {"held_out_share": 0})]
)
def test_a_signal_needs_what_it_is_made_of(signal: str, training: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"{signal} needs"):
        load_settings(overrides={"feedback": {"signal": signal}, "training": training})
