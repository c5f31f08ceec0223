"""Detection of the structured output that an endpoint supports, with one small call for each form.

The calls go through the ledger: they are accounted for, and the ledger remembers the result. An endpoint that accepts a
request but ignores its schema is detected by its answer.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from sedi_dagster.errors import TeacherError
from sedi_dagster.records import Message, TeacherAnswer, TeacherRequest
from sedi_dagster.teacher.failures import BAD_REQUEST, EndpointNames
from sedi_dagster.teacher.rendering import StructuredOutput

TryForm = Callable[[TeacherRequest, StructuredOutput], Awaitable[TeacherAnswer]]
"""`try_form(request, form)` sends the request with this form of structured output and returns the answer."""

PURPOSE = "probe"
_SCHEMA = {
    "type": "object",
    "properties": {"is_even": {"type": "boolean"}},
    "required": ["is_even"],
    "additionalProperties": False,
}
_QUESTION = 'Is 4 an even number? Answer as JSON with the field "is_even".'


async def probe(try_form: TryForm, chat: bool, names: EndpointNames) -> StructuredOutput:
    """Return the strictest form that works.

    Raises:
        TeacherError: the endpoint did not answer at all.
    """
    prompt: dict[str, Any] = (
        {"messages": (Message("user", _QUESTION),)} if chat else {"prompt": f"{_QUESTION}\nAnswer:"}
    )
    request = TeacherRequest(PURPOSE, PURPOSE, PURPOSE, 256, temperature=0.0, json_schema=_SCHEMA, **prompt)
    forms: tuple[StructuredOutput, ...] = ("json_schema", "json_object")
    for form in forms:
        if _works(await try_form(request, form), form, names):
            return form
    return "prompt"


def _works(answer: TeacherAnswer, form: StructuredOutput, names: EndpointNames) -> bool:
    if answer.error.startswith(BAD_REQUEST):
        return False
    if answer.error and not answer.total_tokens:
        raise TeacherError(
            f"{names.endpoint} could not be tested for structured output: {answer.error}.",
            "Run again, or set SEDI_TEACHER_STRUCTURED_OUTPUT to json_schema, json_object or prompt.",
        )
    try:
        data = json.loads(answer.text)
    except ValueError:
        return False
    return isinstance(data, dict) and (form == "json_object" or isinstance(data.get("is_even"), bool))
