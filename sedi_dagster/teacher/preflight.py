"""Check of the endpoint before anything is spent: is it available, does it accept the key, does it have the model?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from sedi_dagster.errors import TeacherUnavailable
from sedi_dagster.teacher.answers import json_or_text
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, from_status
from sedi_dagster.teacher.reasons import error_reason
from sedi_dagster.teacher.transport import FAILURES, LONGEST_ANSWER_BYTES, failed, open_client, through_proxy

TIMEOUT_S = 15.0
_SHOWN_MODELS = 8


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why it is not clear whether the endpoint has the model: it lists only others, or does not show its list."""

    why: str
    models: Sequence[str] = ()


async def check(endpoint: Endpoint, names: EndpointNames) -> Doubt | None:
    """Request the list of models, which is free. Return None if there is nothing to object to.

    An endpoint without such a list (404, 405, or an empty one), or one that limits the rate or is still loading its
    model, passes: the first call will show more. A key may be valid for calls but not for the list.

    Raises:
        TeacherError: the endpoint cannot be reached or used.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S), open_client(endpoint) as client:
            response = await client.get("/models", cast_to=httpx2.Response)
    except openai.APIStatusError as error:
        if error.status_code in (404, 405, 429, 501):
            return None
        failure = from_status(error.status_code, error.body, error.response.headers, names)
        if failure.kind == "rate_limited":
            return None
        if 400 <= error.status_code <= 500 and error.status_code != 407:
            message = failure.fatal.problem if failure.fatal is not None else failure.message
            return Doubt(f"{names.endpoint} does not show which models it has ({error.status_code}): {message[:200]}")
        raise failure.fatal or _unreachable(names, failure.message + through_proxy(endpoint.base_url)) from None
    except TimeoutError:
        raise _unreachable(names, f"no answer within {TIMEOUT_S:.0f} s") from None
    except FAILURES as error:
        raise _unreachable(names, str(failed(error))) from None
    except openai.APIError:
        return None
    listing = json_or_text(response.content[:LONGEST_ANSWER_BYTES])
    if not isinstance(listing, dict | list):
        message = error_reason(str(listing)).message[:80]
        return Doubt(f"{names.endpoint} responds with something other than a list of models ({message})")
    known = sorted(_names(listing))
    if not known or {names.model, f"{names.model}:latest", f"models/{names.model}"} & set(known):
        return None
    return Doubt(f"{names.endpoint} does not list the model {names.model!r} (it lists {shown(known)})", known)


def _names(listing: Any) -> set[str]:
    """Return the names in a list of models in the format of OpenAI (`data`) or Ollama (`models`), or a bare list."""
    rows = listing if isinstance(listing, list) else listing.get("data") or listing.get("models") or []
    found = {row if isinstance(row, str) else _name(row) for row in rows if isinstance(row, str | dict)}
    return found - {""}


def _name(row: dict[str, Any]) -> str:
    return next((row[key] for key in ("id", "name", "model") if isinstance(row.get(key), str)), "")


def shown(models: Sequence[str]) -> str:
    """Format the first of the models for a message."""
    return ", ".join(models[:_SHOWN_MODELS]) + (", ..." if len(models) > _SHOWN_MODELS else "")


async def responds(endpoint: Endpoint, within_s: float) -> bool:
    """Return whether the endpoint responds to a request for its models within the time, with any status."""
    try:
        async with asyncio.timeout(within_s), open_client(endpoint) as client:
            await client.models.list()
    except (TimeoutError, *FAILURES):
        return False
    except (openai.APIError, ValueError, TypeError, AttributeError):
        return True  # an error, or something other than a list of models
    return True


def _unreachable(names: EndpointNames, why: str) -> TeacherUnavailable:
    return TeacherUnavailable(
        f"{names.endpoint} cannot be reached: {why}.",
        "Check SEDI_TEACHER_BASE_URL (http:// or https://, usually ending in /v1) and that the server is running.",
    )
