"""The report of a round: what it must say, and that nothing a model wrote can disturb it."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from round_data import empty_round, evaluation, full_round, outcome
from scipy.stats import binomtest

from sedi_dagster.records import RoundPlan
from sedi_dagster.reporting import costs, figures, learning, report
from sedi_dagster.reporting.canvas import to_svg
from sedi_dagster.reporting.costs import ReportFacts, Spending, Stage
from sedi_dagster.reporting.figures import funnel_figure
from sedi_dagster.reporting.funnel import funnel
from sedi_dagster.reporting.numbers import Rate, clip, decimal, measured, pass_rate, percent, points, printable
from sedi_dagster.reporting.palette import DARK, LIGHT
from sedi_dagster.reporting.report import (
    RoundData,
    best_examples,
    plot_scores,
    plot_training,
    render_index,
    render_report,
    starting_rates,
    teacher_gain,
)
from sedi_dagster.reporting.scores import category_scores, round_conclusion

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'text' {{ 7 * 7 }}"


class Page(HTMLParser):
    """What a browser would see: tags in order, ids, links, and the text of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.sections: dict[str, str] = {}
        self._section = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img", "input", "hr"):
            self.open.append(tag)
        if tag == "section":
            self._section = str(dict(attrs)["id"])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        text = self.sections.get(self._section, "")
        self.sections[self._section] = re.sub(r"\s+", " ", f"{text} {data}")


DRAWN: dict[tuple[object, ...], str] = {}
"""Plots by what they show. A page has seven, and most tests change what is beside them."""


@pytest.fixture(autouse=True)
def _plots_of_the_same_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def remembered(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*shown: object) -> Any:
            figure = make(*shown)
            figure.shows = (make.__name__, pickle.dumps(shown))
            return figure

        return made

    def drawn(figure: Any, label: str) -> str:
        key = (*figure.shows, label)
        if key not in DRAWN:
            DRAWN[key] = to_svg(figure, label)
        return DRAWN[key]

    for name in [name for name in vars(figures) if name.endswith("_figure")]:
        monkeypatch.setattr(figures, name, remembered(getattr(figures, name)))
    monkeypatch.setattr(report, "to_svg", drawn)


@pytest.fixture(scope="module")
def data() -> RoundData:
    return full_round()


@pytest.fixture(scope="module")
def html(data: RoundData) -> str:
    return render_report(data)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_element_of_the_page_is_closed(page: Page) -> None:
    assert page.open == []


def test_the_page_needs_nothing_but_itself(html: str, page: Page) -> None:
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "img")]
    fetched = [attrs.get("src") or attrs.get("xlink:href") or "" for _, attrs in page.tags]
    assert all(target.startswith("#") or not target for target in fetched)
    assert [attrs["href"] for tag, attrs in page.tags if tag == "link"] == ["data:,"]
    assert not re.search(r"url\((?!#)|@import", html)


def test_ids_on_the_page_are_unique_and_links_within_it_lead_somewhere(page: Page) -> None:
    ids = [attrs["id"] for tag, attrs in page.tags if "id" in attrs and tag == "section"]
    assert len(ids) == len(set(ids))
    inner = [str(attrs["href"])[1:] for tag, attrs in page.tags if tag == "a" and str(attrs["href"]).startswith("#")]
    assert inner and set(inner) <= set(ids)


def test_the_same_round_gives_the_same_page(data: RoundData, html: str) -> None:
    DRAWN.clear()
    assert render_report(data) == html


def test_what_a_model_wrote_is_shown_as_text_wherever_it_appears(data: RoundData) -> None:
    def hostile(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        return frame.with_columns(pl.lit(HOSTILE).alias(column) for column in columns)

    text = render_report(
        replace(
            data,
            promotion=HOSTILE,
            teacher=HOSTILE,
            student=HOSTILE,
            plan=replace(data.plan, trigger=HOSTILE),
            candidates=hostile(data.candidates, "instruction", "raw"),
            verdicts=hostile(data.verdicts, "instruction", "neighbour", "neighbour_id", "rule"),
            examples=hostile(data.examples, "instruction", "input", "output"),
            batches=hostile(data.batches, "prompt", "output", "origin"),
            changes=hostile(data.changes, "instruction", "reason"),
            items=hostile(data.items, "prompt", "answer", "reason"),
        )
    )
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert Page(text).open == []


def test_control_characters_and_lone_surrogates_do_not_stop_the_page_from_being_written(
    data: RoundData,
) -> None:
    text = render_report(replace(data, promotion="a\x00b\x1b[31m\ud800c"))
    assert "a\ufffdb\ufffd[31m\ufffdc" in text
    text.encode("utf-8")


def test_a_text_longer_than_the_page_bears_is_cut_and_says_so(data: RoundData) -> None:
    long = data.examples.with_columns(pl.lit("x" * 5000).alias("output"))
    text = render_report(replace(data, examples=long))
    assert "[3,800 more characters]" in text
    assert "x" * 1201 not in text


def test_the_headline_says_promotion_scores_with_intervals_kept_and_tokens(data: RoundData, page: Page) -> None:
    text = page.sections[""]
    before, after = (Rate(int(f["passed"].sum()), f.height) for f in (data.items_before, data.items))
    assert "checkpoint promoted" in text
    assert f"{percent(before.share)} to {percent(after.share)}" in text
    assert f"after {percent(after.low)} to {percent(after.high)}" in text
    assert f"{data.outcome.kept} of {data.outcome.candidates}" in text
    assert f"{data.outcome.tokens / data.outcome.kept:,.0f}" in text
    assert data.promotion in page.sections["verdict"]


def test_a_checkpoint_that_was_not_promoted_is_called_that_with_its_reason(data: RoundData) -> None:
    refused = replace(data, outcome=replace(data.outcome, promoted=False), promotion="3 won and 19 lost")
    page = Page(render_report(refused))
    assert "checkpoint not promoted" in page.sections[""]
    assert "Why: 3 won and 19 lost." in page.sections["verdict"]


def test_only_a_simulated_teacher_gets_the_banner(data: RoundData, html: str) -> None:
    assert "Simulated teacher" not in html
    for text in (render_report(replace(data, simulated=True)), render_index([], [], simulated=True)):
        assert "SIMULATED teacher" in text


def test_the_plan_gives_a_reason_for_each_category(data: RoundData, page: Page) -> None:
    assert all(category.reason in page.sections["plan"] for category in data.plan.categories)


def test_every_rule_is_shown_with_its_count_and_a_near_duplicate_with_its_neighbour(
    data: RoundData, page: Page
) -> None:
    dropped = data.verdicts.filter(pl.col("state") != "kept")
    for rule, number in dropped.group_by(pl.col("rule").str.split(":").list.first()).len().iter_rows():
        assert re.search(rf"{re.escape(rule)} (malformed|rejected): [^>]*? {number} ", page.sections["rules"]), rule
    near = dropped.filter(pl.col("rule") == "near_duplicate").row(0, named=True)
    assert near["neighbour"] in page.sections["rules"]
    assert near["neighbour_id"] in page.sections["rules"]


def test_weak_categories_come_first_and_are_marked(data: RoundData, html: str) -> None:
    table = html[html.index("Category and decision") : html.index("Over all items")]
    rows = re.findall(r"<tr.*?</tr>", table[table.index("<tbody>") :], re.DOTALL)
    decisions = [('class="weak"' in row, *re.findall(r'class="pill \w+">([\w ]+)<', row)) for row in rows]
    assert len(decisions) == 12
    weak = [decision == "weak" for _, decision in decisions]
    assert weak == sorted(weak, reverse=True)
    assert weak == [marked for marked, _ in decisions]
    assert any(weak)


def test_samples_show_two_kept_examples_a_category_and_right_and_wrong_answers(data: RoundData, page: Page) -> None:
    for category in data.plan.category_ids:
        ids = data.examples.filter(pl.col("category") == category)["example_id"].sort()
        assert [i in page.sections["examples"] for i in ids] == [True] * 2 + [False] * (len(ids) - 2)
    text = page.sections["answers"]
    passed = data.items.group_by("category").agg(pl.col("passed").any().alias("some"), pl.col("passed").all())
    assert text.count("Question") == passed.filter("some").height + passed.filter(~pl.col("passed")).height


def test_the_batch_shown_is_the_one_with_the_highest_gradient_norm(data: RoundData, page: Page) -> None:
    top = data.steps.sort("grad_norm", descending=True).row(0, named=True)
    assert f"highest gradient norm, {top['grad_norm']:.2f} at step {top['step']}" in page.sections["batches"]
    assert all(example_id in page.sections["batches"] for example_id in top["example_ids"])


def test_without_a_price_no_amount_is_claimed(data: RoundData, page: Page) -> None:
    assert "no price known" in page.sections["cost"]
    assert "$" not in page.sections["cost"]


def test_history_has_the_earlier_rounds_with_links_and_this_one(page: Page) -> None:
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert {"round-0001.html", "round-0002.html", "round-0003.html", "index.html"} <= set(links)
    assert "round-0004 (this one)" in page.sections["history"]


def test_a_round_that_kept_and_trained_nothing_still_has_a_report() -> None:
    page = Page(render_report(empty_round()))
    assert page.open == []
    for section, text in {
        "rules": "No candidate was rejected",
        "training": "There were no training steps",
        "batches": "There are no training batches",
        "seeds": "No seed changed",
        "examples": "No example was kept",
        "answers": "Nothing was evaluated",
        "cost": "The teacher was not called",
    }.items():
        assert text in page.sections[section]
    assert "none kept" in page.sections[""]


@pytest.mark.parametrize(
    "field", [f for f, kind in RoundData.__annotations__.items() if kind in ("pl.DataFrame", pl.DataFrame)]
)
def test_any_one_table_may_be_empty(data: RoundData, field: str) -> None:
    page = Page(render_report(replace(data, **{field: getattr(empty_round(), field)})))
    assert page.open == []


def test_counts_that_do_not_add_up_are_called_out(data: RoundData, page: Page) -> None:
    assert "The counts add up" in page.sections["funnel"]
    short = Page(render_report(replace(data, verdicts=data.verdicts.tail(-1))))
    assert "The counts do not add up" in short.sections["funnel"]


def test_the_index_links_finished_rounds_and_shows_open_ones_without_a_link(data: RoundData) -> None:
    outcomes = [outcome(1, 0.3), outcome(2, 0.35)]
    plans = [replace(data.plan, round=f"round-{n:04d}", parent=None) for n in (1, 2, 3)]
    page = Page(render_index(outcomes, plans))
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert page.open == []
    assert links == {"round-0001.html", "round-0002.html"}
    assert "round-0003" in page.sections["rounds"]
    assert "open" in page.sections["rounds"]


def test_the_index_of_no_rounds_says_so() -> None:
    page = Page(render_index([], []))
    assert "No round has been planned yet" in page.sections["rounds"]


def test_the_index_escapes_what_a_plan_says() -> None:
    assert "<script" not in render_index([], [RoundPlan("round-0001", None, HOSTILE, (), 1)])


@pytest.mark.parametrize("case", [full_round, empty_round])
def test_plots_for_metadata_are_png(case: Callable[[], RoundData]) -> None:
    given = case()
    assert plot_scores(given).startswith(PNG)
    assert plot_training(given.steps).startswith(PNG)


def test_a_gradient_norm_that_is_not_finite_leaves_a_gap_in_the_plot(data: RoundData) -> None:
    broken = data.steps.with_columns(
        pl.when(pl.col("step") == 3).then(float("inf")).otherwise("grad_norm").alias("grad_norm")
    )
    assert Page(render_report(replace(data, steps=broken))).open == []


def test_the_funnel_adds_up_by_category_and_rule(data: RoundData) -> None:
    planned = {c.category: c.candidates for c in data.plan.categories}
    counted = funnel(planned, data.candidates, data.verdicts)
    assert counted.adds_up
    assert counted.total.candidates == data.candidates.height
    assert counted.total.kept == data.examples.height
    assert sum(reason.count for reason in counted.reasons) == data.candidates.height - data.examples.height


def test_refusals_with_different_words_count_as_one_reason(data: RoundData) -> None:
    refused = data.verdicts.with_columns(
        pl.lit("malformed").alias("state"),
        (pl.lit("teacher refused: case ") + pl.col("candidate_id")).alias("rule"),
    )
    (reason,) = funnel({}, data.candidates, refused).reasons
    assert (reason.name, reason.count) == ("teacher refused", refused.height)


def test_names_that_look_like_formulas_or_markup_are_drawn_as_they_are(data: RoundData) -> None:
    odd = "a_{$x^$ <b>"
    counted = funnel({}, data.candidates.with_columns(category=pl.lit(odd)), data.verdicts)
    svg = to_svg(funnel_figure(counted), "candidates")
    assert "a {$x^$ &lt;b&gt;" in svg


def test_a_category_that_was_not_planned_but_has_candidates_is_counted(data: RoundData) -> None:
    assert funnel({}, data.candidates, data.verdicts).total.candidates == data.candidates.height


@pytest.mark.parametrize(("passed", "items"), [(0, 12), (5, 12), (12, 12), (61, 144), (1, 1)])
def test_the_interval_is_wilsons(passed: int, items: int) -> None:
    expected = binomtest(passed, items).proportion_ci(0.95, method="wilson")
    assert (Rate(passed, items).low, Rate(passed, items).high) == pytest.approx((expected.low, expected.high))


def test_categories_without_earlier_items_have_no_change_rather_than_a_zero(data: RoundData) -> None:
    (score, *_) = category_scores(data.outcome.categories, data.items_before.clear(), data.items_baseline)
    assert score.before is None
    assert score.change is None


def test_a_round_that_starts_from_the_untrained_student_says_so(data: RoundData) -> None:
    first = replace(data, items_before=evaluation("same", 0.3), items_baseline=evaluation("same", 0.3))
    assert "started from the untrained student" in Page(render_report(first)).sections["scores"]


def test_a_partly_known_price_is_a_lower_bound(data: RoundData) -> None:
    some = data.calls.head(3).with_columns(cost_usd=pl.Series([1.0, 0.5, None]))
    assert costs.total_cost(some).usd == "$1.50 and 1 calls without a known price"
    assert costs.total_cost(some.head(2)).usd == "$1.50"


def test_cost_by_purpose_and_by_category_come_to_the_same_total(data: RoundData) -> None:
    total = costs.total_cost(data.calls).tokens
    assert sum(row.tokens for row in costs.cost_by_purpose(data.calls)) == total
    assert sum(row.tokens for row in costs.cost_by_category(data.calls, data.examples)) == total


def test_the_first_batch_is_shown_when_no_step_trained_a_composed_batch(data: RoundData) -> None:
    shown = learning.batch_figures(data.batches, data.steps.clear(), data.diversity.clear())
    assert shown is not None
    assert (shown["shown"], shown["shown_why"]) == (1, "the first one")


def test_a_batch_of_number_0_is_shown_as_earlier_versions_counted_from_there(data: RoundData) -> None:
    counted = data.batches.with_columns(pl.col("batch") - 1)
    first = counted.filter(pl.col("batch") == 0).sort("position")["example_id"].to_list()
    highest = pl.when(pl.col("example_ids") == first).then(99.0).otherwise(pl.col("grad_norm"))
    shown = learning.batch_figures(counted, data.steps.with_columns(grad_norm=highest), data.diversity)
    assert shown is not None
    assert shown["shown"] == 0 and "99.00" in shown["shown_why"]


def test_seed_counts_by_category_cover_the_whole_set(data: RoundData) -> None:
    rows = learning.seed_rows(data.seeds, data.changes)
    assert sum(row["total"] for row in rows) == data.seeds.height
    assert sum(row["promoted"] + row["retired"] for row in rows) == data.changes.height


def test_figures_never_round_to_a_claim_that_is_false() -> None:
    assert (percent(0.001), percent(0.999), percent(0.0), percent(1.0)) == ("<1%", ">99%", "0%", "100%")
    assert (points(0.081), points(-0.081), points(0.001), points(None)) == ("+8", "\u22128", "0", "-")
    assert (decimal(0.0004, 3), decimal(0.021, 3), decimal(None)) == ("4.0e-04", "0.021", "-")
    assert (measured(611.0), measured(1.0), measured(0.914)) == ("611", "1.00", "0.91")


def test_printable_text_is_left_as_it_is() -> None:
    text = "tabs\tand\nlines, accents é, 漢字, العربية"
    assert printable(text) == text
    assert clip(text) == text


def test_importing_the_report_loads_neither_matplotlib_nor_dagster() -> None:
    code = (
        "import sys, sedi_dagster.reporting.report;"
        "print([m for m in ('matplotlib', 'dagster', 'torch') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_stuck_category_asks_for_a_person_and_is_coloured(data: RoundData) -> None:
    assert "Your attention is needed" not in render_report(data)
    first, *others = data.outcome.categories
    given_up = replace(first, decision="stuck", reason="no significant gain in 2 rounds")
    html = render_report(replace(data, outcome=replace(data.outcome, categories=(given_up, *others))))
    assert "Your attention is needed" in html and "pill warn" in html and "no significant gain in 2 rounds" in html


COMPARED = {
    "against": pl.String, "category": pl.String, "won": pl.Int64, "lost": pl.Int64, "p_gain": pl.Float64,
    "p_drop": pl.Float64,
}  # fmt: skip


@pytest.mark.parametrize(
    ("won", "lost", "p_gain", "p_drop", "message"),
    [(30, 2, 1e-6, 1.0, "a gain (30 items won and 2 lost, p < 0.0001)"),
     (13, 11, 0.42, 0.73, "no evidence of a gain (13 items won and 11 lost, p = 0.42)"),
     (1, 9, 0.99, 0.011, "a loss (1 items won and 9 lost, p = 0.011)")],
)  # fmt: skip
def test_the_sentence_on_top_claims_a_gain_on_evidence_only(
    data: RoundData, won: int, lost: int, p_gain: float, p_drop: float, message: str
) -> None:
    rows = [("before", "all", won, lost, p_gain, p_drop), ("untrained", "all", 90, 0, 1e-9, 1.0)]
    compared = pl.DataFrame(rows, schema=COMPARED, orient="row")
    said = round_conclusion(Rate(50, 120), Rate(52, 120), compared, 0.05).sentence
    assert said == f"42% of the evaluation items passed before, 43% after: {message}."
    assert message in Page(render_report(replace(data, comparisons=compared))).sections["verdict"]


@pytest.mark.parametrize(
    ("p_gain", "p_drop", "message"),
    [(0.01, 1.0, "a gain (9 items won and 1 lost, p = 0.01)"),
     (0.3, 0.8, "no evidence of a gain (9 items won and 1 lost, p = 0.3)"),
     (1.0, 0.02, "a loss (9 items won and 1 lost, p = 0.02)")],
)  # fmt: skip
def test_what_the_teacher_bought_beyond_the_seed_tasks_is_told_everywhere(
    data: RoundData, p_gain: float, p_drop: float, message: str
) -> None:
    """On top of the report and of the index, in the table of scores, and as a line of the curve."""
    rows = [("before", "all", 5, 5, 0.6, 0.6), ("seed tasks", "all", 9, 1, p_gain, p_drop)]
    seed_items = data.items_baseline.with_columns(passed=pl.int_range(pl.len()) % 4 == 0)
    given = replace(data, comparisons=pl.DataFrame(rows, schema=COMPARED, orient="row"), items_seed_tasks=seed_items)
    rate, tokens = pass_rate(seed_items), data.outcome.tokens + sum(o.tokens for o in data.earlier)
    assert rate is not None
    sentence = (
        f"After training on the human seed tasks alone, the student passes {percent(rate.share)}; "
        f"with {tokens:,} teacher tokens, {percent(data.items['passed'].mean())}: {message}."  # type: ignore[arg-type]
    )
    html = render_report(given)
    page = Page(html)
    assert sentence in page.sections["verdict"]
    assert page.sections["scores"].count("Seed tasks alone") == 2 and "seed tasks alone" in page.sections["history"]
    assert f"{rate.passed}/{rate.items}" in page.sections["scores"]
    index = render_index(
        [*data.earlier, data.outcome], [data.plan], starting_rates(given), None, "", teacher_gain(given)
    )
    assert sentence in Page(index).sections["verdict"] and f"seed tasks alone: {percent(rate.share)}" in index
    assert re.search(r"<text[^>]*>seed tasks alone</text>", index), "the curve has its line"


def test_without_a_student_of_the_seed_tasks_nothing_is_said_of_it(html: str, data: RoundData) -> None:
    assert teacher_gain(data) is None and "seed tasks alone" not in html and "Seed tasks alone" not in html


def test_what_was_forgotten_is_told_with_and_without_evidence(data: RoundData) -> None:
    rows = [
        ("before", "math", 0, 7, 1.0, 0.008),
        ("before", "coding", 1, 2, 0.9, 0.5),
        ("before", "open_qa", 3, 1, 0.3, 0.9),
    ]
    compared = pl.DataFrame(rows, schema=COMPARED, orient="row")
    text = Page(render_report(replace(data, comparisons=compared))).sections["scores"]
    assert "math : 7 items lost and 0 won against the previous checkpoint: a drop" in text
    assert "coding : 2 items lost and 1 won against the previous checkpoint: no evidence" in text
    assert "open qa : " not in text


def test_the_engineer_finds_run_commit_settings_times_and_the_command_for_each_id(data: RoundData) -> None:
    known = ReportFacts(
        next="The next round would ask for math (20).", run_id="run-17", run_url="http://127.0.0.1:3000/runs/run-17",
        commit="c0ffee", manifest_sha256="ab" * 32, spending=Spending(40_000, 1.5, 80_000, 6.0),
        stages=(Stage("sft_checkpoint", 300.0), Stage("lineage_manifest", None)), settings={"profile": "local"},
    )  # fmt: skip
    text = render_report(replace(data, facts=known))
    page = Page(text)
    for message in ("run-17", "c0ffee", "ab" * 32, '"profile": "local"', "5 min", "sedi reproduce round-0004"):
        assert message in page.sections["engineering"]
    assert "Next: The next round would ask for math (20)." in page.sections["verdict"]
    assert "40,000 teacher tokens of 80,000 (50%); $1.50 of $6.00 (25%)" in page.sections["verdict"]
    assert f"sedi trace {data.examples['example_id'].sort()[0]}" in text


def test_the_best_examples_are_those_that_became_seeds(data: RoundData) -> None:
    ids = data.examples["example_id"].to_list()
    considered = pl.DataFrame(
        {
            "example_id": ids[:3],
            "signal": [1.0, 9.0, 5.0],
            "why": ["low", "high", "middle"],
            "refused": [None, None, "no"],
        }
    )
    best = best_examples(data.examples, considered)
    assert [row["example_id"] for row in best] == [ids[1], ids[0]]
    assert "Promoted to seeds" in Page(render_report(replace(data, considered=considered))).sections["examples"]


def test_the_index_has_the_untrained_student_the_money_and_what_comes_next(data: RoundData) -> None:
    page = Page(
        render_index(
            [outcome(1, 0.3)], [replace(data.plan, round="round-0001")], {"untrained": Rate(3, 120)},
            Spending(40_000, None, 80_000), "The loop ends here: no weak category.",
        )
    )  # fmt: skip
    assert "untrained: 2%" in page.sections["verdict"] and "no weak category" in page.sections["verdict"]
    assert "40,000 teacher tokens of 80,000 (50%); no price known" in page.sections["verdict"]
    assert "untrained" in page.sections["rounds"]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2, 1.4.3)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_has_enough_contrast_in_light_and_dark(palette: dict[str, str]) -> None:
    for name in ("ink", "muted", "accent", "good", "bad", "warn"):
        for ground in ("surface", "page"):
            assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)


def test_every_plot_and_every_scrolling_table_has_a_name_for_who_cannot_see_it(page: Page) -> None:
    plots = [attrs for tag, attrs in page.tags if tag == "svg"]
    regions = [attrs for _, attrs in page.tags if attrs.get("class") == "scroll"]
    assert plots and all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in plots)
    assert regions and all(attrs.get("tabindex") == "0" and attrs.get("aria-label") for attrs in regions)
