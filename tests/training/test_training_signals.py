"""Signals are what a straightforward computation, one example at a time, comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.training.sft import train
from tests.training.conftest import MakeJob, silent, training_rows


@pytest.fixture(scope="module")
def by_hand(tiny_student: Path) -> dict[str, Any]:
    """Loss by example, with and without its prompt, and the first batch's gradient norm, by transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_student)
    model = AutoModelForCausalLM.from_pretrained(tiny_student, dtype=torch.float32)
    losses, alone, sums, tokens = [], [], [], []
    for row in training_rows(10).iter_rows(named=True):
        user = {"role": "user", "content": row["prompt"]}
        prompt = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        chat = [user, {"role": "assistant", "content": row["output"]}]
        whole = tokenizer.apply_chat_template(chat, tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        total = _answer_loss(model, ids, start)
        sums.append(total)
        tokens.append(len(ids) - start)
        losses.append(total.item() / tokens[-1])
        opening = tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
        alone.append(_answer_loss(model, [*opening, *ids[start:]], len(opening)).item() / tokens[-1])
    (torch.stack(sums[:4]).sum() / sum(tokens[:4])).backward()
    squares = [p.grad.square().sum() for p in model.parameters() if p.grad is not None]
    return {
        "losses": losses,
        "alone": alone,
        "tokens": tokens,
        "first_loss": sum(s.item() for s in sums[:4]) / sum(tokens[:4]),
        "first_norm": torch.stack(squares).sum().sqrt().item(),
    }


def _answer_loss(model: Any, ids: list[int], start: int) -> Any:
    import torch

    logits = model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[start:]), reduction="sum")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, tiny_student: Path) -> Path:
    """A training with every signal, in fp32, all weights, micro-batches of two."""
    from tests.training.conftest import job_for

    folder = tmp_path_factory.mktemp("signals")
    job = job_for(tiny_student, folder, method="full", precision="fp32", example_losses=True, micro_batch_size=2)
    held_out = training_rows(6).select("example_id", "category", "prompt", "output")
    held_out.write_parquet(folder / "held_out.parquet")
    train(job | {"held_out": str(folder / "held_out.parquet"), "held_out_every": 2, "ifd": True}, silent)
    return folder


def test_a_steps_loss_and_gradient_norm_are_those_of_its_examples_one_by_one(
    measured: Path, by_hand: dict[str, Any]
) -> None:
    first = pl.read_parquet(measured / "steps.parquet").row(0, named=True)
    assert first["loss"] == pytest.approx(by_hand["first_loss"], rel=1e-5)
    assert first["grad_norm"] == pytest.approx(by_hand["first_norm"], rel=1e-4)
    assert first["completion_tokens"] == sum(by_hand["tokens"][:4])


def test_each_examples_loss_before_and_after_the_round_is_known(measured: Path, by_hand: dict[str, Any]) -> None:
    examples = pl.read_parquet(measured / "examples.parquet")
    assert examples["example_id"].to_list() == [f"e{n}" for n in range(10)]
    assert examples["loss_before"].to_list() == pytest.approx(by_hand["losses"], rel=1e-5)
    assert examples["answer_tokens"].to_list() == by_hand["tokens"]
    assert examples["loss_after"].mean() < examples["loss_before"].mean()


def test_ifd_is_the_loss_with_the_instruction_by_the_loss_without(measured: Path, by_hand: dict[str, Any]) -> None:
    examples = pl.read_parquet(measured / "examples.parquet")
    expected = [a / b for a, b in zip(by_hand["losses"], by_hand["alone"], strict=True)]
    assert examples["ifd_loss_ratio"].to_list() == pytest.approx(expected, rel=1e-4)


def test_the_held_out_loss_is_told_by_category_before_during_and_after(measured: Path, by_hand: dict[str, Any]) -> None:
    heldout = pl.read_parquet(measured / "heldout.parquet")
    assert heldout.select("step", "category").rows() == [(s, c) for s in (0, 2, 3) for c in ("coding", "math")]
    total = sum(by_hand["losses"][n] * by_hand["tokens"][n] for n in (0, 2, 4))
    before = heldout.filter(pl.col("step") == 0, pl.col("category") == "math").row(0, named=True)
    assert before["loss"] == pytest.approx(total / sum(by_hand["tokens"][n] for n in (0, 2, 4)), rel=1e-5)


def test_what_was_not_asked_for_is_null_and_costs_no_pass(tmp_path: Path, make_job: MakeJob) -> None:
    lines: list[str] = []
    train(make_job(tmp_path, rows=4), lines.append)
    examples = pl.read_parquet(tmp_path / "examples.parquet")
    assert examples.select("loss_before", "loss_after", "ifd_loss_ratio").null_count().row(0) == (4, 4, 4)
    assert pl.read_parquet(tmp_path / "heldout.parquet").is_empty()
    assert not any("measuring" in line for line in lines)


def test_long_answers_are_left_to_the_trainers_own_head_with_the_same_loss_and_gradient(
    monkeypatch: pytest.MonkeyPatch, tiny_student: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from sedi_dagster.training import head

    ids = torch.arange(1, 40).reshape(3, 13)
    labels = ids.clone()
    labels[:, :3] = -100
    found = []
    for most in (head.MAX_LOGITS, 7):
        monkeypatch.setattr(head, "MAX_LOGITS", most)
        model = AutoModelForCausalLM.from_pretrained(tiny_student, dtype=torch.float32)
        add_fused_lm_head(model)
        assert head.use_answer_head(model)
        loss = model(input_ids=ids, labels=labels, fused_lm_head=True).loss
        loss.backward()
        found.append((loss.item(), model.get_input_embeddings().weight.grad))
    plain = AutoModelForCausalLM.from_pretrained(tiny_student, dtype=torch.float32)
    assert found[0][0] == pytest.approx(plain(input_ids=ids, labels=labels).loss.item(), rel=1e-6)
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


def test_a_student_whose_output_layer_is_not_understood_keeps_the_trainers_own_head(tiny_student: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    from sedi_dagster.training.head import use_answer_head

    class ByPosition(LlamaForCausalLM):
        """Logits depend on where a token stands: fewer positions would come out otherwise."""

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * torch.arange(1, output.logits.shape[1] + 1)[None, :, None]
            return output

    model = AutoModelForCausalLM.from_pretrained(tiny_student, dtype=torch.float32)
    model.__class__ = ByPosition
    own = model.forward
    assert not use_answer_head(model) and model.forward == own
