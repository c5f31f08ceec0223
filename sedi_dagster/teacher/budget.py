"""Budgets: prices, caps and accounts.

Amounts are whole nano-dollars (1e-9 USD), so that sums are exact. Every call is charged to four accounts: the loop, its
round, its day (UTC) and its run. Everything here is pure; the ledger stores the accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import cache
from importlib import resources

import yaml

from sedi_dagster.errors import BudgetExceeded, SettingsError
from sedi_dagster.settings import Price, Settings

LOOP_ACCOUNT = "loop"
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cap:
    """An account that a call is charged to, with its limits (None: no limit).

    `setting` names the settings that the limits come from, for error messages.
    """

    account: str
    tokens: int | None = None
    nanousd: int | None = None
    setting: str = ""

    @property
    def text(self) -> str:
        """The limit as text, which is stored with what it stopped, and which `is_raised` reads."""
        return f"{self.account} {self.tokens} {self.nanousd}"


@dataclass(slots=True)
class Account:
    """What was spent, and what is reserved for calls in flight."""

    name: str
    spent_tokens: int = 0
    reserved_tokens: int = 0
    spent_nanousd: int = 0
    reserved_nanousd: int = 0

    def overrun(self, cap: Cap, tokens: int, nanousd: int) -> str | None:
        """Return None if the call fits, "full" if it never will, "busy" if it may once calls in flight are settled."""
        state = None
        for limit, spent, reserved, amount in (
            (cap.tokens, self.spent_tokens, self.reserved_tokens, tokens),
            (cap.nanousd, self.spent_nanousd, self.reserved_nanousd, nanousd),
        ):
            if limit is None or spent + reserved + amount <= limit:
                continue
            if spent + amount > limit:
                return "full"
            state = "busy"
        return state


def today() -> str:
    """Return the date (UTC) of the daily caps, such as `2026-11-26`."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def nanousd(usd: float) -> int:
    """Convert USD to whole nano-dollars."""
    return int(Decimal(str(usd)) * NANO)


def usd(amount: int | None) -> float | None:
    """Convert nano-dollars to USD; None stays None."""
    return None if amount is None else amount / NANO


def cost_nanousd(
    price: Price | None, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, factor: float = 1.0
) -> int | None:
    """Return the cost of a call in nano-dollars, rounded up; None if no price is known.

    Args:
        cached_tokens: how many of the prompt tokens came from a cache.
        factor: multiplies the cost; below 1 for a batch.
    """
    if price is None:
        return None
    cached_price = price.input if price.cached_input is None else price.cached_input
    cost = Decimal(str(price.input)) * (prompt_tokens - cached_tokens)
    cost += Decimal(str(cached_price)) * cached_tokens + Decimal(str(price.output)) * completion_tokens
    return int((cost * Decimal(str(factor)) * NANO / 1_000_000).to_integral_value(ROUND_CEILING))


@cache
def listed_prices() -> Mapping[str, Price]:
    """Return the built-in prices (`prices.yaml`) by model name."""
    data = yaml.safe_load(resources.files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8"))
    return {
        model: Price(as_of=group["as_of"], **price)
        for group in data["prices"]
        for model, price in group["models"].items()
    }


def known_price(settings: Settings) -> Price | None:
    """Return the price of the teacher in the settings; the bundled and the simulated one are free.

    Raises:
        SettingsError: a cap in USD is set and no price is known.
    """
    if settings.teacher.base_url is None or settings.teacher.is_simulated:
        return Price(input=0, output=0, as_of="free")
    price = settings.budget.prices.get(settings.teacher.model) or listed_prices().get(settings.teacher.model)
    if price is None and settings.budget.caps_usd:
        raise SettingsError(
            f"A budget in USD is set, but no price is known for the model {settings.teacher.model!r}."
            + _similar_price(settings.teacher.model),
            f'Set SEDI_BUDGET_PRICES=\'{{"{settings.teacher.model}": {{"input": IN, "output": OUT, "as_of": '
            f'"{today()}"}}}}\' with the price of a million prompt and completion tokens in USD, or unset '
            "SEDI_BUDGET_MAX_USD*.",
        )
    return price


def _similar_price(model: str) -> str:
    """Return a hint with the price of the listed model whose name is part of this one; "" if there is none.

    It is only a hint, because a dated snapshot, a tuned model or one behind a gateway may cost more.
    """
    similar = [name for name in listed_prices() if name in model.lower()]
    if not similar:
        return ""
    name = max(similar, key=len)
    price = listed_prices()[name]
    return f" (The list has {name}: {price.input:g} in, {price.output:g} out in {price.as_of}; yours may cost more.)"


@dataclass(frozen=True)
class Budget:
    """All limits of a run. If `run` is empty, no account is kept for it."""

    max_tokens: int | None = None
    max_tokens_per_round: int | None = None
    max_tokens_per_day: int | None = None
    max_tokens_per_run: int | None = None
    max_usd: float | None = None
    max_usd_per_round: float | None = None
    max_usd_per_day: float | None = None
    max_usd_per_run: float | None = None
    run: str = ""

    @classmethod
    def from_settings(cls, settings: Settings, run: str = "", max_tokens_per_round: int | None = None) -> Budget:
        """Return the present limits of the settings.

        They take precedence over the limit in the round's plan, so that a round continues after a limit was raised.

        Args:
            max_tokens_per_round: the limit in the round's plan.
        """
        if settings.loop.max_tokens_per_round is not None:
            max_tokens_per_round = settings.loop.max_tokens_per_round
        elif settings.loop.max_tokens is not None:
            max_tokens_per_round = None  # derived from the loop's limit, whose own account is up to date
        caps = settings.budget.model_dump(exclude={"prices"})
        return cls(max_tokens=settings.loop.max_tokens, max_tokens_per_round=max_tokens_per_round, run=run, **caps)

    def caps(self, round_key: str, day: str) -> Sequence[Cap]:
        """Return the accounts that a call of this round and day is charged to, with their limits."""
        kinds = [
            ("", LOOP_ACCOUNT, self.max_tokens, self.max_usd, "LOOP"),
            ("_PER_ROUND", f"round:{round_key}", self.max_tokens_per_round, self.max_usd_per_round, "LOOP"),
            ("_PER_DAY", f"day:{day}", self.max_tokens_per_day, self.max_usd_per_day, "BUDGET"),
            ("_PER_RUN", f"run:{self.run}", self.max_tokens_per_run, self.max_usd_per_run, "BUDGET"),
        ]
        return [
            _cap(account, tokens, money, f"SEDI_{group}_MAX_TOKENS{suffix}", f"SEDI_BUDGET_MAX_USD{suffix}")
            for suffix, account, tokens, money, group in (kinds if self.run else kinds[:-1])
        ]


def _cap(account: str, tokens: int | None, money: float | None, tokens_name: str, money_name: str) -> Cap:
    names = [name for name, value in ((tokens_name, tokens), (money_name, money)) if value is not None]
    return Cap(account, tokens, None if money is None else nanousd(money), " or ".join(names))


def budget_exceeded(cap: Cap, account: Account) -> BudgetExceeded:
    """Return an error that names the account, what it has spent, and the setting to raise."""
    spent = [f"{account.spent_tokens:,} of {cap.tokens:,} tokens"] if cap.tokens is not None else []
    if cap.nanousd is not None:
        spent.append(f"{account.spent_nanousd / NANO:.4f} of {cap.nanousd / NANO:.4f} USD")
    kind, _, name = cap.account.partition(":")
    where = f"the {kind} {name}" if name else "the whole loop"
    error = BudgetExceeded(
        f"The budget of {where} is used up: {' and '.join(spent)}, and the next call may take more than is left.",
        f"Raise {cap.setting}. Everything so far is saved; run again to continue.",
    )
    error.cap = cap.text
    return error


def is_raised(cap_text: str, now: Sequence[Cap]) -> bool:
    """Return whether a limit that stopped something has been raised or removed since, or was that of another day.

    A run's own limit never counts as raised, as every run has an account of its own.

    Args:
        cap_text: the limit at that time (`Cap.text`).
        now: the present limits.
    """
    account, tokens, money = cap_text.rsplit(" ", 2)
    if account.startswith("run:"):
        return False
    cap = next((cap for cap in now if cap.account == account), None)
    if cap is None:
        return True
    before = [None if limit == "None" else int(limit) for limit in (tokens, money)]
    pairs = list(zip(before, (cap.tokens, cap.nanousd), strict=True))
    higher = any(old is not None and (new is None or new > old) for old, new in pairs)
    return higher and not any(new is not None and (old is None or new < old) for old, new in pairs)
