"""A candidate: from the teacher's text to an answered example, with its calls."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import polars as pl

from sedi_dagster.records import Rejection, TeacherAnswer, content_id

CANDIDATE_SCHEMA: dict[str, Any] = {
    "candidate_id": pl.String,
    "round": pl.String,
    "category": pl.String,
    "position": pl.Int64,
    "instruction_id": pl.String,  # the same for all instances of one instruction
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
    "problem": pl.String,
    "rejection_rule": pl.String,
    "rejection_score": pl.Float64,
    "rejection_threshold": pl.Float64,
    "rejection_neighbour_id": pl.String,
    "rejection_neighbour": pl.String,
    "method": pl.String,
    "teacher": pl.String,
    "prompt_version": pl.String,
    "parent_id": pl.String,  # the seed or example that this one was evolved from
    "demonstration_ids": pl.List(pl.String),
    "instruction_key": pl.String,  # the call that wrote the instruction
    "answer_key": pl.String,  # the call that wrote the output
    "further_keys": pl.List(pl.String),  # other calls that this candidate took
    "raw": pl.String,
}
CALL_SCHEMA: dict[str, Any] = {
    "request_key": pl.String,
    "purpose": pl.String,
    "category": pl.String,
    "finish_reason": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "latency_s": pl.Float64,
}

NOT_ASKED = "not answered: the budget was spent"


class CandidateFilter(Protocol):
    """The rules of filtering that generation applies before it pays for more."""

    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        """Return why the task should not be answered, or None. Call it in candidate order: it remembers what passes."""

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        """Return the rule that a finished example violates, or None. It remembers nothing."""


@dataclass
class Candidate:
    """A row of `CANDIDATE_SCHEMA` while it is generated.

    `problem` is set if it is malformed, `rejection` if it was rejected. At the end, a candidate with neither has an
    output.
    """

    candidate_id: str
    instruction_id: str
    instruction: str
    input: str
    is_classification: bool
    method: str
    prompt_version: str
    instruction_key: str
    raw: str
    output: str | None = None
    problem: str | None = None
    rejection: Rejection | None = None
    parent_id: str | None = None
    demonstration_ids: list[str] = field(default_factory=list)
    answer_key: str | None = None
    further_keys: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it is neither malformed nor rejected."""
        return self.problem is None and self.rejection is None


def candidate_id(request_key: str, number: int, raw: str) -> str:
    """Return the id of the candidate from the `number`-th piece of a call's text."""
    return content_id("cand", request_key, number, raw)


def instruction_id(request_key: str, instruction: str) -> str:
    """Return the id of an instruction of a call, which all its instances share."""
    return content_id("instr", request_key, instruction)


def answer_problem(answer: TeacherAnswer | None) -> str | None:
    """Return why an answer cannot be used, regardless of its content; None if it can."""
    if answer is None:
        return NOT_ASKED
    if answer.error:
        return error_problem(answer.error)
    if answer.is_cut:
        return "answer cut by length"
    return None if answer.text.strip() else "empty answer"


def error_problem(error: str) -> str:
    """Convert the error of an answer to the problem of a candidate."""
    kind, _, why = error.partition(": ")
    if kind == "malformed":
        return f"no answer: {why}"
    return f"no answer: {error}" if kind.startswith("failed") else f"teacher refused: {error}"


def candidate_frame(candidates: Iterable[Candidate], **same: Any) -> pl.DataFrame:
    """Return the candidates as a `CANDIDATE_SCHEMA` table, in order; `same`: columns with one value for all rows."""
    rows = []
    for position, candidate in enumerate(candidates):
        row = asdict(candidate) | same | {"position": position}
        rejection = candidate.rejection or (None,) * len(Rejection._fields)
        row |= {f"rejection_{name}": value for name, value in zip(Rejection._fields, rejection, strict=True)}
        del row["rejection"]
        rows.append(row)
    return pl.DataFrame(rows, schema=CANDIDATE_SCHEMA)


def call_row(answer: TeacherAnswer, purpose: str, category: str) -> dict[str, Any]:
    """Return a row of `CALL_SCHEMA`."""
    return {
        "request_key": answer.request_key,
        "purpose": purpose,
        "category": category,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cost_usd": answer.cost_usd,
        "latency_s": answer.latency_s,
    }
