"""A made-up round, in the shapes that the packages give, for the tests of the report."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import polars as pl

from sedi_dagster.evaluation.results import ITEM_SCHEMA
from sedi_dagster.feedback.seed_update import CHANGE_SCHEMA, SEED_SET_SCHEMA
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.generation.candidates import CALL_SCHEMA, CANDIDATE_SCHEMA
from sedi_dagster.records import (
    CategoryOutcome,
    CategoryPlan,
    RoundOutcome,
    RoundPlan,
    content_id,
    derived_rng,
    task_prompt,
)
from sedi_dagster.reporting.numbers import Rate
from sedi_dagster.reporting.report import RoundData

CATEGORIES = (
    "open_qa", "closed_qa", "extraction", "classification", "summarization", "rewriting", "brainstorming",
    "creative_writing", "math", "reasoning", "coding", "format_following",
)  # fmt: skip
EXAMPLE_SCHEMA: dict[str, Any] = {
    "example_id": pl.String,
    "round": pl.String,
    "category": pl.String,
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
}
BATCH_SCHEMA: dict[str, Any] = {
    "batch": pl.Int64,
    "position": pl.Int64,
    "example_id": pl.String,
    "origin": pl.String,
    "category": pl.String,
    "prompt": pl.String,
    "output": pl.String,
}
DIVERSITY_SCHEMA: dict[str, Any] = {
    "scope": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "random": pl.Float64,
    "embedding_model": pl.String,
}
STEP_SCHEMA: dict[str, Any] = {
    "step": pl.Int64,
    "loss": pl.Float64,
    "grad_norm": pl.Float64,
    "learning_rate": pl.Float64,
    "completion_tokens": pl.Int64,
    "example_ids": pl.List(pl.String),
}
_TASKS = (
    (
        "Explain in one sentence why the sky looks red at sunset.",
        "",
        "Low sunlight crosses more air, which scatters blue away and leaves red.",
    ),
    (
        "List the dates in the text.",
        "The bridge was begun on 3 May 1890 and opened on 12 June 1894.",
        "- 3 May 1890\n- 12 June 1894",
    ),
    (
        "A shop sells pens at 3 for 2 euros. What do 12 pens cost?",
        "",
        "12 / 3 = 4 packs, 4 x 2 = 8. They cost 8 euros.",
    ),
    (
        "Rewrite the sentence in a friendlier tone.",
        "Send me the file now.",
        "Could you send me the file when you have a moment? Thank you!",
    ),
    (
        "Write a Python function that returns the even numbers of a list.",
        "",
        "def evens(numbers):\n    return [n for n in numbers if n % 2 == 0]",
    ),
    (
        "Is the review positive or negative?",
        "The battery died after two days and nobody answered my mails.",
        "negative",
    ),
)
_ENDS: tuple[tuple[str, str | None, float | None, float | None], ...] = (
    ("kept", None, None, None),
    ("kept", None, None, None),
    ("rejected", "near_duplicate", 0.91, 0.85),
    ("kept", None, None, None),
    ("malformed", "cut by length", None, None),
    ("kept", None, None, None),
    ("rejected", "unservable_keyword", 1.0, 1.0),
    ("kept", None, None, None),
    ("rejected", "exact_duplicate", 1.0, 1.0),
    ("rejected", "output_ends_with_colon", None, None),
    ("kept", None, None, None),
    ("rejected", "too_short", 2.0, 4.0),
    ("malformed", "teacher refused: content policy (code 451)", None, None),
    ("rejected", "evaluation_rouge_l", 0.74, 0.7),
    ("kept", None, None, None),
    ("rejected", "too_long_for_student", 611.0, 512.0),
)


def outcome(number: int, score: float, *, promoted: bool = True, kept: int = 60) -> RoundOutcome:
    """A finished round in which the categories spread around `score`."""
    return RoundOutcome(
        round=f"round-{number:04d}",
        kept=kept,
        candidates=120,
        tokens=41_000 - 2_300 * number,
        score=score,
        promoted=promoted,
        categories=tuple(_category_outcome(name, i, score) for i, name in enumerate(CATEGORIES)),
    )


def _category_outcome(name: str, place: int, score: float) -> CategoryOutcome:
    rate = Rate(min(12, max(0, round(12 * (score + 0.5 * math.sin(2.3 * place + 0.4))))), 12)
    target = 0.5 if place % 3 else 0.6
    decision: Any = "fine" if rate.share > target - 0.05 else "weak" if rate.high < target else "not enough evidence"
    message = f"{rate.passed} of 12 passed against a target of {target:.0%}: said so by the test's data"
    return CategoryOutcome(name, 12, rate.passed, rate.low, rate.high, target, 0.004, 0.021, decision, message)


def evaluation(point: str, score: float) -> pl.DataFrame:
    """Twelve items a category, of which as many passed as `outcome` says for the score."""
    rows = []
    for place, name in enumerate(CATEGORIES):
        passed = _category_outcome(name, place, score).passed
        for number in range(12):
            rng = derived_rng(point, name, number)
            task = _TASKS[(place + number) % len(_TASKS)]
            rows.append(
                {
                    "item_id": f"{name}-{number:02d}",
                    "category": name,
                    "cluster": name,
                    "prompt": task_prompt(task[0], task[1]),
                    "answer": f"{task[2]} ({point})",
                    "score": 1.0 if number < passed else rng.choice([0.0, 0.0, 0.5]),
                    "passed": number < passed,
                    "reason": "matches the reference" if number < passed else "expected 8, the answer has 6",
                    "reference_loss": 1.4 - score + 0.1 * rng.random(),
                    "answer_tokens": rng.randrange(4, 128),
                    "truncated": number == 11,
                }
            )
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def full_round() -> RoundData:
    """Round 4: five weak categories asked for, with a candidate for every kind of end."""
    plan = RoundPlan(
        round="round-0004",
        parent="round-0003",
        trigger="weak_category_sensor",
        categories=tuple(
            CategoryPlan(name, 20 + 4 * i, f"{i + 2} of 12 passed against a target of 50%: significantly below")
            for i, name in enumerate(("math", "coding", "extraction", "reasoning", "format_following"))
        ),
        target_round=6,
        max_tokens=60_000,
        created_at="2026-11-21T02:00:00Z",
    )
    candidates, verdicts = _candidates(plan)
    kept = verdicts.filter(pl.col("state") == "kept")["candidate_id"]
    examples = candidates.filter(pl.col("candidate_id").is_in(kept.implode())).select(
        pl.col("candidate_id").alias("example_id"), *list(EXAMPLE_SCHEMA)[1:]
    )
    batches = _batches(examples)
    items = evaluation("after", 0.46)
    calls = _calls(candidates)
    result = replace(
        outcome(4, 0.0),
        kept=examples.height,
        candidates=candidates.height,
        tokens=int((calls["prompt_tokens"] + calls["completion_tokens"]).sum()),
        score=int(items["passed"].sum()) / items.height,
        categories=outcome(4, 0.46).categories,
    )
    return RoundData(
        plan=plan,
        outcome=result,
        promotion="19 items won and 11 lost of 144 (one-sided exact McNemar p = 0.95): no significant drop.",
        candidates=candidates,
        calls=calls,
        verdicts=verdicts,
        examples=examples,
        batches=batches,
        diversity=_diversity(),
        steps=_steps(batches),
        seeds=_seeds(),
        changes=_changes(examples),
        items=items,
        items_before=evaluation("before", 0.38),
        items_baseline=evaluation("untrained", 0.27),
        earlier=(outcome(1, 0.31, kept=48), outcome(2, 0.36, promoted=False), outcome(3, 0.38, kept=71)),
        teacher="smollm2-135m-instruct (bundled)",
        student="smollm2-135m-instruct (bundled)",
        simulated=False,
    )


def empty_round() -> RoundData:
    """Round 1 in which nothing was kept: no example, batch, step, seed change or earlier round."""
    full = full_round()
    plan = replace(full.plan, round="round-0001", parent=None, trigger="open_round", max_tokens=None, created_at="")
    nothing = RoundOutcome("round-0001", 0, 0, 0, 0.0, False, ())
    return replace(
        full,
        plan=plan,
        outcome=nothing,
        promotion="nothing was trained",
        candidates=pl.DataFrame(schema=CANDIDATE_SCHEMA),
        calls=pl.DataFrame(schema=CALL_SCHEMA),
        verdicts=pl.DataFrame(schema=VERDICT_SCHEMA),
        examples=pl.DataFrame(schema=EXAMPLE_SCHEMA),
        batches=pl.DataFrame(schema=BATCH_SCHEMA),
        diversity=pl.DataFrame(schema=DIVERSITY_SCHEMA),
        steps=pl.DataFrame(schema=STEP_SCHEMA),
        seeds=pl.DataFrame(schema=SEED_SET_SCHEMA),
        changes=pl.DataFrame(schema=CHANGE_SCHEMA),
        items=pl.DataFrame(schema=ITEM_SCHEMA),
        items_before=pl.DataFrame(schema=ITEM_SCHEMA),
        items_baseline=pl.DataFrame(schema=ITEM_SCHEMA),
        earlier=(),
    )


def _candidates(plan: RoundPlan) -> tuple[pl.DataFrame, pl.DataFrame]:
    candidates, verdicts = [], []
    for planned in plan.categories:
        for number in range(planned.candidates):
            rng = derived_rng("candidate", planned.category, number)
            state, rule, score, threshold = rng.choice(_ENDS)
            task = rng.choice(_TASKS)
            near = rule is not None and rule in ("near_duplicate", "exact_duplicate", "evaluation_rouge_l")
            candidate_id = content_id("cand", planned.category, number)
            refused = state == "malformed"
            candidates.append(
                {
                    "candidate_id": candidate_id,
                    "round": plan.round,
                    "category": planned.category,
                    "position": number,
                    "instruction": "" if refused else task[0],
                    "input": "" if refused else task[1],
                    "output": None if refused else task[2],
                    "is_classification": False,
                    "problem": rule if refused else None,
                    "instruction_key": content_id("call", planned.category, number // 3),
                    "raw": f"Task 9: {task[0][:23]}",
                }
            )
            verdicts.append(
                {
                    "candidate_id": candidate_id,
                    "category": planned.category,
                    "state": state,
                    "rule": rule,
                    "score": score,
                    "threshold": threshold,
                    "neighbour_id": content_id("seed", task[0]) if near else None,
                    "neighbour": f"{task[0][:-1]}, please." if near else None,
                    "instruction": "" if refused else task[0],
                }
            )
    return pl.DataFrame(candidates, schema=CANDIDATE_SCHEMA), pl.DataFrame(verdicts, schema=VERDICT_SCHEMA)


def _calls(candidates: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for row in candidates.iter_rows(named=True):
        rng = derived_rng("call", row["candidate_id"])
        first = row["position"] % 3 == 0
        for purpose in ("instructions", "answer") if first else ("answer",):
            rows.append(
                {
                    "request_key": content_id("key", row["candidate_id"], purpose),
                    "purpose": purpose,
                    "category": row["category"],
                    "finish_reason": rng.choice(["stop", "stop", "stop", "length"]),
                    "prompt_tokens": rng.randrange(380, 520) if purpose == "instructions" else rng.randrange(20, 70),
                    "completion_tokens": rng.randrange(30, 190),
                    "cost_usd": None,
                    "latency_s": 0.5 + rng.random(),
                }
            )
    return pl.DataFrame(rows, schema=CALL_SCHEMA)


def _batches(examples: pl.DataFrame) -> pl.DataFrame:
    human = [(f"seed-{i:016x}", "human", CATEGORIES[i % 12], *_TASKS[i % 6]) for i in range(examples.height)]
    machine = [
        (row["example_id"], "machine", row["category"], row["instruction"], row["input"], row["output"])
        for row in examples.iter_rows(named=True)
    ]
    rows = [*human, *machine]
    derived_rng("batches").shuffle(rows)
    return pl.DataFrame(
        [
            {
                "batch": i // 8 + 1,
                "position": i % 8,
                "example_id": example_id,
                "origin": origin,
                "category": category,
                "prompt": task_prompt(instruction, text_input),
                "output": output,
            }
            for i, (example_id, origin, category, instruction, text_input, output) in enumerate(rows)
        ],
        schema=BATCH_SCHEMA,
    )


def _diversity() -> pl.DataFrame:
    model = "bundled:all-MiniLM-L6-v2"
    return pl.DataFrame(
        [
            ("batches", "distance", 0.912, 0.864, model),
            ("batches", "vendi_score", 7.61, 7.28, model),
            ("round", "nearest_neighbour_distance", 0.431, None, model),
            ("pool", "nearest_neighbour_distance", 0.387, None, model),
            ("pool", "equal_size_distance", 0.402, None, model),
        ],
        schema=DIVERSITY_SCHEMA,
        orient="row",
    )


def _steps(batches: pl.DataFrame) -> pl.DataFrame:
    members = batches.group_by("batch", maintain_order=True).agg("example_id")["example_id"].to_list()
    rng = derived_rng("steps")
    return pl.DataFrame(
        [
            {
                "step": i + 1,
                "loss": 1.1 + 1.3 * math.exp(-i / 6) + 0.25 * rng.random(),
                "grad_norm": 1.2 + 2 * rng.random() + (3.5 if i == 9 else 0),
                "learning_rate": 5e-4 * (1 - i / len(members)),
                "completion_tokens": rng.randrange(200, 420),
                "example_ids": ids,
            }
            for i, ids in enumerate(members)
        ],
        schema=STEP_SCHEMA,
    )


def _seeds() -> pl.DataFrame:
    rows = []
    for i, name in enumerate(CATEGORIES):
        for number in range(14 + (3 * i) % 5 + (i * i) % 4):
            task = _TASKS[(i + number) % 6]
            machine = number >= 14
            rows.append(
                {
                    "seed_id": content_id("seed", name, number),
                    "category": name,
                    "instruction": task[0],
                    "input": task[1],
                    "output": task[2],
                    "is_classification": name == "classification",
                    "origin": "machine" if machine else "human",
                    "since_round": "round-0003" if machine else None,
                    "signal": 2.5 if machine else None,
                }
            )
    return pl.DataFrame(rows, schema=SEED_SET_SCHEMA)


def _changes(examples: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for i, row in enumerate(examples.head(8).iter_rows(named=True)):
        signal = 6.1 - 0.4 * i
        promoted = f"in the batch with the highest gradient norm ({signal:.2f}, step 10) of its window"
        retired = f"more than 12 machine-made seeds in {row['category']}; its signal is the lowest"
        rows.append(
            {
                "seed_id": row["example_id"],
                "category": row["category"],
                "change": "promoted" if i < 6 else "retired",
                "signal": signal,
                "reason": promoted if i < 6 else retired,
                "instruction": row["instruction"],
            }
        )
    return pl.DataFrame(rows, schema=CHANGE_SCHEMA)
