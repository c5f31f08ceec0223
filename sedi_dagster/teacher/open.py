"""Opening the teacher and the ledger that the settings describe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from sedi_dagster.settings import Settings, secrets_in
from sedi_dagster.teacher.budget import Budget, known_price
from sedi_dagster.teacher.endpoint import Endpoint, RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.local_server import BundledEndpoint

if TYPE_CHECKING:
    from sedi_dagster.teacher.client import Teacher


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger of the settings; close it after use."""
    return Ledger(settings.ledger_url)


def make_endpoint(settings: Settings) -> Endpoint:
    """Create the endpoint of the settings without starting it: a URL, the bundled model or the simulated teacher."""
    teacher = settings.teacher
    if teacher.is_simulated:
        from sedi_dagster.testing.simulated_endpoint import SimulatedEndpoint

        return SimulatedEndpoint()
    if teacher.base_url is not None:
        return RemoteEndpoint(
            teacher.base_url,
            teacher.api_key.get_secret_value(),
            headers=teacher.headers,
            query=teacher.query,
            secrets=secrets_in(teacher.extra_body),
        )
    return BundledEndpoint(
        settings.path(settings.cache) / "teacher",
        slots=teacher.max_concurrency,
        context=teacher.local_context,
        threads=teacher.local_threads,
    )


_recorded_only = ContextVar("recorded_only", default=False)


@contextmanager
def recorded_answers_only() -> Iterator[None]:
    """Within the block, teachers answer from the ledger alone: no endpoint is started, and nothing is sent."""
    token = _recorded_only.set(True)
    try:
        yield
    finally:
        _recorded_only.reset(token)


@asynccontextmanager
async def open_teacher(
    settings: Settings,
    *,
    run: str = "",
    max_tokens_per_round: int | None = None,
    nightly: bool = False,
) -> AsyncIterator[Teacher]:
    """Open a teacher: `async with open_teacher(settings) as teacher:`.

    Args:
        run: the run whose budget is charged.
        max_tokens_per_round: the limit in the round's plan.
        nightly: nobody waits for the answers.

    Raises:
        SettingsError: the ledger cannot be used, or a price is missing.
        ModelError, TeacherError: the bundled model does not start.
    """
    from sedi_dagster.teacher.client import Teacher  # with the openai client, which most commands do without

    price = known_price(settings)
    budget = Budget.from_settings(settings, run, max_tokens_per_round)
    endpoint = make_endpoint(settings)
    with open_ledger(settings) as ledger:
        async with Teacher(
            settings.teacher,
            ledger,
            endpoint=endpoint,
            budget=budget,
            price=price,
            recorded_only=_recorded_only.get(),
            nightly=nightly,
        ) as teacher:
            yield teacher
