"""Evaluation of a student served behind an OpenAI-compatible endpoint.

The server must load each checkpoint under its name (`{checkpoint}` of SEDI_EVALUATION_MODEL). Chat completions do not
return the loss of a given text, so losses of reference answers are unknown.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import ModelError
from sedi_dagster.evaluation.results import END_OF_THOUGHT, append_results, judged
from sedi_dagster.records import Progress
from sedi_dagster.student.chat import TEMPLATE_SWITCHES
from sedi_dagster.texts.endings import ending_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PLACE = "{checkpoint}"
UNTRAINED = "untrained"
_NO_CHECKPOINT = "no-such-checkpoint"


@dataclass(frozen=True)
class ServedAnswer:
    """What a served student said; `cut`: a limit of length ended it; `tokens`: as the server counts, if it does."""

    text: str
    cut: bool
    tokens: int | None


async def check_served(base_url: str, model: str, api_key: str, timeout_s: float) -> None:
    """Make sure, by one short answer, that the untrained student can be asked.

    Args:
        model: with `{checkpoint}` in it, or all checkpoints would be answered by the same weights.

    Raises:
        ModelError: what is missing, or the server answers to any name, whatever model it has loaded.
    """
    from openai import APIStatusError, AsyncOpenAI, OpenAIError

    if PLACE not in model:
        raise ModelError(
            f"SEDI_EVALUATION_MODEL={model} names one model: every checkpoint would be answered by the same weights.",
            f"Put {PLACE} where the checkpoint's name stands ({UNTRAINED}, seed-tasks, round-0001, ...), and serve "
            "each checkpoint under its name.",
        )
    name = model.replace(PLACE, UNTRAINED)
    async with AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout_s, max_retries=0) as client:
        try:
            await _ServedStudent(client, name).answer("Say yes.", 1)
        except OpenAIError as error:
            raise _cannot_be_asked(name, base_url, api_key, error) from None
        other = model.replace(PLACE, _NO_CHECKPOINT)
        try:
            await _ServedStudent(client, other).answer("Say yes.", 1)
        except APIStatusError:
            return
        except OpenAIError as error:
            raise _cannot_be_asked(other, base_url, api_key, error) from None
    raise ModelError(
        f"The server at {base_url} answers to {other!r} too, a model that it cannot have: it takes no notice of names, "
        "and every checkpoint would be answered by the same weights.",
        "Use a server that has a model for each name (vLLM with --lora-modules, Ollama, llama-swap), or unset "
        "SEDI_EVALUATION_BASE_URL: the student then runs in its own process.",
    )


class _ServedStudent:
    """Asks a student as it is trained: with its thoughts switched off, where the server knows how to (vLLM, SGLang,
    llama.cpp). One that refuses the field is asked without it."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client, self._model = client, model
        self._template: dict[str, Any] = {"chat_template_kwargs": TEMPLATE_SWITCHES}

    async def answer(self, question: str, max_tokens: int) -> ServedAnswer:
        """One answer. Raises `OpenAIError`, also for what is no chat completion."""
        from openai import BadRequestError, UnprocessableEntityError

        template = self._template
        try:
            body = await self._ask(question, max_tokens, template)
        except (BadRequestError, UnprocessableEntityError):
            if not template:
                raise
            body = await self._ask(question, max_tokens, {})
            self._template = {}
        return _read(body)

    async def _ask(self, question: str, max_tokens: int, template: dict[str, Any]) -> bytes:
        answered = await self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=[{"role": "user", "content": question}],
            max_tokens=max_tokens,
            temperature=0,
            extra_body=template,
        )
        return answered.content


def _read(body: bytes) -> ServedAnswer:
    """The answer in a response; raises `OpenAIError` for what is none. The client itself believes any body."""
    from openai import OpenAIError

    try:
        found = json.loads(body)
    except ValueError:
        raise OpenAIError(f"its answer is not JSON: {body[:200].decode(errors='replace')!r}") from None
    choices = found.get("choices") if isinstance(found, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise OpenAIError(f"its answer has no choices: {body[:200].decode(errors='replace')}")
    reason = choice.get("finish_reason")
    ending = ending_of(None if reason is None else str(reason))
    if ending == "failed":
        raise OpenAIError(f"it did not finish its answer (finish_reason {reason!r})")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    usage = found.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    text = "" if content is None else str(content)
    return ServedAnswer(text, ending == "cut", tokens if isinstance(tokens, int) else None)


def _cannot_be_asked(name: str, base_url: str, api_key: str, error: Exception) -> ModelError:
    reason = str(error).replace(api_key, "***") if api_key else str(error)
    return ModelError(
        f"The student {name!r} at {base_url} could not be asked: {reason}",
        "Serve it under this name (a round's checkpoint lies in checkpoints/ of the data folder), or correct "
        "SEDI_EVALUATION_BASE_URL, SEDI_EVALUATION_MODEL or SEDI_EVALUATION_API_KEY; then run again. Answers that came "
        "are kept.",
    )


async def evaluate_served(
    base_url: str,
    model: str,
    api_key: str,
    items: Sequence[Mapping[str, Any]],
    results: Path,
    at_once: int,
    timeout_s: float,
    report: Progress,
) -> None:
    """Append a row an item to `results`, as answers come; at most `at_once` calls are under way.

    Raises:
        ModelError: the endpoint cannot be used. What was answered is kept, and not asked again.
    """
    from openai import AsyncOpenAI, OpenAIError

    done = passed = 0
    room = asyncio.Semaphore(at_once)
    async with AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout_s) as client:
        student = _ServedStudent(client, model)

        async def one(item: Mapping[str, Any]) -> dict[str, Any]:
            async with room:
                answered = await student.answer(item["prompt"], item["max_answer_tokens"])
            text = answered.text.rpartition(END_OF_THOUGHT)[2].strip()
            # Verifying may start a sandbox; it must not hold up the other answers.
            return await asyncio.to_thread(judged, item, text, answered.tokens, answered.cut, None)

        asked = [asyncio.create_task(one(item)) for item in items]
        try:
            for answered in asyncio.as_completed(asked):
                row = await answered
                append_results(results, [row])
                done, passed = done + 1, passed + row["passed"]
                report(done, len(items), {"passed": passed})
        except OpenAIError as error:
            raise _cannot_be_asked(model, base_url, api_key, error) from None
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
