"""Plausible but wrong values on the command line: one error that names the option, and nothing is started."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sedi_dagster.cli import COMMANDS, first_sentence, main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--categories", ""], "--categories names no category"),  # else every weak category would be paid for
        (["run", "--categories", " , "], "--categories names no category"),
        (["plan", "--categories", ","], "--categories names no category"),
        (["status", "--data", ""], "'--data': It is empty"),
        (["status", "--profile", " "], "'--profile': It is empty"),
        (["ui", "--port", "99999"], "99999 is not in the range"),
        (["ui", "--port", "-1"], "-1 is not in the range"),
        (["ui", "--host", ""], "--host is empty"),
        (["ui", "--host", "nowhere.invalid"], "omit --host"),
        (["reproduce", "\u00b2"], "is not finished"),
        (["rejected", "--round", "\u00b2"], "has been filtered"),
        (["estimate", "--candidates", "-3"], "-3 is not in the range"),
        (["estimate", "--categories", "0"], "0 is not in the range"),
        (["export", "--to", "somewhere", "--public"], "--public requires a repository"),
    ],
)
def test_a_wrong_value_is_told_in_one_error(project: Path, words: list[str], message: str) -> None:
    ended = CliRunner().invoke(main, words, catch_exceptions=False)
    assert ended.exit_code == 2, ended.output
    assert message in ended.output


def test_a_round_is_estimated_for_the_categories_that_there_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_GENERATION_CANDIDATES_PER_CATEGORY", "35")
    estimated = CliRunner().invoke(main, ["estimate"], catch_exceptions=False).output
    assert "70 candidates" in estimated, "the project has two categories"


def test_nothing_is_exported_into_the_data_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sedi_dagster.lineage import commands

    monkeypatch.setattr(commands, "finished_examples", lambda _: pytest.fail("was not refused"))
    monkeypatch.setenv("SEDI_DATA", str(project / "data"))
    for target in (project / "data", project / "data" / "assets" / "mine"):
        ended = CliRunner().invoke(main, ["export", "--to", str(target)], catch_exceptions=False)
        assert ended.exit_code == 2 and "is in the data folder" in ended.output


def test_the_list_of_commands_is_shown_without_importing_them() -> None:
    code = "import sys\nfrom sedi_dagster.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('dagster', 'polars', 'openai') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    listed = main.list_commands(click.Context(main))
    assert [line.split()[0] for line in shown.splitlines() if re.match(r"  [a-z]", line)][-len(listed) :] == listed


def test_the_list_of_commands_says_of_each_what_its_help_begins_with() -> None:
    for name, (_, text) in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None and first_sentence(command) == text
