"""From candidates to kept examples: rejections by rule and category, in counts that add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

RULES = {
    "too_short": "fewer words in the instruction than allowed",
    "too_long": "more words in the instruction than allowed",
    "unservable_keyword": "asks for something that a text model cannot handle (image, file, map, audio, ...)",
    "starts_with_write_a_program": "starts with 'Write a program'",
    "starts_with_punctuation": "the instruction starts with punctuation",
    "starts_with_non_ascii": "the instruction starts with a non-ASCII character",
    "exact_duplicate": "same words as a seed or an example kept before",
    "near_duplicate": "ROUGE-L with a seed or an example kept before is above the threshold",
    "semantic_duplicate": "cosine with a seed or an example kept before is above the threshold",
    "repeated_instance": "the same input and output as another instance of the instruction",
    "unanswered_duplicate": "too close to a candidate that was later rejected, and therefore not answered",
    "evaluation_ngram": "shares consecutive words with an evaluation item or a protected text",
    "evaluation_rouge_l": "ROUGE-L with an evaluation item or a protected text reaches the threshold",
    "evaluation_cosine": "cosine with an evaluation item or a protected text reaches the threshold",
    "empty_output": "the output is empty",
    "output_equals_input": "the output repeats the input or the instruction",
    "output_ends_with_colon": "the output ends with a colon and so lacks the answer",
    "same_input_different_outputs": "another answer to the same instruction and input",
    "too_long_for_student": "more tokens than the student is trained on",
    "ifd_loss_ratio_above_one": "the instruction makes the answer less likely (ratio of mean losses)",
    "ifd_loss_ratio_not_in_share": "IFD is below the share that was kept (ratio of mean losses)",
    "ifd_perplexity_ratio_above_one": "the instruction makes the answer less likely (ratio of perplexities)",
    "ifd_perplexity_ratio_not_in_share": "IFD is below the share that was kept (ratio of perplexities)",
    "no answer": "the endpoint returned no usable text",
    "refusal": "the answer refuses the task, or mentions the model that wrote it",
    "placeholder": "the answer is a placeholder for a missing one",
    "special_token": "contains a special token of the student's tokenizer",
    "repeated_output": "the same answer as to many other tasks",
    "teacher refused": "the teacher's endpoint refused this call",
    "cut by length": "the last task of a call, truncated by the token limit",
    "answer cut by length": "the answer was truncated by the token limit",
    "empty answer": "the teacher returned an empty answer",
    "no instruction": "a piece of the teacher's text without an instruction",
    "a label within the instruction": "the boundary between instruction and input is unclear",
    "not a numbered task": "text around the tasks",
    "no output": "an example without its output",
    "no class label": "an instance of a classification task without its label",
    "ran on to another task": "the teacher continued with tasks that were not requested",
    "not answered": "the budget was spent before it was answered",
    "too_many_instances": "the instruction already has enough instances",
    "answers_disagree": "no answer reached a majority of the samples",
    "evolved_without_gain": "the rewrite adds nothing to the original task",
    "evolved_copies_prompt": "the rewrite contains words of the rewriting prompt",
    "evolved_short_refusal": "the answer to the rewrite is a short apology",
    "evolved_answer_only_stop_words": "the answer to the rewrite contains only stop words",
}
"""What the rules mean, in words. A rule that is not here is shown by its name alone."""


@dataclass(frozen=True)
class Reason:
    """A rule that dropped candidates. `name` ends before a colon, so that refusals count as one."""

    name: str
    state: str  # rejected, malformed
    count: int
    example: Mapping[str, Any]

    @property
    def meaning(self) -> str:
        return RULES.get(self.name, "")


@dataclass(frozen=True)
class FunnelRow:
    """One category: planned, what became of every candidate. `dropped` goes along with `Funnel.reasons`."""

    category: str
    planned: int
    candidates: int
    malformed: int
    rejected: int
    kept: int
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Funnel:
    """What became of the candidates, by category and in all."""

    reasons: tuple[Reason, ...]
    rows: tuple[FunnelRow, ...]
    total: FunnelRow

    @property
    def adds_up(self) -> bool:
        """Whether every candidate has exactly one state, and every dropped one a reason."""
        return all(
            row.candidates == row.malformed + row.rejected + row.kept
            and row.malformed + row.rejected == sum(row.dropped)
            for row in (*self.rows, self.total)
        )


def funnel(planned: Mapping[str, int], candidates: pl.DataFrame, verdicts: pl.DataFrame) -> Funnel:
    """Count the verdicts.

    Args:
        planned: candidates asked for, by category.
        candidates: what the teacher wrote, one row each (`candidate_id`, `category`, `raw`).
        verdicts: what became of each (`state`, `rule`, and what the rule measured).
    """
    judged = verdicts.with_columns(pl.col("rule").str.split(":").list.first().alias("reason"))
    raw = candidates.select("candidate_id", "raw").unique("candidate_id")
    judged = judged.join(raw, on="candidate_id", how="left", maintain_order="left")
    reasons = _reasons(judged)
    extra = [c for c in candidates["category"].unique(maintain_order=True) if c not in planned]
    rows = []
    for name in (*planned, *extra):
        mine = pl.col("category") == name
        rows.append(_row(name, planned.get(name, 0), candidates.filter(mine), judged.filter(mine), reasons))
    return Funnel(reasons, tuple(rows), _row("all", sum(planned.values()), candidates, judged, reasons))


def _reasons(judged: pl.DataFrame) -> tuple[Reason, ...]:
    """Malformed first, then rejected, the most frequent first; each with a candidate as the example."""
    dropped = judged.filter(pl.col("state") != "kept").group_by("state", "reason", maintain_order=True)
    reasons = [
        Reason(str(reason or "no rule given"), str(state), rows.height, _clearest(rows))
        for (state, reason), rows in dropped
    ]
    return tuple(sorted(reasons, key=lambda reason: (reason.state, -reason.count, reason.name)))


def _clearest(rows: pl.DataFrame) -> dict[str, Any]:
    """The first row that has a text to show, else the first."""
    readable = rows.filter(pl.col("instruction").fill_null("").str.strip_chars() != "")
    return (readable if readable.height else rows).row(0, named=True)


def _row(
    category: str, planned: int, candidates: pl.DataFrame, mine: pl.DataFrame, reasons: Sequence[Reason]
) -> FunnelRow:
    states = dict(mine.group_by("state").len().iter_rows())
    by_reason = mine.group_by("state", pl.col("reason").fill_null("no rule given")).len()
    counts = {(state, reason): number for state, reason, number in by_reason.iter_rows()}
    return FunnelRow(
        category=category,
        planned=planned,
        candidates=candidates.height,
        malformed=states.get("malformed", 0),
        rejected=states.get("rejected", 0),
        kept=states.get("kept", 0),
        dropped=tuple(counts.get((reason.state, reason.name), 0) for reason in reasons),
    )
