"""The training workload on a tiny student: order, signals, what it leaves behind."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from sedi_dagster.errors import ModelError, WorkloadError
from sedi_dagster.training import setup
from sedi_dagster.training.sft import train
from sedi_dagster.training.varlen import register
from tests.student.families import FAMILIES, write_student
from tests.training.conftest import MakeJob, job_for, silent, training_rows


def test_it_trains_the_composed_batches_in_their_order_and_tells_of_each_step(
    tmp_path: Path, make_job: MakeJob
) -> None:
    lines: list[str] = []
    train(make_job(tmp_path), lines.append)
    steps = pl.read_parquet(tmp_path / "steps.parquet")
    assert steps["example_ids"].to_list() == [["e0", "e1", "e2", "e3"], ["e4", "e5", "e6", "e7"], ["e8", "e9"]]
    assert (steps["grad_norm"] > 0).all() and (steps["seconds"] > 0).all()
    assert (steps["tokens"] > steps["completion_tokens"]).all() and (steps["completion_tokens"] > 0).all()
    per_token = (steps["grad_norm"] / steps["completion_tokens"]).to_list()
    assert steps["grad_norm_per_token"].to_list() == pytest.approx(per_token)
    assert any(line.startswith("progress train 3/3") for line in lines)


def test_micro_batches_change_neither_order_nor_signals(tmp_path: Path, make_job: MakeJob) -> None:
    for size in (4, 3, 1):
        train(make_job(tmp_path / str(size), epochs=2, micro_batch_size=size, precision="fp32"), silent)
    whole, *parts = (pl.read_parquet(tmp_path / str(size) / "steps.parquet") for size in (4, 3, 1))
    for part in parts:
        assert part.select("example_ids", "tokens").equals(whole.select("example_ids", "tokens"))
        for name in ("loss", "grad_norm"):
            assert part[name].to_list() == pytest.approx(whole[name].to_list(), rel=1e-3)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_rows_without_padding_give_the_same_gradients_in_the_same_order(
    tmp_path: Path, make_job: MakeJob, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FlashAttention needs a GPU; transformers gives the same rows to `sdpa` as blocks of one mask."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    asked = {"epochs": 2, "micro_batch_size": 4, "precision": "fp32", "method": method, "attention": "sdpa"}
    train(make_job(tmp_path / "padded", **asked), silent)
    monkeypatch.setattr(setup, "PADDING_FREE", frozenset({"sdpa"}))
    shapes: list[tuple[int, ...]] = []
    collate = DataCollatorForLanguageModeling.torch_call

    def seen(self: Any, rows: Any) -> Any:
        output = collate(self, rows)
        shapes.append(tuple(output["input_ids"].shape))
        return output

    monkeypatch.setattr(DataCollatorForLanguageModeling, "torch_call", seen)
    train(make_job(tmp_path / "flat", **asked), silent)
    padded, flat = (pl.read_parquet(tmp_path / name / "steps.parquet") for name in ("padded", "flat"))
    assert flat.select("example_ids", "completion_tokens").equals(padded.select("example_ids", "completion_tokens"))
    assert shapes and {rows for rows, _ in shapes} == {1}
    for name in ("loss", "grad_norm"):
        assert flat[name].to_list() == pytest.approx(padded[name].to_list(), rel=1e-3)


@pytest.fixture
def varlen_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's kernel, which needs a GPU, row by row."""
    import torch
    from torch.nn.attention import varlen
    from torch.nn.functional import scaled_dot_product_attention

    def row_by_row(query: Any, key: Any, value: Any, ends: Any, *_: Any, scale: float, window_size: Any) -> Any:
        assert window_size == (-1, 0)
        rows = [slice(*span) for span in pairwise(ends.tolist())]
        parts = ([states[row].transpose(0, 1) for states in (query, key, value)] for row in rows)
        return torch.cat(
            [scaled_dot_product_attention(*part, is_causal=True, scale=scale).transpose(0, 1) for part in parts]
        )

    monkeypatch.setattr(varlen, "varlen_attn", row_by_row)
    monkeypatch.setattr(setup, "check_available", lambda: None)


@pytest.mark.usefixtures("varlen_on_a_cpu")
def test_varlen_attention_reads_each_row_as_padded_rows_are_read(tmp_path: Path, make_job: MakeJob) -> None:
    asked = {"micro_batch_size": 4, "precision": "fp32", "example_losses": True}
    steps, examples = [], []
    for attention in ("sdpa", "varlen"):
        train(make_job(tmp_path / attention, attention=attention, **asked), silent)
        steps.append(pl.read_parquet(tmp_path / attention / "steps.parquet"))
        examples.append(pl.read_parquet(tmp_path / attention / "examples.parquet"))
    assert steps[1]["example_ids"].to_list() == steps[0]["example_ids"].to_list()
    for name in ("loss", "grad_norm"):
        assert steps[1][name].to_list() == pytest.approx(steps[0][name].to_list(), rel=1e-3)
    for name in ("loss_before", "loss_after"):  # read in padded batches
        assert examples[1][name].to_list() == pytest.approx(examples[0][name].to_list(), rel=1e-3)


@pytest.mark.usefixtures("varlen_on_a_cpu")
def test_varlen_attention_is_refused_where_a_family_wants_another_mask(tmp_path: Path) -> None:
    gemma = next(family for family in FAMILIES if family.name == "gemma2")
    job = job_for(write_student(gemma, tmp_path / "student"), tmp_path, attention="varlen", precision="fp32")
    with pytest.raises(
        ModelError, match=r"(?s)with attention varlen .*does not support sliding_window.*ATTENTION=auto"
    ):
        train(job, silent)


@pytest.mark.usefixtures("varlen_on_a_cpu")
def test_varlen_attention_is_refused_where_the_mask_alone_tells_of_a_window() -> None:
    import torch
    from transformers import PhimoeConfig, PhimoeForCausalLM

    sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 64}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1, "num_local_experts": 2}
    model = PhimoeForCausalLM(PhimoeConfig(**sizes, **heads, sliding_window=4, bos_token_id=1, eos_token_id=2)).eval()
    register()
    model.set_attn_implementation("varlen")
    with pytest.raises(ValueError, match="does not support sliding_window"):
        model(torch.arange(3, 19)[None])


def test_varlen_attention_is_refused_without_its_gpu(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ModelError, match=r"(?s)SEDI_TRAINING_ATTENTION=varlen needs an NVIDIA GPU.*ATTENTION=auto"):
        train(make_job(tmp_path, attention="varlen"), silent)


def test_a_student_whose_state_goes_on_into_the_next_row_is_not_trained_without_padding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jamba = next(family for family in FAMILIES if family.name == "jamba")
    job = job_for(write_student(jamba, tmp_path / "student"), tmp_path, attention="sdpa", precision="fp32")
    monkeypatch.setattr(setup, "PADDING_FREE", frozenset({"sdpa"}))
    with pytest.raises(ModelError, match=r"(?s)as one text.*SEDI_TRAINING_ATTENTION=auto instead of sdpa"):
        train(job, silent)


def test_no_answer_is_cut(tmp_path: Path, make_job: MakeJob) -> None:
    """Its prompt fits, its end does not: TRL would train on the beginning of the answer."""
    with pytest.raises(WorkloadError, match=r"Row e0 has \d+ tokens, more than SEDI_TRAINING_MAX_LENGTH=32"):
        train(make_job(tmp_path, max_length=32), silent)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, make_job: MakeJob) -> None:
    for name in ("one", "two"):
        train(make_job(tmp_path / name), silent)
    one, two = (tmp_path / name / "checkpoint" / "adapter_model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_later_round_goes_on_from_the_adapter(tmp_path: Path, make_job: MakeJob) -> None:
    train(make_job(tmp_path / "first"), silent)
    train(make_job(tmp_path / "second", checkpoint=tmp_path / "first" / "checkpoint"), silent)
    first, second = (pl.read_parquet(tmp_path / name / "steps.parquet") for name in ("first", "second"))
    assert second["loss"][0] < first["loss"][0]


def test_a_row_that_does_not_fit_stops_the_step_and_is_named(tmp_path: Path, make_job: MakeJob) -> None:
    asked = make_job(tmp_path, max_length=60)
    long = pl.when(pl.col("example_id") == "e2").then(pl.lit("word " * 200)).otherwise(pl.col("prompt"))
    training_rows(10).with_columns(prompt=long).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(WorkloadError, match=r"(?s)Row e2 has \d+ tokens, more than SEDI_TRAINING_MAX_LENGTH=60.*Raise"):
        train(asked, silent)
    assert not (tmp_path / "checkpoint").exists()


def test_a_finished_job_is_not_trained_again(tmp_path: Path, make_job: MakeJob) -> None:
    job = make_job(tmp_path, rows=4)
    train(job, silent)
    (tmp_path / "steps.parquet").unlink()
    lines: list[str] = []
    train(job, lines.append)
    assert not (tmp_path / "steps.parquet").exists() and "done" in lines[0]


def test_a_loss_that_is_no_number_ends_training_at_once_and_says_what_to_change(
    tmp_path: Path, make_job: MakeJob, tiny_student: Path
) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_student, student)
    weights = load_file(student / "model.safetensors")
    save_file(weights | {"model.norm.weight": weights["model.norm.weight"] * 1e25}, student / "model.safetensors")
    with pytest.raises(WorkloadError, match="SEDI_TRAINING_LEARNING_RATE") as raised:
        train(make_job(tmp_path) | {"student": str(student)}, silent)
    assert "diverged" in raised.value.problem
    assert not (tmp_path / "checkpoint").exists()


def test_a_missing_student_is_told(tmp_path: Path, make_job: MakeJob) -> None:
    with pytest.raises(ModelError, match="SEDI_TRAINING_STUDENT"):
        train(make_job(tmp_path) | {"student": str(tmp_path / "nowhere")}, silent)


def test_an_adapter_of_another_student_is_told(tmp_path: Path, make_job: MakeJob) -> None:
    train(make_job(tmp_path / "first", rows=4), silent)
    config = tmp_path / "first" / "checkpoint" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 3}))
    with pytest.raises(ModelError, match="size mismatch"):
        train(make_job(tmp_path / "second", checkpoint=tmp_path / "first" / "checkpoint"), silent)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_making_activations_again_changes_memory_and_nothing_else(
    tmp_path: Path, make_job: MakeJob, method: str
) -> None:
    for again in (True, False):
        asked = make_job(tmp_path / str(again), method=method, gradient_checkpointing=again, precision="fp32")
        train(asked, silent)
    one, two = (pl.read_parquet(tmp_path / str(again) / "steps.parquet") for again in (True, False))
    assert one["loss"].to_list() == pytest.approx(two["loss"].to_list(), rel=1e-5)
    assert one["grad_norm"].to_list() == pytest.approx(two["grad_norm"].to_list(), rel=1e-4)


def test_a_number_of_steps_goes_through_the_batches_again_and_again_in_their_order(
    tmp_path: Path, make_job: MakeJob
) -> None:
    train(make_job(tmp_path, steps=5), silent)
    steps = pl.read_parquet(tmp_path / "steps.parquet")["example_ids"].to_list()
    assert len(steps) == 5 and steps[3:] == steps[:2] and steps[2] == ["e8", "e9"]
