"""The comparison of whole loops: curves, pairs, intervals, arms that are settings and nothing else, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.closed_loop import main as closed_loop
from benchmarks.proof import measuring
from benchmarks.proof.arms import BASELINES, Arm, load_plan
from benchmarks.proof.figures import draw
from benchmarks.proof.loops import Loop, run_all
from benchmarks.proof.results import _about, curves, merge, on_record, page, read
from benchmarks.proof.statistics import Curve, compare, resampled_means
from sedi_dagster.records import EvaluationItem
from sedi_dagster.settings import load_settings

ARMS = Path(__file__).resolve().parents[2] / "benchmarks" / "proof" / "arms.yaml"


def curve(*points: tuple[float, float], items: int = 40) -> Curve:
    """A curve whose student passes the first so many of the items."""
    passes = [[float(i < share * items) for i in range(items)] for _, share in points]
    return Curve(np.array([tokens for tokens, _ in points]), np.array(passes))


def test_accuracy_between_two_rounds_is_taken_on_the_line_and_after_the_last_stays() -> None:
    found = curve((0, 0.1), (100, 0.5), (200, 0.9))
    assert [found.accuracy(t) for t in (0, 50, 100, 150, 400)] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert found.area(200) == pytest.approx(0.5)


def test_tokens_to_an_accuracy_are_those_at_which_it_is_first_reached() -> None:
    found = curve((0, 0.1), (100, 0.5), (200, 0.4), (300, 0.8))
    assert found.tokens_to(0.3) == pytest.approx(50)
    assert found.tokens_to(0.6) == pytest.approx(250)
    assert found.tokens_to(0.1) == 0 and found.tokens_to(0.9) == float("inf")


def test_arms_are_compared_where_the_one_that_spent_least_had_ended() -> None:
    ours = {seed: curve((0, 0.1), (100, 0.6), (200, 0.9)) for seed in (1, 2)}
    other = {seed: curve((0, 0.1), (150, 0.4)) for seed in (1, 2)}
    found = compare(ours, other, [f"w{i // 4}" for i in range(40)])
    assert found.tokens == 150 and found.wins == found.seeds == 2
    assert found.difference.value == pytest.approx(0.35) and found.relative.value == pytest.approx(0.35 / 0.4)
    assert found.token_ratio == pytest.approx(60 / 150), "0.4 is reached after 60 tokens"


def test_an_accuracy_that_is_never_reached_has_no_token_ratio() -> None:
    low, high = {1: curve((0, 0.1), (100, 0.2))}, {1: curve((0, 0.1), (100, 0.6))}
    assert compare(low, high, ["a"] * 20 + ["b"] * 20).token_ratio is None


def test_items_of_one_wording_are_drawn_together_so_the_interval_is_wider() -> None:
    rng = np.random.default_rng(1)
    passes = np.repeat(rng.random((2, 1, 20)) < 0.5, 4, axis=2).astype(float)
    alone = resampled_means(passes, [str(i) for i in range(80)], 2000).std(axis=0)
    together = resampled_means(passes, [str(i // 4) for i in range(80)], 2000).std(axis=0)
    assert (together > 1.4 * alone).all()


def test_the_interval_of_a_difference_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        ours, other = ({s: Curve(np.array([0.0, 1.0]), rng.random((2, 120)) < p) for s in range(5)} for p in (0.6, 0.5))
        found = compare(ours, other, [str(i) for i in range(120)], resamples=400).difference
        covered += found.low <= 0.1 <= found.high
    assert covered >= 50


def test_every_arm_is_made_of_settings_that_the_product_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = load_plan(ARMS)
    assert {plan.ours, plan.baseline, BASELINES} <= plan.arms.keys() and len(plan.project_seeds) >= 5
    for arm in (arm for arm in plan.arms.values() if not arm.last_commit):
        with monkeypatch.context() as patched:
            for name, value in arm.settings.items():
                patched.setenv(name, value)
            load_settings()


def test_all_arms_train_as_many_steps_on_the_same_student_and_are_measured_alike() -> None:
    same = ("SEDI_TRAINING_STEPS", "SEDI_TRAINING_LEARNING_RATE", "SEDI_BATCHING_BATCH_SIZE", "SEDI_TEACHER_MODEL")
    plan = load_plan(ARMS)
    loops = [arm for arm in plan.arms.values() if arm.rounds]
    for name in (*same, "SEDI_EVALUATION_ITEMS_PER_CATEGORY"):
        assert len({arm.settings.get(name) for arm in loops}) == 1, name


def loop(folder: Path, arm: Arm) -> Loop:
    return Loop(arm, 1, folder / "loop", folder, ("no-such-teacher",), 9, folder)


def test_a_finished_loop_is_not_run_again_and_one_with_other_settings_is_not_taken_for_it(tmp_path: Path) -> None:
    arm = Arm("a", "a", {"SEDI_LOOP_MAX_ROUNDS": "3"}, rounds=1)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "loop.json").write_text(json.dumps({"arm_version": arm.version, "seconds": 1}))
    lines: list[str] = []
    assert run_all([loop(tmp_path, arm)], 1, 1, lines.append) == [] and "1 of 1 loops are finished" in lines[0]
    changed = Arm("a", "a", {"SEDI_LOOP_MAX_ROUNDS": "4"}, rounds=1)
    (tmp_path / "loop" / "arm.json").write_text(json.dumps({"version": arm.version}))
    (failed,) = run_all([loop(tmp_path, changed)], 1, 1, lines.append)
    assert "with other settings: remove it first" in failed


def test_no_setting_of_the_caller_reaches_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_LOOP_MAX_ROUNDS", "1")
    environment = loop(tmp_path, Arm("a", "a", {"SEDI_TRAINING_STEPS": "2"}, 1)).environment(1)
    assert "SEDI_LOOP_MAX_ROUNDS" not in environment and environment["SEDI_TRAINING_STEPS"] == "2"


ITEMS = [
    EvaluationItem(f"i{n}", ("math", "coding")[n % 2], f"Prompt {n}", "match", {}, "x", "easy", f"w{n // 4}")
    for n in range(16)
]


def finished(levels: list[int], tokens: int) -> dict[str, Any]:
    """A loop whose student passes so many items at first, and after each round."""
    passes = [[int(i < level) for i in range(16)] for level in levels]
    rounds = [
        {
            "round": f"round-{n:04d}", "tokens": n * tokens, "prompt_tokens": n * tokens // 2,
            "completion_tokens": n * tokens // 2, "priced_tokens": 0.625 * n * tokens, "steps": 8 * n,
            "candidates": 40, "kept": 30, "asked": {"math": 20, "coding": 20}, "promoted": True,
            "decided_score": 0.5, "trained": row, "passes": row,
        }
        for n, row in enumerate(passes[1:], 1)
    ]  # fmt: skip
    return {
        "losses": {"untrained": [2.5] * 16, "last": [2.5 - 0.01 * levels[-1]] * 16, "seed_tasks": [2.4] * 16},
        "untrained": [0] * 16, "seed_tasks": passes[0], "rounds": rounds, "seconds": 60.0, "commit": "abc",
        "arm_version": "v",
    }  # fmt: skip


def test_the_page_tells_what_holds_and_what_does_not_from_the_figures_alone(tmp_path: Path) -> None:
    plan = load_plan(ARMS)
    loops = {
        plan.ours: {str(s): finished([2, 8, 14], 1000) for s in range(1, 6)},
        plan.baseline: {str(s): finished([2, 3, 4], 1000) for s in range(1, 6)},
        "ours_even": {str(s): finished([2, 8, 14], 1000) for s in range(1, 6)},
    }
    about = {"machine": "2 CPU cores", "jobs": 2, "ground": "development"}
    merge(tmp_path / "results.json", "development", loops, ITEMS, about)
    data = read(tmp_path / "results.json")
    assert data["development"]["arms"] == loops, "what is packed is read back as it was"
    assert curves(data["development"])[plan.ours][1].accuracy(1000) == pytest.approx(0.5)
    text = page(data, plan, {})
    assert "**Gain from the whole** (ours against Self-Instruct) holds" in text and "points, +250% (" in text
    assert "**Gain from aiming** (ours against ours, all categories alike) is **not shown**" in text
    assert "SIMULATED teacher" in text and "| math |" in text


def test_arms_without_a_project_seed_in_common_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_plan(ARMS)
    loops = {
        plan.ours: {"4": finished([2, 8, 14], 1000)},
        plan.baseline: {"4": finished([2, 3, 4], 1000)},
        "ours_even": {"1": finished([2, 8, 14], 1000)},
    }
    merge(tmp_path / "r.json", "development", loops, ITEMS, {"machine": "m", "jobs": 1, "ground": "development"})
    data = read(tmp_path / "r.json")
    text = page(data, plan, {})
    assert "(ours against Self-Instruct)" in text and "against ours, all categories alike" not in text
    drawn: list[list[str]] = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_yticks", lambda self, ticks, labels, **_: drawn.append(labels))
    assert len(draw("development", data["development"], plan, tmp_path)) == 2
    assert drawn == [["Self-Instruct (1)"]]


def test_loops_on_record_are_known_by_the_version_of_their_arm_and_only_for_the_same_items(tmp_path: Path) -> None:
    file, about = tmp_path / "results.json", {"machine": "m", "jobs": 1, "ground": "development"}
    merge(file, "development", {"a": {"1": finished([1, 2], 10)}}, ITEMS, about)
    assert on_record(file, "development", ITEMS) == {("a", "1"): "v"}
    assert on_record(file, "development", ITEMS[1:]) == on_record(file, "final", ITEMS) == {}


def test_results_of_other_arms_stay_and_those_of_other_items_do_not(tmp_path: Path) -> None:
    file, about = tmp_path / "results.json", {"machine": "m", "jobs": 1, "ground": "development"}
    merge(file, "development", {"a": {"1": finished([1, 2], 10)}}, ITEMS, about)
    merge(file, "development", {"b": {"1": finished([1, 2], 10)}}, ITEMS, about)
    assert set(read(file)["development"]["arms"]) == {"a", "b"}
    merge(file, "development", {"c": {"1": finished([1, 2], 10)}}, ITEMS[::-1], about)
    assert set(read(file)["development"]["arms"]) == {"c"}


def test_on_recorded_text_arms_are_compared_by_the_loss_of_human_answers(tmp_path: Path) -> None:
    plan = load_plan(ARMS)
    loops = {
        plan.ours: {str(s): finished([2, 14], 1000) for s in (1, 2)},
        plan.baseline: {str(s): finished([2, 4], 1000) for s in (1, 2)},
    }
    merge(tmp_path / "r.json", "recorded", loops, ITEMS, {"machine": "m", "jobs": 1, "ground": "recorded"})
    text = page(read(tmp_path / "r.json"), plan, {})
    assert "| ours | 2 | 1,000 | 2.500 | 2.400 | 2.360 | 1.00 (1.00 to 1.00) |" in text
    assert "| Self-Instruct | 2 | 1,000 | 2.500 | 2.400 | 2.460 | - |" in text
    assert "--ground recorded --alpaca FILE --human FILE --arms" in text


def test_a_page_written_anew_on_another_machine_keeps_the_machine_of_the_loops(tmp_path: Path) -> None:
    file, about = tmp_path / "r.json", {"machine": "one GPU", "jobs": 16, "ground": "development"}
    merge(file, "development", {"a": {"1": finished([1, 2], 10)}}, ITEMS, about)
    merge(file, "development", {}, ITEMS, {**about, "machine": "2 CPU cores"})
    assert read(file)["development"]["about"]["machine"] == "one GPU"


def test_loops_on_a_gpu_stand_beside_those_on_a_cpu_or_alone(tmp_path: Path) -> None:
    plan, file = load_plan(ARMS), tmp_path / "r.json"
    for ground in ("development", "recorded"):
        about = {"machine": "one GPU", "jobs": 16, "ground": ground}
        loops = {name: {"1": finished([2, 8, 14], 1000)} for name in (plan.ours, plan.baseline)}
        merge(file, ground, {}, ITEMS, about)  # the page was written before there were loops
        merge(file, f"{ground}_gpu", loops, ITEMS, about)
    alone = page(read(file), plan, {})
    assert "(ours against Self-Instruct)" in alone and "| ours | 1 | 2,000 | 2.500 |" in alone
    assert "The same loops on a GPU" not in alone

    for ground, arm in (("development", plan.ours), ("recorded", "sedi")):
        merge(file, ground, {arm: {"1": finished([2, 8, 9, 9], 1000)}}, ITEMS, about)
    few = page(read(file), plan, {})
    assert few.count("## Skill set recorded") == 2 and "The same loops on a GPU" not in few
    merge(file, "development", {plan.baseline: {"1": finished([2, 8, 9, 9], 1000)}}, ITEMS, about)
    assert "after rounds 1 / 2. What" in page(read(file), plan, {})


def test_baselines_that_are_named_are_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    monkeypatch.setattr("benchmarks.closed_loop._models", lambda folder: folder)
    monkeypatch.setattr(
        "benchmarks.closed_loop.run_all", lambda loops, *_: runs.extend(new.name for new in loops) or []
    )
    asked = ["--arms", "baselines,ours", "--seeds", "1", "--folder", str(tmp_path), "--docs", str(tmp_path / "docs")]
    assert CliRunner().invoke(closed_loop, asked).exit_code == 0
    assert runs == ["baselines, seed 1", "ours, seed 1"]


@pytest.mark.parametrize(("gpu", "record"), [("", "development"), ("One GPU", "development_gpu")])
def test_loops_on_a_gpu_have_a_record_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str, record: str
) -> None:
    monkeypatch.setattr("benchmarks.closed_loop._models", lambda folder: folder)
    monkeypatch.setattr("benchmarks.closed_loop._gpu", lambda: gpu)
    asked = ["--report", "--folder", str(tmp_path / "loops"), "--docs", str(tmp_path)]
    assert CliRunner().invoke(closed_loop, asked).exit_code == 0
    written = json.loads((tmp_path / "results.json").read_text())
    assert list(written) == [record] and written[record]["about"]["machine"].endswith(gpu or "no GPU")


def test_the_students_of_a_loop_are_measured_in_one_process_and_every_loop_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[list[str]] = []
    monkeypatch.setattr(measuring, "_jobs", lambda loop, _: [] if loop == "measured" else [{"student": loop}])
    monkeypatch.setattr(measuring, "_in_one_process", lambda share, threads: shares.append([loop for loop, _ in share]))
    loops: Any = ["a", "measured", "b", "c"]
    measuring.measure(loops, ITEMS, processes=2, threads=1)
    assert sorted(shares) == [["a", "c"], ["b"]]
    measuring.measure(loops[1:2], ITEMS, processes=2, threads=1)
    assert len(shares) == 2


def test_project_seeds_that_are_none_are_refused_in_one_line() -> None:
    result = CliRunner().invoke(closed_loop, ["--seeds", "x", "--report"])
    assert result.exit_code == 2 and "expected a number such as 2, or a range such as 1-3" in result.output


def test_the_command_that_runs_the_loops_again_names_none_whose_settings_are_gone() -> None:
    loop = {"seconds": 60.0, "commit": "abc"}
    ground = {"items": [], "arms": {"ours": {"1": loop}, "former_defaults": {"1": loop}}}
    told = _about({"machine": "one", "jobs": 1, "ground": "development"}, ground, load_plan(ARMS))
    assert "--arms ours --docs" in told
