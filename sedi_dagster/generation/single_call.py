"""Single-call generation: instruction, input and output together, several examples a call.

The way of Alpaca (Taori and others 2023, github.com/tatsu-lab/stanford_alpaca): 3 demonstrations with their outputs, up
to 20 examples a call. Asked for as JSON where the teacher is asked in messages, with a schema that the server enforces
if it can; a text to continue is a numbered series.
"""

import math
from collections.abc import Sequence
from typing import Any

from sedi_dagster.generation.answering import answer_all, answer_shapes
from sedi_dagster.generation.candidates import Candidate
from sedi_dagster.generation.method import GenerationContext, GenerationJob, Method, pieces_of
from sedi_dagster.generation.parsing import parse_answer, parse_examples
from sedi_dagster.generation.prompts import render
from sedi_dagster.records import CallShape, TeacherRequest
from sedi_dagster.settings import GenerationSettings

DEMONSTRATIONS = 3
MOST_EXAMPLES = 20  # a call
CONTINUED = 3  # examples that a small model writes on before it loses the thread
TOKENS_PER_EXAMPLE = {"complete": 150, "short": 60}  # completion tokens at most, as a rule
EXPECTED_YIELD = 0.9
"""Expected share of complete examples among the requested ones, before any call was made."""

_TEXT = {"type": "string"}
_FIELDS = {"instruction": _TEXT, "input": _TEXT, "output": _TEXT}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "examples": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": _FIELDS,
                "required": list(_FIELDS),
                "additionalProperties": False,
            },
        }
    },
    "required": ["examples"],
    "additionalProperties": False,
}


class SingleCall(Method):
    """Several complete examples per call."""

    name = "single_call"

    def __init__(self, job: GenerationJob, context: GenerationContext) -> None:
        super().__init__(job, context)
        self._prompt = job.prompt("examples")
        self._calls = 0
        self._asked = 0
        self._found = 0

    async def write(self, wanted: int) -> list[Candidate]:
        most = _asked_for(self.job.settings, self.job.chat)
        calls = math.ceil(wanted / most * (self._asked / self._found if self._found else 1))
        each = most  # a series to continue goes on until it is stopped
        if self.job.chat:
            each = min(most, math.ceil(wanted / calls / EXPECTED_YIELD))
        shown = [self.context.demonstrations(DEMONSTRATIONS) for _ in range(calls)]
        requests = [self._request(demos, self._calls + i, each) for i, demos in enumerate(shown)]
        self._calls += calls
        self._asked += calls * each
        candidates = [
            self.candidate(
                answer,
                number,
                example,
                self._prompt,
                output=parse_answer(example.output, example.instruction, example.input) or None,
                demonstration_ids=[demo["seed_id"] for demo in demos],
                answer_key=None if example.problem else answer.request_key,
            )
            for demos, answer in zip(shown, await self.context.ask(requests), strict=True)
            if answer is not None
            for number, example in enumerate(pieces_of(answer, parse_examples, begins_inside=not self.job.chat))
        ]
        for candidate in candidates:
            self.context.apply_filter(candidate)
        await answer_all(self.context, candidates)  # only where several samples are to agree
        self._found += sum(c.problem is None for c in candidates)
        return candidates

    def _request(self, demos: Sequence[dict[str, Any]], number: int, wanted: int) -> TeacherRequest:
        job, chat = self.job, self.job.chat
        text = render(
            self._prompt,
            category=job.category,
            aim=job.aim,
            demonstrations=demos,
            wanted=wanted,
            short=job.settings.answers == "short",
        )
        return job.request(
            "examples",
            text,
            max_tokens=job.settings.max_example_tokens,
            stop=() if chat else (f"Task {len(demos) + 1 + CONTINUED}:",),
            seed=job.seed("examples", number),
            json_schema=SCHEMA if chat else None,
        )

    @classmethod
    def call_shapes(cls, settings: GenerationSettings, chat: bool) -> Sequence[CallShape]:
        examples = CallShape("examples", 1 / _asked_for(settings, chat), 600.0, settings.max_example_tokens)
        return examples, *answer_shapes(settings, written=True)


def _asked_for(settings: GenerationSettings, chat: bool) -> int:
    """Return the number of examples to request in a call, within the token limit."""
    room = settings.max_example_tokens // TOKENS_PER_EXAMPLE[settings.answers]
    return max(1, min(MOST_EXAMPLES if chat else CONTINUED, room))
