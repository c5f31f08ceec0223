"""Columns of the tables that training writes. Imports nothing heavy, so that any module can import it."""

from __future__ import annotations

from typing import Any

import polars as pl

STEP_SCHEMA: dict[str, Any] = {
    "step": pl.Int64,
    "loss": pl.Float64,  # mean over the completion tokens, in nats
    "grad_norm": pl.Float64,  # before clipping
    "grad_norm_per_token": pl.Float64,
    "learning_rate": pl.Float64,
    "tokens": pl.Int64,  # prompts, chat markers and completions
    "completion_tokens": pl.Int64,
    "seconds": pl.Float64,
    "example_ids": pl.List(pl.String),
}
EXAMPLE_SCHEMA: dict[str, Any] = {
    "example_id": pl.String,
    "category": pl.String,
    "origin": pl.String,
    "loss_before": pl.Float64,
    "loss_after": pl.Float64,
    "answer_tokens": pl.Int64,
    "ifd_loss_ratio": pl.Float64,  # null unless requested (Cherry LLM, NAACL 2024, long 421)
    "ifd_perplexity_ratio": pl.Float64,  # the other ratio called IFD (Superfiltering, arXiv 2402.00530)
}
HELDOUT_SCHEMA: dict[str, Any] = {
    "step": pl.Int64,  # 0: before the first step
    "category": pl.String,
    "loss": pl.Float64,  # mean over the category's completion tokens
    "examples": pl.Int64,
    "answer_tokens": pl.Int64,
}
