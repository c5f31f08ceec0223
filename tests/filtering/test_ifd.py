"""Instruction-following difficulty: scores of a batch are those of each example alone; the rest is arithmetic."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.filtering.ifd import IFD_SCHEMA, drop_by_ifd, ifd_verdicts, score_examples, with_ratios
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.settings import PROJECT_ROOT

EXAMPLES = [
    ("a", "math", "What is 2 + 3?", "5"),
    ("b", "math", "What is 2 + 3? " * 20, "The sum of two and three is five, as counting on one hand shows."),
    ("c", "open_qa", "Say hi.", "Hi there! " * 40),
    ("d", "open_qa", "写一首诗", "春天来了。"),
    ("e", "coding", "Reverse a list in Python.\n\n[1, 2]", "xs[::-1]\n"),
    *((f"f{n}", "math", f"Count to {n}.", " ".join(map(str, range(n)))) for n in range(1, 40)),
]


def write_rows(path: Path, rows: list[tuple[str, str, str, str]]) -> str:
    frame = pl.DataFrame(rows, schema=["candidate_id", "category", "prompt", "output"], orient="row")
    frame.write_parquet(path)
    return str(path)


def losses_one_by_one(source: str, prompt: str, output: str) -> tuple[float, float]:
    """The definition, token by token, without batches, padding or cached loss functions."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModelForCausalLM.from_pretrained(source).eval()
    answer = [*tokenizer(output, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    found = []
    for context in (chat, "<|im_start|>assistant\n"):
        ids = [*tokenizer(context, add_special_tokens=False)["input_ids"], *answer]
        with torch.inference_mode():
            log_p = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        start = len(ids) - len(answer)
        found.append(-sum(log_p[start + i - 1, token].item() for i, token in enumerate(answer)) / len(answer))
    return found[0], found[1]


@pytest.fixture(scope="module")
def scores(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("ifd")
    rows = write_rows(folder / "rows.parquet", EXAMPLES)
    lines: list[str] = []
    score_examples({"student": str(tiny_student), "rows": rows, "output": str(folder)}, lines.append)
    assert lines and f"{2 * len(EXAMPLES)}/{2 * len(EXAMPLES)}" in lines[-1].replace(" ", "")
    return pl.read_parquet(folder / "ifd.parquet")


def test_scores_of_a_batch_are_those_of_each_example_alone(scores: pl.DataFrame, tiny_student: Path) -> None:
    assert scores.schema == pl.Schema(IFD_SCHEMA)
    assert scores["candidate_id"].to_list() == [row[0] for row in EXAMPLES]
    for (_, _, prompt, output), row in zip(EXAMPLES[:8], scores.iter_rows(named=True), strict=False):
        given, alone = losses_one_by_one(str(tiny_student), prompt, output)
        assert row["loss_given_prompt"] == pytest.approx(given, rel=1e-5)
        assert row["loss_alone"] == pytest.approx(alone, rel=1e-5)
        assert row["ifd_loss_ratio"] == pytest.approx(given / alone, rel=1e-5)
        assert row["ifd_perplexity_ratio"] == pytest.approx(math.exp(given) / math.exp(alone), rel=1e-4)


def test_both_losses_are_of_the_same_tokens(scores: pl.DataFrame) -> None:
    by_id = {row["candidate_id"]: row for row in scores.iter_rows(named=True)}
    assert by_id["a"]["answer_tokens"] == 2, "one digit and the end of the turn"


@pytest.mark.slow
def test_the_bundled_student_scores_a_batch_as_it_scores_each_alone(tmp_path: Path) -> None:
    from sedi_dagster.models import BUNDLED_STUDENT
    from sedi_dagster.student.loading import student_source

    source = student_source(BUNDLED_STUDENT, PROJECT_ROOT / ".cache")
    rows = write_rows(tmp_path / "rows.parquet", EXAMPLES[:6])
    score_examples({"student": source, "rows": rows, "output": str(tmp_path)}, lambda _: None)
    for example, row in zip(EXAMPLES, pl.read_parquet(tmp_path / "ifd.parquet").iter_rows(named=True), strict=False):
        given, alone = losses_one_by_one(source, example[2], example[3])
        assert (row["loss_given_prompt"], row["loss_alone"]) == pytest.approx((given, alone), rel=1e-4)


@pytest.mark.usefixtures("warm_worker")
def test_the_workload_runs_by_hand_in_a_process_of_its_own(tmp_path: Path, tiny_student: Path) -> None:
    job = {"student": str(tiny_student), "rows": write_rows(tmp_path / "r.parquet", EXAMPLES[:2])}
    (tmp_path / "job.json").write_text(json.dumps({**job, "output": str(tmp_path)}))
    client = "sedi_dagster.workloads.warm_worker.client"  # as `python -m` does, with torch imported before
    command = [sys.executable, "-m", client, "sedi_dagster.filtering.ifd", "--job", str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT_ROOT)
    assert done.returncode == 0, done.stderr
    assert "ifd" in done.stdout
    assert pl.read_parquet(tmp_path / "ifd.parquet").height == 2


def scored(*rows: tuple[str, str, float, float]) -> pl.DataFrame:
    """(id, category, loss given the prompt, loss alone)"""
    frame = pl.DataFrame(rows, schema=["candidate_id", "category", "loss_given_prompt", "loss_alone"], orient="row")
    return with_ratios(frame.with_columns(answer_tokens=pl.lit(9)))


def dropped(scores: pl.DataFrame, ratio: Any = "loss_ratio", share: float = 0.5) -> dict[str, tuple[str, float, float]]:
    return {row[0]: row[1:] for row in ifd_verdicts(scores, ratio, share).iter_rows()}


def test_what_the_instruction_makes_less_likely_is_dropped_by_either_ratio() -> None:
    scores = scored(("a", "math", 2.2, 2.0), ("b", "math", 2.0, 2.0), ("c", "math", 1.0, 2.0))
    assert dropped(scores, "loss_ratio", 1.0) == {"a": ("ifd_loss_ratio_above_one", pytest.approx(1.1), 1.0)}
    assert dropped(scores, "perplexity_ratio", 1.0) == {
        "a": ("ifd_perplexity_ratio_above_one", pytest.approx(math.exp(0.2)), 1.0)
    }


def test_the_share_is_kept_in_each_category_not_of_all() -> None:
    scores = scored(
        *((f"m{i}", "math", 1.8 + i / 100, 2.0) for i in range(4)),
        *((f"e{i}", "extraction", 0.2 + i / 100, 2.0) for i in range(3)),
    )
    found = dropped(scores, share=0.5)
    assert set(found) == {"m0", "m1", "e0"}, "the highest ratios stay: 2 of 4 and, rounded up, 2 of 3"
    assert found["m1"] == ("ifd_loss_ratio_not_in_share", pytest.approx(1.81 / 2), pytest.approx(1.82 / 2))


def test_the_two_ratios_rank_differently() -> None:
    scores = scored(("short", "math", 0.3, 0.5), ("long", "math", 3.4, 4.0))
    assert set(dropped(scores, "loss_ratio")) == {"short"}
    assert set(dropped(scores, "perplexity_ratio")) == {"long"}


def test_a_score_that_is_no_number_is_dropped() -> None:
    scores = scored(("a", "math", math.nan, 2.0), ("b", "math", 0.0, 0.0), ("c", "math", 1.0, 2.0))
    assert set(dropped(scores, share=1.0)) == {"a", "b"}


def test_dropped_examples_become_verdicts_and_others_stay() -> None:
    verdicts = pl.DataFrame(
        [
            {"candidate_id": "a", "state": "kept", "instruction": "A"},
            {"candidate_id": "b", "state": "kept", "instruction": "B"},
            {"candidate_id": "c", "state": "rejected", "rule": "near_duplicate", "score": 0.9, "neighbour_id": "a"},
        ],
        schema=VERDICT_SCHEMA,
    )
    scores = scored(("a", "math", 2.2, 2.0), ("b", "math", 1.0, 2.0))
    after = drop_by_ifd(verdicts, ifd_verdicts(scores, "loss_ratio", 1.0))
    assert after["candidate_id"].to_list() == ["a", "b", "c"]
    assert after["rule"].to_list() == ["ifd_loss_ratio_above_one", None, "near_duplicate"]
    assert after["state"].to_list() == ["rejected", "kept", "rejected"]
    assert after.schema == verdicts.schema


def test_no_example_gives_no_verdict(tmp_path: Path, tiny_student: Path) -> None:
    rows = write_rows(tmp_path / "rows.parquet", [("x", "x", "x", "x")])
    pl.read_parquet(rows).clear().write_parquet(rows)
    score_examples({"student": str(tiny_student), "rows": rows, "output": str(tmp_path)}, lambda _: None)
    nothing = pl.read_parquet(tmp_path / "ifd.parquet")
    assert nothing.height == 0 and ifd_verdicts(nothing, "loss_ratio", 0.5).height == 0
