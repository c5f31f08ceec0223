"""What a round leaves behind loads with plain libraries, and later rounds go on from it, whatever its kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.storage.rounds import checkpoints_to_prune
from sedi_dagster.student.loading import load_student
from sedi_dagster.training.card import with_scores
from sedi_dagster.training.sft import train
from tests.training.conftest import MakeJob, silent


def trained(make_job: MakeJob, folder: Path, **settings: Any) -> Path:
    checkpoint = folder / "checkpoint"
    train(
        make_job(folder, rows=8, **settings) | {"about": {"round": "round-0007", "location": str(checkpoint)}}, silent
    )
    return checkpoint


def lines_of(card: str) -> str:
    found = re.search(r"```python\n(.*?)\n```", card, re.DOTALL)
    assert found is not None
    return found[1]


def same_output(one: Any, other: Any) -> bool:
    import torch

    ids = torch.arange(1, 9).reshape(1, 8)
    one.eval(), other.eval()
    with torch.no_grad():
        return torch.allclose(one(input_ids=ids).logits, other(input_ids=ids).logits, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_three_lines_of_the_card_load_the_checkpoint(
    tmp_path: Path, make_job: MakeJob, tiny_student: Path, method: str
) -> None:
    checkpoint = trained(make_job, tmp_path, method=method)
    card = (checkpoint / "README.md").read_text()
    lines = lines_of(card)
    assert len(lines.splitlines()) == 3
    loaded: dict[str, Any] = {}
    exec(lines, loaded)
    assert same_output(loaded["model"], load_student(str(tiny_student), checkpoint))
    assert not same_output(loaded["model"], load_student(str(tiny_student), None))
    text = loaded["tokenizer"].apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert "<|im_start|>user\nHi" in text
    assert "round-0007" in card and f'"learning_rate": {5e-4 if method == "lora" else 5e-5}' in card
    names = {file.name for file in checkpoint.iterdir()}
    assert {"tokenizer.json", "chat_template.jinja"} <= names
    assert ("adapter_config.json" in names) == (method == "lora")
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pth"))}, "no pickle"


@pytest.mark.parametrize(
    ("first", "second", "whole"), [("full", "full", True), ("full", "lora", True), ("lora", "full", True)]
)
def test_a_round_goes_on_from_a_checkpoint_of_either_kind(
    tmp_path: Path, make_job: MakeJob, tiny_student: Path, first: str, second: str, whole: bool
) -> None:
    before = trained(make_job, tmp_path / "first", method=first, precision="fp32")
    after = trained(
        make_job, tmp_path / "second", method=second, checkpoint=before, learning_rate=1e-12, precision="fp32"
    )
    assert (after / "model.safetensors").exists() == whole and not (after / "adapter_config.json").exists()
    assert same_output(load_student(str(tiny_student), after), load_student(str(tiny_student), before))
    moved = trained(make_job, tmp_path / "third", method=second, checkpoint=before, precision="fp32")
    assert not same_output(load_student(str(tiny_student), moved), load_student(str(tiny_student), before))


def test_the_card_takes_the_scores_of_the_evaluation_and_takes_them_again() -> None:
    card = "# A card\n\n## Scores\n\nNot evaluated yet.\n"
    scored = with_scores(card, 0.5, True, [("math", 3, 6)])
    assert "50.0% of the evaluation items passed; promoted" in scored and "| math | 3 of 6 |" in scored
    assert "Not evaluated" not in scored
    assert with_scores(scored, 0.5, True, [("math", 3, 6)]) == scored


def test_old_checkpoints_go_and_promoted_ones_never() -> None:
    there = [f"round-000{n}" for n in range(1, 8)]
    assert checkpoints_to_prune(there, ["round-0002"], "round-0007", 3) == ["round-0001", "round-0003", "round-0004"]
    assert checkpoints_to_prune(there, [], "round-0003", 1) == ["round-0001", "round-0002"], "later rounds are let be"
    assert checkpoints_to_prune(there, [], "round-0007", None) == []
    assert checkpoints_to_prune(there[:2], [], "round-0002", 5) == []
