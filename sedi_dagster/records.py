"""Records shared between packages, and their ids.

Only plain data: no I/O, no model, no Dagster. Every id is a content hash, so the same work done twice gives the same
ids (re-running a partition replaces its output, see docs/architecture.md).
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
"""What an asset partition holds: named Polars frames."""

Progress = Callable[[int, int, Mapping[str, int | float]], None]
"""`report(done, total, figures)`: called by long work so that a person can watch it."""


def content_id(prefix: str, *parts: object) -> str:
    """An id from content: `prefix-` and 16 hex digits of BLAKE2b over the JSON of the parts."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{prefix}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def derived_rng(*parts: object) -> random.Random:
    """A random generator that depends on (project seed, round, category, purpose) and nothing else."""
    return random.Random(content_id("rng", *parts))


def derived_seed(*parts: object) -> int:
    """A 31-bit seed for a library, derived like `derived_rng`."""
    return derived_rng(*parts).randrange(2**31)


def round_key(number: int) -> str:
    """Partition key of a round: `round-0001` for 1. Sorts as it counts."""
    return f"round-{number:04d}"


def round_named(text: str) -> str:
    """The key of a round as people name it: by its key, or by its number alone."""
    return round_key(int(text)) if text.isascii() and text.isdecimal() else text


def round_number(key: str) -> int:
    """Inverse of `round_key`."""
    return int(key.removeprefix("round-"))


def is_round_key(text: str) -> bool:
    """Whether a round can have this key."""
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
    """The rule that a candidate breaks, what the rule measured and, for texts too close to another, that other."""

    rule: str
    score: float | None = None
    threshold: float | None = None
    neighbour_id: str | None = None
    neighbour: str | None = None


def task_prompt(instruction: str, text_input: str) -> str:
    """A task as one user message: what the teacher answers and what the student is trained on."""
    return f"{instruction}\n\n{text_input}" if text_input else instruction


def task_prompts() -> pl.Expr:
    """`task_prompt` of the columns `instruction` and `input`, as a column `prompt`."""
    given = pl.col("input").fill_null("")
    both = pl.format("{}\n\n{}", "instruction", given)
    return pl.when(given == "").then("instruction").otherwise(both).alias("prompt")


@dataclass(frozen=True)
class EvaluationItem:
    """A question with a verifier that can tell a right answer from a wrong one."""

    id: str
    category: str
    prompt: str
    verifier: str
    args: Mapping[str, Any]
    reference: str
    difficulty: str
    cluster: str


AskedTarget = float | str | Sequence[float | str]
"""A target as `categories.yaml` has it: a pass rate, a relative one, or several (`sedi_dagster.targets`)."""


@dataclass(frozen=True)
class Category:
    """A kind of task: how to describe it to a teacher and when the student is good enough at it."""

    id: str
    name: str
    definition: str
    hint: str
    share: float
    target: AskedTarget
    max_answer_tokens: int
    verifiers: tuple[str, ...] = ()
    is_classification: bool | None = None  # whether all its tasks are, or none; None: each task is looked at


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class TeacherRequest:
    """One call to the teacher. Exactly one of `prompt` (completion) and `messages` (chat) is given.

    `purpose`, `round` and `category` are for the accounts and do not enter the request key.
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
    """What came back. The ledger has it as it was sent; `text` is the cleaned one, see `texts.cleaning`.

    `cost_usd` is None if no price is known. `cleaned` names the rules that changed the text. `error` says why there is
    no text to use.
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
        """Whether a limit of length stopped it, in whatever words the endpoint says so."""
        return ending_of(self.finish_reason) == "cut"


AskTeacher = Callable[[Sequence[TeacherRequest]], Awaitable[list[TeacherAnswer]]]
"""Send requests, get the answers in the same order. An answer with `error` was refused for itself alone
(content policy, too long); what concerns all calls (key, quota, endpoint) is raised as `TeacherError`."""


@dataclass(frozen=True)
class CallShape:
    """A kind of call that generation makes: how many a candidate takes, and how long they are, before any is made.

    `per_candidate` may be below 1, if one call gives several candidates.
    """

    purpose: str
    per_candidate: float
    prompt_tokens: float
    max_tokens: int


@dataclass(frozen=True)
class CategoryPlan:
    """How much of a category a round asks for, and why.

    `wanted` kept examples (None: no goal but the candidates), from at most `candidates`. `difficulty` is the band to
    aim at (empty: any). `errors` are the kinds of error the student makes ("wrong number"), most frequent first:
    never an evaluation item or an answer to one.
    """

    category: str
    candidates: int
    reason: str
    wanted: int | None = None
    difficulty: str = ""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoundPlan:
    """The record that starts a round; the feedback edge that a lineage graph cannot have (it would be a cycle)."""

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
        """What is planned for the category; None if the round does not ask for it."""
        return next((c for c in self.categories if c.category == category), None)

    def to_json(self) -> dict[str, Any]:
        """The plan as it is stored."""
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
        """Inverse of `to_json`."""
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
"""weak: on evidence; stuck: weak, and targeted rounds gained nothing; cooling: lately left weakness, left alone."""


@dataclass(frozen=True)
class CategoryOutcome:
    """How the student did in a category after a round, and what was decided about it.

    `low`, `high`: 95 % Wilson interval of the pass rate. `errors` and `difficulty` say where it fails, see
    `CategoryPlan`. `items_to_decide`: how many items would decide what these leave open. `since`: the round whose
    checkpoint a weak category's gain is counted from (empty: the untrained student), `gain_p` the p-value of that
    gain, `targeted` the rounds spent on it since. `cooling`: further rounds in which it is left alone. `candidates`,
    `kept`, `tokens`: what the round asked for, got and spent on it. `target_told`: where the target comes from, in
    words; empty for a rate that `categories.yaml` names.
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
    errors: tuple[str, ...] = ()  # kinds of error seen, most frequent first
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
        """How far the score is below the target; negative above it. 0.5 - 9 / 20 is 0.05, whatever floats say."""
        return round(self.target - self.score, 9)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CategoryOutcome:
        """From a JSON object or a row of a table; fields that an older version did not write have their defaults."""
        return cls(**{**data, "errors": tuple(data.get("errors") or ())})


@dataclass(frozen=True)
class RoundOutcome:
    """What a finished round came to; with the plans this is all that the planner needs to know."""

    round: str
    kept: int
    candidates: int
    tokens: int
    score: float
    promoted: bool
    categories: tuple[CategoryOutcome, ...] = field(default_factory=tuple)
    cost_usd: float | None = None

    def of(self, category: str) -> CategoryOutcome | None:
        """What came of a category; None if it was not measured."""
        return next((c for c in self.categories if c.category == category), None)

    def to_json(self) -> dict[str, Any]:
        """The outcome as it is stored."""
        return {**vars(self), "categories": [vars(c) for c in self.categories]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RoundOutcome:
        """Inverse of `to_json`."""
        return cls(**{**data, "categories": tuple(CategoryOutcome.from_json(c) for c in data["categories"])})
