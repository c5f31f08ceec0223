"""Students of other families than the bundled one: labels, ends of answers, answers, losses and gradient norms.

Each is held against plain computation by transformers alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.student.chat import (
    answer_ids,
    chat_text,
    closing_token,
    end_tokens,
    question_text,
    token_ids,
)
from sedi_dagster.student.loading import load_student, load_tokenizer, token_counter
from sedi_dagster.student.reading import NOT_PADDED
from sedi_dagster.training.sft import train
from tests.student.families import FAMILIES, Family, write_student
from tests.training.conftest import job_for, silent, training_rows


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(scope="module")
def student(family: Family, tmp_path_factory: pytest.TempPathFactory) -> str:
    import torch

    torch.set_num_threads(1)
    return str(write_student(family, tmp_path_factory.mktemp(family.name.replace(".", "-"))))


def test_an_answer_is_closed_as_in_the_familys_chats_and_every_end_is_known(family: Family, student: str) -> None:
    tokenizer = load_tokenizer(student)
    assert tokenizer.convert_ids_to_tokens(closing_token(tokenizer)) == family.closing
    ends = end_tokens(tokenizer, load_student(student, None))
    assert set(tokenizer.convert_ids_to_tokens(sorted(ends))) == {family.eos, family.closing, *family.ends}
    ids = answer_ids(tokenizer, "What is it?", "A lamp.")
    assert tokenizer.decode(ids).strip() == "A lamp." + family.closing
    asked = question_text(tokenizer, "What is it?")
    assert "enable_thinking" not in family.template or asked.rstrip().endswith("</think>")
    assert asked == question_text(tokenizer, "What is it?") and ("Today" not in asked or "Jul 2024" in asked)


def test_the_answer_alone_is_trained_on_with_the_loss_and_gradient_norm_of_a_plain_forward_pass(
    tmp_path: Path, student: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    job = job_for(Path(student), tmp_path, rows=4, method="full", precision="fp32", example_losses=True)
    train(job, silent)
    step = pl.read_parquet(tmp_path / "steps.parquet").row(0, named=True)
    examples = pl.read_parquet(tmp_path / "examples.parquet")

    tokenizer = load_tokenizer(student)
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    sums, counts = [], []
    for row in training_rows(4).iter_rows(named=True):
        asked = token_ids(tokenizer, question_text(tokenizer, row["prompt"]))
        whole = token_ids(tokenizer, chat_text(tokenizer, row["prompt"], row["output"]))
        assert whole[: len(asked)] == asked
        logits = model(input_ids=torch.tensor([whole])).logits[0, len(asked) - 1 : -1]
        sums.append(torch.nn.functional.cross_entropy(logits, torch.tensor(whole[len(asked) :]), reduction="sum"))
        counts.append(len(whole) - len(asked))
        assert tokenizer.decode(whole[len(asked) :]).strip().startswith(row["output"])
    assert examples["answer_tokens"].to_list() == counts and step["completion_tokens"] == sum(counts)
    losses = [float(total) / count for total, count in zip(sums, counts, strict=True)]
    assert examples["loss_before"].to_list() == pytest.approx(losses, rel=1e-4)
    loss = torch.stack(sums).sum() / sum(counts)
    loss.backward()
    norm = torch.stack([p.grad.square().sum() for p in model.parameters() if p.grad is not None]).sum().sqrt()
    assert step["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert step["grad_norm"] == pytest.approx(norm.item(), rel=1e-3)
    count = token_counter(student)(*(training_rows(4)[name].to_list() for name in ("prompt", "output")))
    assert sum(count) == step["tokens"]


def items() -> list[dict[str, Any]]:
    return [
        {
            "id": f"i{n}",
            "key": f"key-{n}",
            "category": "math",
            "prompt": "How many are there? " * (1 + n),
            "verifier": "match",
            "args": {"aliases": ["nine"]},
            "reference": "nine " * (n + 1),
            "max_answer_tokens": 6 + 3 * (n % 3),
        }
        for n in range(6)
    ]


def test_answers_and_reference_losses_are_those_of_plain_generation_one_by_one(
    tmp_path: Path, family: Family, student: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another end is added, one that random weights do come to, so that answers end early and leave the batch."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(student)
    plain = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)

    def generated(item: dict[str, Any], **given: Any) -> list[int]:
        ids = torch.tensor([token_ids(tokenizer, question_text(tokenizer, item["prompt"]))])
        found = plain.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=item["max_answer_tokens"],
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            **given,
        )
        said: list[int] = found[0, ids.shape[1] :].tolist()
        return said

    early = generated(items()[2])[3]
    several = sorted({*end_tokens(tokenizer, plain), early})
    settings = Path(student) / "generation_config.json"
    before = settings.read_text()
    plain.generation_config.eos_token_id = several
    plain.generation_config.save_pretrained(student)
    try:
        file, log = tmp_path / "results.jsonl", list[str]()
        job = {"student": student, "adapter": None, "items": items(), "results": str(file), "batch_size": 6}
        evaluate(job, log.append)
    finally:
        settings.write_text(before)
    assert (NOT_PADDED in log) == (family.name in ("jamba", "mamba"))
    rows = read_results(file)
    cut = []
    for item in items():
        said = generated(item, eos_token_id=several)
        row = rows[item["key"]]
        cut.append(said[-1] not in several)
        whole = said if cut[-1] else said[:-1]
        assert row["truncated"] == cut[-1] and row["answer_tokens"] == len(whole)
        assert row["answer"] == tokenizer.decode(whole, skip_special_tokens=True).strip()
        asked = token_ids(tokenizer, question_text(tokenizer, item["prompt"]))
        expected = answer_ids(tokenizer, item["prompt"], item["reference"])
        logits = plain(input_ids=torch.tensor([asked + expected])).logits[0, len(asked) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(expected))
        assert row["reference_loss"] == pytest.approx(loss.item(), abs=1e-3)
    assert not all(cut), "no answer ended by itself"
