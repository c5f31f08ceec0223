"""What the summary of a run claims: about categories that were weak, and about where a gain comes from."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import polars as pl
import pytest

from sedi_dagster.orchestration.console import open_report
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.summary import next_steps, recovered, results, steps_with_scores
from sedi_dagster.records import CategoryOutcome, Decision, RoundOutcome
from sedi_dagster.storage.rounds import SEED_TASKS


def finished(number: int, *categories: CategoryOutcome) -> RoundOutcome:
    return RoundOutcome(f"round-{number:04}", 10, 20, 100, 0.5, True, categories)


def category(name: str, passed: int, decision: Decision) -> CategoryOutcome:
    return CategoryOutcome(name, 24, passed, 0.0, 1.0, 0.5, 0.5, 0.5, decision, "")


def test_mended_is_what_was_weak_and_has_reached_its_target_and_nothing_else() -> None:
    before = finished(
        1,
        *(category(name, 1, "weak") for name in ("cooled", "gave up", "unclear", "still weak")),
        category("never weak", 20, "fine"),
    )
    after = finished(
        2,
        category("cooled", 12, "cooling"),
        category("gave up", 2, "stuck"),
        category("unclear", 8, "not enough evidence"),
        category("still weak", 3, "weak"),
        category("never weak", 20, "fine"),
    )
    assert recovered([before, after]) == ["cooled: weak after round-0001, now 12 of 24 (cooling)"]
    assert recovered([before]) == []


def answers(*right: int, loss: float = 2.0) -> pl.DataFrame:
    """Twenty items, each a template of its own, of which these were answered."""
    rows = [(f"i{n}", "math", f"i{n}", n in right, float(n in right), loss) for n in range(20)]
    columns = ["item_id", "category", "cluster", "passed", "score", "reference_loss"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def written(sedi: SediResource, untrained: pl.DataFrame, seeds: pl.DataFrame, after: pl.DataFrame) -> None:
    """A first round that built on the student of the seed tasks."""
    tables = {
        "items": untrained,
        "seed_items": seeds,
        "seed_steps": pl.DataFrame({"example_ids": [["a", "b"], ["c"], ["a", "b"]]}),
        "seed_heldout": pl.DataFrame({"step": [0, 3], "loss": [2.5, 2.25]}),
        "origin": pl.DataFrame({"fingerprint": ["f"], "start": [SEED_TASKS]}),
    }
    sedi.store().write_tables(tables, "baseline_scores")
    sedi.store().write_tables({"items": after}, "evaluation_scores", "round-0001")


def test_the_seed_tasks_gain_is_told_apart_from_what_the_teacher_added(project: Path) -> None:
    sedi = SediResource()
    written(sedi, answers(0, 1, loss=3.0), answers(*range(1, 10)), answers(*range(2, 11)))
    ran = [RoundOutcome("round-0001", 10, 20, 1234, 0.5, True, ())]
    assert steps_with_scores(sedi, ran) == [
        "The untrained student: 2 of 20 evaluation items passed (10%).",
        "After training on 3 human seed tasks, without a teacher: 9 of 20 evaluation items passed (45%).",
        "round-0001: the teacher wrote 20 candidates for 1,234 tokens, 10 passed the filters. "
        "After training on these too: 9 of 20 evaluation items passed (45%).",
    ]
    assert results(sedi, sedi.settings(), ran) == [
        "Your seed tasks: +7 items (8 won, 1 lost; p = 0.02), a gain.",
        "  Score with partial credit: 0.10, now 0.45 (change +0.10 to +0.60, 95 %), a gain.",
        "  Loss of the reference answers: 3.00, now 2.00 (change -1.00 to -1.00, 95 %), a gain.",
        "  Loss of held-out seed tasks: 2.50, now 2.25.",
        "The teacher's examples, in addition: +0 items (1 won, 1 lost; p = 0.75), could be chance.",
    ]


def test_a_loss_is_called_a_loss_and_answers_that_stayed_are_not_a_gain(project: Path) -> None:
    sedi = SediResource()
    written(sedi, answers(*range(8)), answers(), answers())
    ran = [RoundOutcome("round-0001", 10, 20, 1234, 0.5, True, ())]
    seeds, score, right_answers, _, teacher = results(sedi, sedi.settings(), ran)
    assert "-8 items (0 won, 8 lost; p = 0.0039), a loss" in seeds
    assert score.endswith("a loss.") and right_answers.endswith("could be chance.")
    assert teacher == "The teacher's examples, in addition: no answer changed."


def test_only_the_bundled_teacher_is_said_to_be_no_better_than_its_student(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sedi = SediResource()
    written(sedi, answers(), answers(), answers())
    assert not any("no better" in text for text in results(sedi, sedi.settings(), []))
    assert not any("rehearsal" in how for _, how in next_steps(sedi.settings()))
    monkeypatch.delenv("SEDI_TEACHER_BASE_URL")
    assert any("no better than the student" in text for text in results(sedi, sedi.settings(), []))
    how = [how for _, how in next_steps(sedi.settings())]
    assert any("--profile rehearsal" in one for one in how)
    assert [one.split("=")[0] for one in how if one.startswith("SEDI_TEACHER")] == [
        "SEDI_TEACHER_BASE_URL",
        "SEDI_TEACHER_MODEL",
        "SEDI_TEACHER_API_KEY",
    ]


def test_the_commands_are_those_that_work_where_the_program_is_not_on_the_path(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = project / "bin" / "sedi"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", [str(script), "run"])
    monkeypatch.setenv("PATH", "/nowhere")
    settings = SediResource().settings()
    assert ("preview it", "bin/sedi plan") in next_steps(settings)
    monkeypatch.setenv("PATH", str(script.parent))
    assert ("preview it", "sedi plan") in next_steps(settings)


def test_the_commands_name_the_profile_that_may_have_been_an_option(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named() -> list[str]:
        how = dict(next_steps(SediResource().settings()))
        return [how[aim] for aim in ("next round", "preview it", "Dagster UI") if "--profile rehearsal" in how[aim]]

    monkeypatch.setenv("SEDI_PROFILE", "local")
    assert named() == []
    monkeypatch.setenv("SEDI_PROFILE", "rehearsal")
    assert len(named()) == 3


@pytest.mark.parametrize(
    ("variables", "opens"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({}, False),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, False),
        ({"DISPLAY": ":0", "CI": "true"}, False),
    ],
)
def test_the_report_opens_where_there_is_a_desktop(
    project: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], opens: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    open_report(SediResource(), "round-0001")
    assert opened == [], "there is no page yet"
    page = project / "data" / "reports" / "round-0001.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>", encoding="utf-8")
    open_report(SediResource(), "round-0001")
    assert opened == ([page.as_uri()] if opens else [])
