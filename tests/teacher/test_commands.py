"""`sedi calls` on a ledger with a few calls."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from teacher_bench import Bench, chats

from sedi_dagster.errors import SettingsError
from sedi_dagster.settings import Price
from sedi_dagster.teacher.calls import CallFilter, list_calls, sum_calls
from sedi_dagster.teacher.commands import calls_group


@pytest.fixture
def filled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench.price = Price(input=1.0, output=2.0, as_of="2026-11-01")
    bench.ask(chats(6))
    bench.ask(chats(3, max_tokens=20, category="coding", round="round-0002", purpose="answer"))
    monkeypatch.setenv("SEDI_LEDGER", bench.ledger.url)
    monkeypatch.setenv("COLUMNS", "200")
    return bench


def run(*words: str) -> str:
    result = CliRunner().invoke(calls_group, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_sums_by_each_column_add_up_to_the_account(filled: Bench) -> None:
    account = filled.ledger.account("loop")
    for by in ("round", "category", "purpose", "day", "model", "state"):
        sums = sum_calls(filled.ledger, by)  # type: ignore[arg-type]
        assert sum(s.prompt_tokens + s.completion_tokens + s.lost_tokens for s in sums) == account.spent_tokens
        assert sum(s.nanousd or 0 for s in sums) == account.spent_nanousd
    assert [s.name for s in sum_calls(filled.ledger, "round")] == ["round-0001", "round-0002"]
    (only,) = sum_calls(filled.ledger, "purpose", CallFilter(category="coding"))
    assert (only.name, only.calls) == ("answer", 3)


def test_a_sum_with_an_unknown_price_is_unknown(bench: Bench) -> None:
    bench.ask(chats(1))
    (line,) = sum_calls(bench.ledger, "round")
    assert line.nanousd is None


def test_calls_are_listed_shown_summed_and_pruned(filled: Bench) -> None:
    assert run("list", "--category", "coding").count("done") == 3
    key = list_calls(filled.ledger)[0].key
    assert "question" in run("show", key[:12]) and "round-0002" in run("sum", "round")
    assert "0 calls pruned" in run("prune", "--older-than-days", "1", "--yes")
    assert "9 calls pruned" in run("prune", "--older-than-days", "0", "--yes")
    assert "pruned or missing" in run("show", key[:12])


def test_a_value_that_no_call_has_is_told_and_a_round_may_be_named_by_its_number(filled: Bench) -> None:
    assert "round-0002" in run("sum", "--round", "2") and "round-0001" not in run("sum", "--round", "2")
    for words in (("sum", "--round", "9"), ("list", "--category", "maths"), ("retry", "--day", "2020-01-01")):
        result = CliRunner().invoke(calls_group, words)
        assert isinstance(result.exception, SettingsError), words
        assert "No call has the" in str(result.exception) and "There are: " in str(result.exception)


def test_a_state_is_one_of_those_that_there_are_also_where_no_call_has_it(filled: Bench) -> None:
    assert "coding" not in run("list", "--state", "failed")
    misspelt = CliRunner().invoke(calls_group, ["retry", "--state", "answerd"])
    assert misspelt.exit_code == 2 and "refused" in misspelt.output


@pytest.mark.parametrize("words", [("list", "--limit", "-5"), ("prune", "--older-than-days", "-1", "--yes")])
def test_a_number_below_its_least_is_refused(filled: Bench, words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(calls_group, words).exit_code == 2
