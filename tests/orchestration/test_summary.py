"""What the summary of a run claims about categories that were weak."""

from __future__ import annotations

from sedi_dagster.orchestration.summary import mended
from sedi_dagster.records import CategoryOutcome, Decision, RoundOutcome


def finished(number: int, *categories: CategoryOutcome) -> RoundOutcome:
    return RoundOutcome(f"round-{number:04}", 10, 20, 100, 0.5, True, categories)


def category(name: str, passed: int, decision: Decision) -> CategoryOutcome:
    return CategoryOutcome(name, 24, passed, 0.0, 1.0, 0.5, 0.5, 0.5, decision, "")


def test_mended_is_what_was_weak_and_has_reached_its_target_and_nothing_else() -> None:
    before = finished(
        1,
        *(category(name, 1, "weak") for name in ("cooled", "gave up", "unclear", "still weak")),
        category("never weak", 20, "fine"),
    )
    after = finished(
        2,
        category("cooled", 12, "cooling"),
        category("gave up", 2, "stuck"),
        category("unclear", 8, "not enough evidence"),
        category("still weak", 3, "weak"),
        category("never weak", 20, "fine"),
    )
    assert mended([before, after]) == ["cooled: weak after round-0001, now 12 of 24 (cooling)"]
    assert mended([before]) == []
