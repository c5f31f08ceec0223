"""Instruction-following difficulty (IFD): how much an instruction helps the student to predict the answer.

For an answer A of N tokens to a prompt Q, with the student's mean losses per token

    L(A|Q) = -1/N sum_i log p(a_i | Q, a_1 ... a_(i-1)),     L(A) = -1/N sum_i log p(a_i | a_1 ... a_(i-1)),

two ratios are called IFD. They rank examples differently:

    ifd_loss_ratio       = L(A|Q) / L(A)                     Cherry LLM (Li and others, NAACL 2024, long 421)
    ifd_perplexity_ratio = exp(L(A|Q)) / exp(L(A))           Superfiltering (Li and others, ACL 2024, long 769)

If one is above 1, so is the other: the instruction makes the answer less likely, and the example is dropped. Of the
other examples those with the highest ratios are kept, because the instruction helps least there, and most is left to
learn. The share to keep applies in each category: a global one would drop most of editing and classification, whose
answers follow from the input.

As in Cherry LLM, the answer alone still follows the chat template's generation prompt. The workload computes scores,
and `ifd_verdicts` decides. Run it by hand with `python -m sedi_dagster.filtering.ifd --job job.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sedi_dagster.student.chat import answer_ids, opening_ids, question_text, token_ids
from sedi_dagster.student.loading import load_student, load_tokenizer
from sedi_dagster.student.losses import answer_losses
from sedi_dagster.student.reading import NOT_PADDED, takes_padding
from sedi_dagster.workloads.process import Log, progress_log, workload_main

Ratio = Literal["loss_ratio", "perplexity_ratio"]

IFD_SCHEMA: dict[str, Any] = {
    "candidate_id": pl.String,
    "category": pl.String,
    "answer_tokens": pl.Int64,
    "loss_given_prompt": pl.Float64,  # nats per token
    "loss_alone": pl.Float64,
    "ifd_loss_ratio": pl.Float64,
    "ifd_perplexity_ratio": pl.Float64,
}


def score_examples(job: Mapping[str, Any], log: Log) -> None:
    """Run the workload: write `ifd.parquet` (`IFD_SCHEMA`), one row an example, in order.

    Args:
        job: `student`, a source for `from_pretrained` (the base student, without an adapter); `rows`, a Parquet file
            with candidate_id, category, prompt and output; `output`, the folder for `ifd.parquet`.
    """
    rows = pl.read_parquet(job["rows"])
    report = progress_log(log, "ifd")
    tokenizer = load_tokenizer(job["student"])
    model = load_student(job["student"], adapter=None, inference=True)
    model.eval()
    pairs = rows.select("prompt", "output").rows()
    answers = [answer_ids(tokenizer, prompt, output) for prompt, output in pairs]
    prompts = [token_ids(tokenizer, question_text(tokenizer, prompt)) for prompt, _ in pairs]

    def count(before: int, done: int) -> None:
        report(before + done, 2 * rows.height, {})

    padded = takes_padding(model)
    if not padded:
        log(NOT_PADDED)
    given_prompt = answer_losses(model, prompts, answers, padded=padded, report=partial(count, 0))
    no_prompts = [opening_ids(tokenizer)] * rows.height
    alone = answer_losses(model, no_prompts, answers, padded=padded, report=partial(count, rows.height))
    scores = rows.select("candidate_id", "category").with_columns(
        pl.Series("answer_tokens", [len(answer) for answer in answers], dtype=pl.Int64),
        pl.Series("loss_given_prompt", given_prompt, dtype=pl.Float64),
        pl.Series("loss_alone", alone, dtype=pl.Float64),
    )
    with_ratios(scores).write_parquet(Path(job["output"]) / "ifd.parquet")


def with_ratios(scores: pl.DataFrame) -> pl.DataFrame:
    """Add both ratios to scores with `loss_given_prompt` and `loss_alone`."""
    given_prompt, alone = pl.col("loss_given_prompt"), pl.col("loss_alone")
    ratios = {"ifd_loss_ratio": given_prompt / alone, "ifd_perplexity_ratio": (given_prompt - alone).exp()}
    return scores.with_columns(**ratios).select(pl.col(name).cast(kind) for name, kind in IFD_SCHEMA.items())


def ifd_verdicts(scores: pl.DataFrame, ratio: Ratio, share: float) -> pl.DataFrame:
    """Return the examples to drop, as `candidate_id`, `rule`, `score`, `threshold`.

    Args:
        scores: as the workload wrote them.
        share: share of each category's examples with a ratio of at most 1 to keep (rounded up), the highest first.
    """
    name = f"ifd_{ratio}"
    value = pl.col(name)
    is_above = (value > 1) | ~value.is_finite()
    above = scores.filter(is_above).select(
        "candidate_id", rule=pl.lit(f"{name}_above_one"), score=value, threshold=pl.lit(1.0)
    )
    rest = scores.filter(~is_above).sort("category", name, descending=[False, True], maintain_order=True)
    kept = (pl.len().over("category") * share).ceil()
    place = pl.int_range(pl.len()).over("category")
    lowest_kept = value.filter(place < kept).min().over("category")
    low = rest.with_columns(threshold=lowest_kept).filter(place >= kept)
    rule = pl.lit(f"{name}_not_in_share")
    return pl.concat([above, low.select("candidate_id", rule=rule, score=value, threshold="threshold")])


def drop_by_ifd(verdicts: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    """Reject the examples that `ifd_verdicts` returns."""
    changes = dropped.select(
        "candidate_id", state=pl.lit("rejected"), rule="rule", score="score", threshold="threshold"
    )
    return verdicts.update(changes, on="candidate_id", how="left")


if __name__ == "__main__":
    workload_main("Score the instruction-following difficulty of examples with the base student.", score_examples)
