"""`sedi status` and `sedi doctor`, and the options that every command takes."""

from __future__ import annotations

import os
from pathlib import Path

import click
import dagster as dg
import pytest
from click.testing import CliRunner

from sedi_dagster.cli import main
from sedi_dagster.definitions import defs
from sedi_dagster.feedback.plan import PlanRequest, Stop
from sedi_dagster.orchestration import planning
from sedi_dagster.orchestration.doctor import _run
from sedi_dagster.orchestration.planning import next_plan, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import PROCESS, WORK
from sedi_dagster.records import RoundPlan


def printed(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments, env={"COLUMNS": "80"})
    return done.exit_code, done.output


def test_status_says_what_is_due_and_who_does_it(project: Path) -> None:
    code, before = printed("status")
    assert code == 0 and "open round-0001" in before and "Driven by: nothing" in before
    plan = next_plan(SediResource(), "person")
    assert isinstance(plan, RoundPlan)
    with dg.DagsterInstance.ephemeral() as instance:
        start_round(SediResource(), instance, plan)
    code, after = printed("status")
    assert code == 0 and "Due: round-0001: seed_pool." in after
    assert all(len(line) <= 80 or str(project) in line for line in after.splitlines())


def test_a_run_whose_process_was_killed_is_not_said_to_be_in_progress(project: Path) -> None:
    plan = next_plan(SediResource(), "person")
    assert isinstance(plan, RoundPlan)
    tags = {WORK: "prepare|seed_pool", PROCESS: f"{os.uname().nodename}:999999999"}
    printed("status")  # makes the home
    with dg.DagsterInstance.get() as instance:
        start_round(SediResource(), instance, plan)
        instance.create_run_for_job(defs().resolve_job_def("prepare"), status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert "Due: round-0001: seed_pool (attempt 2)." in printed("status")[1]


def test_doctor_names_each_thing_that_is_wrong_with_its_fix(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, well = printed("doctor")
    assert code == 0 and "Ready." in well and "FAILED" not in well
    (project / "seeds.jsonl").write_text('{"instruction": 3}\n', encoding="utf-8")
    monkeypatch.setenv("SEDI_TEACHER_BASE_URL", "http://127.0.0.1:9/v1")
    code, ill = printed("doctor")
    assert code == 2
    wrong = [line for line in ill.splitlines() if line.startswith("FAILED")]
    assert len(wrong) == 2 and "seed tasks" in wrong[0] and "teacher" in wrong[1] and ill.count("Fix:") >= 2


def test_doctor_goes_on_where_a_check_needs_a_folder_that_cannot_be_used() -> None:
    def check() -> None:
        raise PermissionError(13, "Permission denied", "/cache")

    assert _run("teacher", check).problem == "[Errno 13] Permission denied: '/cache'."


def _commands(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    below = [command.get_command(context, name) for name in command.list_commands(context)]
    return [found for one in below if one is not None for found in _commands(one)]


def test_every_command_takes_a_profile_and_a_data_folder() -> None:
    commands = _commands(main)
    assert {"verify", "sum", "run"} <= {command.name for command in commands}, "those loaded when called, too"
    for command in commands:
        options = {name for parameter in command.params for name in parameter.opts}
        assert {"--profile", "--data"} <= options, command.name


def test_the_data_option_is_the_variables_other_name(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert str(elsewhere) in printed("status", "--data", str(elsewhere))[1]


def test_the_planner_knows_how_many_candidates_a_call_brings(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[PlanRequest] = []
    monkeypatch.setattr(planning, "plan_round", lambda request, *_: asked.append(request) or Stop("looked at"))
    monkeypatch.setenv("SEDI_GENERATION_ANSWERS", "short")
    monkeypatch.setenv("SEDI_GENERATION_METHODS", '{"single_call": 1.0}')
    for limit in ("600", "120"):
        monkeypatch.setenv("SEDI_GENERATION_MAX_EXAMPLE_TOKENS", limit)
        next_plan(SediResource(), "person")
    assert [request.per_call for request in asked] == [10, 2]
