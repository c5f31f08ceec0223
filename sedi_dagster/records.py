"""Records shared between packages, and their ids.

Only plain data: no I/O, no models, no Dagster. Ids are content hashes, so repeating the same work gives the same ids
(rerunning a partition replaces its output, see docs/architecture.md).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import polars as pl

from sedi_dagster.texts.endings import ending_of

Tables = dict[str, pl.DataFrame]
"""The data of an asset partition: Polars frames by name."""

Progress = Callable[[int, int, Mapping[str, int | float]], None]
"""`report(done, total, figures)`: called by long-running work to show its progress."""


def content_id(prefix: str, *parts: object) -> str:
    """Return `prefix-` and 16 hex digits of BLAKE2b over the JSON of the parts."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{prefix}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def derived_rng(*parts: object) -> random.Random:
    """Return a random generator seeded by the parts alone, such as project seed, round, category and purpose."""
    return random.Random(content_id("rng", *parts))


def derived_seed(*parts: object) -> int:
    """Return a 31-bit seed for a library, derived like `derived_rng`."""
    return derived_rng(*parts).randrange(2**31)


def round_key(number: int) -> str:
    """Return the partition key of a round: `round-0001` for 1. Keys sort by number."""
    return f"round-{number:04d}"


def round_named(text: str) -> str:
    """Return the key of a round that a user named by its key or number."""
    return round_key(int(text)) if text.isascii() and text.isdecimal() else text


def round_number(key: str) -> int:
    """Return the number of a round: the inverse of `round_key`."""
    return int(key.removeprefix("round-"))


def is_round_key(text: str) -> bool:
    """Return whether a text has the form of a round's key."""
    return re.fullmatch(r"round-\d{4,}", text) is not None


@dataclass(frozen=True)
class SeedTask:
    """A task that shows the teacher what to write: instruction, optional input, output, category."""

    instruction: str
    input: str
    output: str
    category: str
    is_classification: bool = False

    @property
    def id(self) -> str:
        return content_id("seed", self.category, self.instruction, self.input, self.output)


class Rejection(NamedTuple):
    """The rule that a candidate violates, with its measurement and, if it is too close to another text, that text."""

    rule: str
    score: float | None = None
    threshold: float | None = None
    neighbour_id: str | None = None
    neighbour: str | None = None


def task_prompt(instruction: str, text_input: str) -> str:
    """Return a task as one user message, as the teacher answers it and the student is trained on it."""
    return f"{instruction}\n\n{text_input}" if text_input else instruction


def task_prompts() -> pl.Expr:
    """Return the expression for `task_prompt` of the columns `instruction` and `input`, named `prompt`."""
    text_input = pl.col("input").fill_null("")
    both = pl.format("{}\n\n{}", "instruction", text_input)
    return pl.when(text_input == "").then("instruction").otherwise(both).alias("prompt")


@dataclass(frozen=True)
class EvaluationItem:
    """A question with a verifier for its answers."""

    id: str
    category: str
    prompt: str
    verifier: str
    args: Mapping[str, Any]
    reference: str
    difficulty: str
    cluster: str


TargetSpec = float | str | Sequence[float | str]
"""A target in `categories.yaml`: a pass rate, a relative target, or a list of these (see `sedi_dagster.targets`)."""


@dataclass(frozen=True)
class Category:
    """A kind of task, with its description for the teacher and the student's target."""

    id: str
    name: str
    definition: str
    hint: str
    share: float
    target: TargetSpec
    max_answer_tokens: int
    verifiers: tuple[str, ...] = ()
    is_classification: bool | None = None  # of all its tasks; None: decided for each task


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class TeacherRequest:
    """One call to the teacher. Either `prompt` (completion) or `messages` (chat) is set.

    `purpose`, `round` and `category` are for accounting and not part of the request key.
    """

    purpose: str
    round: str
    category: str
    max_tokens: int
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    sample_index: int = 0
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TeacherAnswer:
    """The answer to a request. The ledger stores the original text.

    Attributes:
        text: the cleaned text (see `texts.cleaning`).
        cost_usd: None if no price is known.
        error: reason why there is no usable text; empty if there is.
        cleaned: cleaning rules that changed the text.
    """

    request_key: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    latency_s: float = 0.0
    cost_usd: float | None = None
    error: str = ""
    cleaned: tuple[str, ...] = ()

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def is_cut(self) -> bool:
        """Whether the answer was cut off by a length limit, however the endpoint reports that."""
        return ending_of(self.finish_reason) == "cut"


AskTeacher = Callable[[Sequence[TeacherRequest]], Awaitable[list[TeacherAnswer]]]
"""Sends requests and returns the answers in the same order. Problems of a single request (content policy, too long) are
in the `error` of its answer; problems of all calls (key, quota, endpoint) are raised as `TeacherError`."""


@dataclass(frozen=True)
class CallShape:
    """A kind of call that generation makes, for estimates before any call.

    `per_candidate` is the number of calls per candidate, which is below 1 if one call gives several candidates.
    """

    purpose: str
    per_candidate: float
    prompt_tokens: float
    max_tokens: int


@dataclass(frozen=True)
class CategoryPlan:
    """The amount that a round generates in a category, and why.

    Attributes:
        candidates: maximum number of candidates.
        wanted: number of kept examples after which generation stops; None: all candidates are generated.
        difficulty: difficulty band to aim at; empty: any.
        errors: the student's kinds of error ("wrong number"), most frequent first. They never contain text from an
            evaluation item or from an answer to one.
    """

    category: str
    candidates: int
    reason: str
    wanted: int | None = None
    difficulty: str = ""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoundPlan:
    """The record that starts a round. It carries feedback, which would be a cycle in the asset graph."""

    round: str
    parent: str | None
    trigger: str
    categories: tuple[CategoryPlan, ...]
    target_round: int
    max_tokens: int | None = None
    created_at: str = ""

    @property
    def number(self) -> int:
        return round_number(self.round)

    @property
    def category_ids(self) -> list[str]:
        return [c.category for c in self.categories]

    def for_category(self, category: str) -> CategoryPlan | None:
        """Return the plan for a category; None if the round does not include it."""
        return next((c for c in self.categories if c.category == category), None)

    def to_json(self) -> dict[str, Any]:
        """Return the plan in its stored form."""
        return {
            "round": self.round,
            "parent": self.parent,
            "trigger": self.trigger,
            "categories": [vars(c) for c in self.categories],
            "target_round": self.target_round,
            "max_tokens": self.max_tokens,
            "created_at": self.created_at,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RoundPlan:
        """Read the stored form."""
        return cls(
            round=data["round"],
            parent=data["parent"],
            trigger=data["trigger"],
            categories=tuple(CategoryPlan(**{**c, "errors": tuple(c.get("errors", ()))}) for c in data["categories"]),
            target_round=data["target_round"],
            max_tokens=data.get("max_tokens"),
            created_at=data.get("created_at", ""),
        )


Decision = Literal["weak", "stuck", "cooling", "fine", "not enough evidence"]
"""weak: significantly below its target; stuck: weak, and targeted rounds brought no gain; cooling: no longer weak, and
not targeted for some rounds."""


@dataclass(frozen=True)
class CategoryOutcome:
    """The student's result in a category after a round, and the decision about it.

    Attributes:
        low, high: 95 % Wilson interval of the pass rate.
        errors, difficulty: where the student fails (see `CategoryPlan`).
        items_to_decide: estimated number of items that would allow a decision, if there is not enough evidence.
        since: round whose checkpoint the gain of a weak category is measured from; empty: the untrained student.
        gain_p: p-value of that gain.
        targeted: number of rounds that targeted the category since then.
        cooling: number of further rounds in which the category is not targeted.
        candidates, kept, tokens: candidates, kept examples and tokens of the category in this round.
        target_told: what the target is derived from, as text; empty for a fixed rate.
    """

    category: str
    items: int
    passed: int
    low: float
    high: float
    target: float
    p_value: float
    adjusted_p: float
    decision: Decision
    reason: str
    errors: tuple[str, ...] = ()
    difficulty: str = ""
    reference_loss: float | None = None
    items_to_decide: int | None = None
    since: str = ""
    gain_p: float | None = None
    targeted: int = 0
    cooling: int = 0
    candidates: int = 0
    kept: int = 0
    tokens: int = 0
    target_told: str = ""

    @property
    def score(self) -> float:
        return self.passed / self.items if self.items else 0.0

    @property
    def target_in_words(self) -> str:
        """`37% (20 points above the untrained student's 2 of 12)`."""
        return f"{self.target:.0%} ({self.target_told})" if self.target_told else f"{self.target:.0%}"

    @property
    def gap(self) -> float:
        """How far the score is below the target (negative: above), rounded so that 0.5 - 9 / 20 is exactly 0.05."""
        return round(self.target - self.score, 9)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CategoryOutcome:
        """Read a JSON object or a row of a table. Fields that earlier versions did not write get their defaults."""
        return cls(**{**data, "errors": tuple(data.get("errors") or ())})


@dataclass(frozen=True)
class RoundOutcome:
    """The result of a finished round. The planner needs only these and the plans."""

    round: str
    kept: int
    candidates: int
    tokens: int
    score: float
    promoted: bool
    categories: tuple[CategoryOutcome, ...] = field(default_factory=tuple)
    cost_usd: float | None = None

    def of(self, category: str) -> CategoryOutcome | None:
        """Return the outcome of a category; None if it was not measured."""
        return next((c for c in self.categories if c.category == category), None)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome in its stored form."""
        return {**vars(self), "categories": [vars(c) for c in self.categories]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RoundOutcome:
        """Read the stored form."""
        return cls(**{**data, "categories": tuple(CategoryOutcome.from_json(c) for c in data["categories"])})
