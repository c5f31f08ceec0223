"""Generation for one category in one round: waves of candidates by a mix of methods, until enough are kept.

The size of the next wave follows from the share that passed so far (the filter and the rules for instances), so a
category with many rejections gets more candidates. Randomness derives from (project seed, round, category, purpose):
the same job with the same answers gives the same candidates.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.errors import TeacherError
from sedi_dagster.generation.candidates import CALL_SCHEMA, Candidate, CandidateFilter, candidate_frame
from sedi_dagster.generation.method import GenerationContext, GenerationJob
from sedi_dagster.generation.methods import METHODS, candidates_per_call, check_mix
from sedi_dagster.records import AskTeacher, Tables

POLICY = "content_policy"
"""Prefix of the error of an answer that the endpoint's content policy refused."""

WORTH_A_CALL = 0.25
"""Smallest share of a call's yield that must be missing to make another call, as its prompt always costs the same."""
DRY_WAVES = 3
"""Number of consecutive waves without a passed candidate after which a category is given up."""

RESULT_SCHEMA: dict[str, Any] = {
    "round": pl.String,
    "category": pl.String,
    "wanted": pl.Int64,  # kept examples; null: no goal but the candidates
    "allowed": pl.Int64,  # well-formed candidates
    "candidates": pl.Int64,
    "well_formed": pl.Int64,  # a whole instruction, whatever became of its answer
    "passed": pl.Int64,  # the filter and the rules for instances
    "waves": pl.Int64,
    "stopped": pl.String,  # enough, allowed, nothing, dry, budget
    "reason": pl.String,
    "budget": pl.String,  # the limit that stopped it (`BudgetExceeded.cap`), else null
}


@dataclass
class _Tally:
    """The results of the waves so far."""

    candidates: int = 0
    well_formed: int = 0
    passed: int = 0
    waves: int = 0
    dry: int = 0

    def add(self, written: list[Candidate], candidate_filter: CandidateFilter) -> None:
        passed = sum(
            c.is_open and c.output is not None and candidate_filter.instance(c.instruction, c.input, c.output) is None
            for c in written
        )
        self.candidates += len(written)
        self.well_formed += sum(c.problem is None or c.answer_key is not None for c in written)
        self.passed += passed
        self.waves += 1
        self.dry = 0 if passed else self.dry + 1


async def generate(
    job: GenerationJob, mix: Mapping[str, float], ask: AskTeacher, candidate_filter: CandidateFilter
) -> Tables:
    """Generate the candidates of a job (well-formed, rejected or malformed: none is dropped).

    Args:
        mix: share of the candidates by method, summing to 1.

    Returns:
        `candidates` (`CANDIDATE_SCHEMA`), `calls` (`CALL_SCHEMA`, one row per distinct request) and `result`
        (`RESULT_SCHEMA`, one row: counts and why generation stopped).

    Raises:
        SettingsError: the mix is not valid (see `check_mix`).
        BudgetExceeded: the budget did not allow a single answer. If it ran out later, the candidates so far are
            returned, and the result says so.
        TeacherError: no call returned a text.
    """
    check_mix(mix)
    context = GenerationContext(job, ask, candidate_filter)
    methods = {name: METHODS[name](job, context) for name in mix}
    asked = dict.fromkeys(mix, 0)
    left = dict(mix)
    candidates: list[Candidate] = []
    tally = _Tally()
    per_call = candidates_per_call(mix, job.settings, job.chat)
    while not (stopped := _stop(job, context, tally, left, per_call)):
        wave: list[Candidate] = []
        for name, count in _split(_missing(job, tally), left, asked).items():
            written = await methods[name].write(count)
            if not written:
                del left[name]  # the others take its share
            wave += written
            asked[name] += count
        tally.add(wave, candidate_filter)
        candidates += wave
    if context.spent is not None and not candidates:
        raise context.spent
    _check_answers(context)
    result = {"round": job.round, "category": job.category.id, "wanted": job.wanted, "allowed": job.candidates}
    result |= vars(tally) | {"stopped": stopped[0], "reason": stopped[1]}
    result["budget"] = context.spent.cap if context.spent is not None else None
    del result["dry"]
    return {
        "candidates": candidate_frame(candidates, round=job.round, category=job.category.id, teacher=job.teacher),
        "calls": pl.DataFrame(list(context.calls.values()), schema=CALL_SCHEMA),
        "result": pl.DataFrame([result], schema=RESULT_SCHEMA),
    }


def _check_answers(context: GenerationContext) -> None:
    """Check that at least one call returned a text, or that all were refused by the content policy, which is final.

    Raises:
        TeacherError: every call failed.
    """
    reasons = Counter(context.without_text.values())
    some_answered = len(context.without_text) < len(context.calls)
    if not context.calls or some_answered or all(reason.startswith(POLICY) for reason in reasons):
        return
    reason, count = reasons.most_common(1)[0]
    where = f"--round {context.job.round} --category {context.job.category.id}"
    raise TeacherError(
        f"None of the {len(context.calls)} calls for {context.job.category.id} in {context.job.round} returned a text. "
        f"{count} of them: {reason[:300]}.",
        f"`sedi calls list {where}` shows them. Fix the cause and run again: they are sent again.",
    )


def _stop(
    job: GenerationJob, context: GenerationContext, tally: _Tally, left: Mapping[str, float], per_call: int
) -> tuple[str, str] | None:
    """Return why generation stops, as a word and a sentence; None if it continues."""
    got = f"{tally.passed} passed" if job.wanted is None else f"{tally.passed} of {job.wanted} wanted passed"
    if context.without_text:
        reason, count = Counter(context.without_text.values()).most_common(1)[0]
        got += f" ({count} of {len(context.calls)} calls: {reason[:160]})"
    if context.spent is not None:
        return "budget", f"{got}; {context.spent.problem}"
    if job.wanted is not None and tally.passed >= job.wanted:
        return "enough", f"{got} the filter and the rules for instances"
    if tally.well_formed >= job.candidates:
        return "allowed", f"{got}; the {job.candidates} candidates that were allowed are there"
    missing = _missing(job, tally)
    if tally.passed and missing < WORTH_A_CALL * per_call:
        missing_text = f"the {missing} that are missing" if missing > 1 else "the 1 that is missing"
        return "enough", f"{got}; a call for {missing_text} would cost as much as for many"
    if not left:
        return "nothing", f"{got}; no method has anything more to ask (seed tasks: {job.seeds.height})"
    if tally.dry >= DRY_WAVES:
        return "dry", f"{got}; nothing of the last {tally.dry} waves did"
    if tally.candidates >= job.candidates * job.settings.max_pieces_factor:
        return "dry", f"{got}; of {tally.candidates} pieces of text only {tally.well_formed} were well-formed"
    return None


def _missing(job: GenerationJob, tally: _Tally) -> int:
    """Return the number of well-formed candidates to request next, estimated from the share that passed so far."""
    left = job.candidates - tally.well_formed
    if job.wanted is None:
        return left
    share = (tally.passed + 1) / (tally.well_formed + 1)  # before anything is known: all pass
    return min(left, math.ceil((job.wanted - tally.passed) / share))


def _split(count: int, mix: Mapping[str, float], asked: Mapping[str, int]) -> dict[str, int]:
    """Split the next `count` candidates among methods, so that the totals are as close to the shares as possible."""
    total = {name: asked[name] for name in mix}
    whole = sum(mix.values())
    for _ in range(count):
        behind = max(mix, key=lambda name: mix[name] / whole * (sum(total.values()) + 1) - total[name])
        total[behind] += 1
    return {name: total[name] - asked[name] for name in mix if total[name] > asked[name]}
