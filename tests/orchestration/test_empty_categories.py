"""A category that nothing was kept of: bad luck with a few candidates, or an endpoint that does not answer tasks."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sedi_dagster.orchestration.filtering import empty_categories
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import CategoryPlan, RoundPlan


@pytest.mark.parametrize(
    ("verdicts", "is_fault"),
    [
        ([("rejected", "near_duplicate"), ("malformed", "no output")], False),
        ([("malformed", "answer cut by length"), ("malformed", "cut by length")], False),
        ([("rejected", "refusal"), ("malformed", "no output")], True),
        ([("malformed", "no output")], True),
    ],
)
def test_only_answers_that_were_no_try_at_a_task_are_the_endpoints_fault(
    project: Path, verdicts: list[tuple[str, str]], is_fault: bool
) -> None:
    sedi = SediResource()
    rows = [("math", state, rule) for state, rule in verdicts] + [("open_qa", "kept", None)]
    table = pl.DataFrame(rows, schema=["category", "state", "rule"], orient="row")
    sedi.store().write_tables({"verdicts": table}, "filtered_batches", "round-0001")
    result = pl.DataFrame({"reason": ["2 passed"]})
    sedi.store().write_tables({"result": result}, "generated_batches", "round-0001", "math")
    categories = tuple(CategoryPlan(name, 2, "") for name in ("math", "open_qa"))
    (found,) = empty_categories(sedi, RoundPlan("round-0001", None, "test", categories, 1, None))
    assert found.category == "math" and found.is_fault == is_fault
    assert verdicts[0][1] in str(found)
