"""Is an endpoint that gives no answer slow, or dead?

A call may take minutes, so its own time-out tells too late that nobody is there. But an endpoint that works on a call
still answers a small question beside it: servers of models answer requests in parallel. So when calls are under way
and nothing at all has come back for a while, it is asked for its models, which costs nothing. Any answer, also an
error, means that it lives and its calls are waited for; three questions in a row without one mean that it is dead.
"""

from __future__ import annotations

import asyncio

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher import preflight
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, silent_error
from sedi_dagster.teacher.limiter import Gate

QUESTIONS = 3


async def until_silent(gate: Gate, endpoint: Endpoint, names: EndpointNames, silence_s: float) -> TeacherError:
    """Wait until the endpoint is dead: at the earliest after the silence and three questions of half its length."""
    unanswered = 0
    while unanswered < QUESTIONS:
        quiet_s = gate.quiet_s()
        if quiet_s < silence_s:
            unanswered = 0
            await asyncio.sleep(max(0.05, silence_s - quiet_s))
        elif await preflight.answers(endpoint, silence_s / 2):
            gate.heard()
        else:
            unanswered += 1
    return silent_error(gate.quiet_s(), names)
