"""Evaluation of a student that is served by an OpenAI-compatible endpoint.

The server must offer each checkpoint under its name (`{checkpoint}` in SEDI_EVALUATION_MODEL). Losses of reference
answers are unknown, because chat completions do not return the loss of a given text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import ModelError
from sedi_dagster.evaluation.results import END_OF_THOUGHT, append_results, result_row
from sedi_dagster.records import Progress
from sedi_dagster.student.chat import TEMPLATE_SWITCHES
from sedi_dagster.texts.endings import ending_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PLACEHOLDER = "{checkpoint}"
UNTRAINED = "untrained"
_NO_CHECKPOINT = "no-such-checkpoint"


@dataclass(frozen=True)
class ServedAnswer:
    """An answer of a served student.

    Attributes:
        truncated: whether the length limit ended it.
        tokens: its length as counted by the server; None if the server does not report it.
    """

    text: str
    truncated: bool
    tokens: int | None


async def check_served(base_url: str, model: str, api_key: str, timeout_s: float) -> None:
    """Check with a short request that the untrained student is served, and with another that names are respected.

    Args:
        model: name of the served models; must contain `{checkpoint}`.

    Raises:
        ModelError: `{checkpoint}` is missing, the untrained student does not answer, or the server also answers for a
            checkpoint that does not exist.
    """
    from openai import APIStatusError, AsyncOpenAI, OpenAIError

    if PLACEHOLDER not in model:
        raise ModelError(
            f"SEDI_EVALUATION_MODEL={model} names one model: every checkpoint would be answered by the same weights.",
            f"Put {PLACEHOLDER} in place of the checkpoint's name ({UNTRAINED}, seed-tasks, round-0001, ...), and "
            "serve each checkpoint under its name.",
        )
    name, unknown = (model.replace(PLACEHOLDER, checkpoint) for checkpoint in (UNTRAINED, _NO_CHECKPOINT))
    async with AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout_s, max_retries=0) as client:
        try:
            await _ServedStudent(client, name).answer("Say yes.", 1)
        except OpenAIError as error:
            raise _request_failed(name, base_url, api_key, error) from None
        try:
            await _ServedStudent(client, unknown).answer("Say yes.", 1)
        except APIStatusError:
            return
        except OpenAIError as error:
            raise _request_failed(unknown, base_url, api_key, error) from None
    raise ModelError(
        f"The server at {base_url} also answers for {unknown!r}, a model that does not exist: it ignores model names, "
        "so every checkpoint would be answered by the same weights.",
        "Use a server that has a model for each name (vLLM with --lora-modules, Ollama, llama-swap), or unset "
        "SEDI_EVALUATION_BASE_URL to run the student in its own process.",
    )


class _ServedStudent:
    """Sends questions to a served student, with thinking switched off as in training.

    The field that does so is known to vLLM, SGLang and llama.cpp. If the server rejects it, it is omitted.
    """

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client, self._model = client, model
        self._template: dict[str, Any] = {"chat_template_kwargs": TEMPLATE_SWITCHES}

    async def answer(self, question: str, max_tokens: int) -> ServedAnswer:
        """Return one answer.

        Raises:
            OpenAIError: the request failed, or the response is not a chat completion.
        """
        from openai import BadRequestError, UnprocessableEntityError

        template = self._template
        try:
            body = await self._send(question, max_tokens, template)
        except (BadRequestError, UnprocessableEntityError):
            if not template:
                raise
            body = await self._send(question, max_tokens, {})
            self._template = {}
        return _parse(body)

    async def _send(self, question: str, max_tokens: int, template: dict[str, Any]) -> bytes:
        response = await self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=[{"role": "user", "content": question}],
            max_tokens=max_tokens,
            temperature=0,
            extra_body=template,
        )
        return response.content


def _parse(body: bytes) -> ServedAnswer:
    """The answer in a response body, which the client itself does not validate.

    Raises:
        OpenAIError: it is not a finished chat completion.
    """
    from openai import OpenAIError

    try:
        response = json.loads(body)
    except ValueError:
        raise OpenAIError(f"its answer is not JSON: {body[:200].decode(errors='replace')!r}") from None
    choices = response.get("choices") if isinstance(response, dict) else None
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
    usage = response.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    text = "" if content is None else str(content)
    return ServedAnswer(text, ending == "cut", tokens if isinstance(tokens, int) else None)


def _request_failed(name: str, base_url: str, api_key: str, error: Exception) -> ModelError:
    reason = str(error).replace(api_key, "***") if api_key else str(error)
    return ModelError(
        f"The request to the student {name!r} at {base_url} failed: {reason}",
        "Serve it under this name (the checkpoints of rounds are in checkpoints/ of the data folder), or correct "
        "SEDI_EVALUATION_BASE_URL, SEDI_EVALUATION_MODEL or SEDI_EVALUATION_API_KEY; then run again. Answers already "
        "received are kept.",
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
    """Send the items to a served student and append one row per item to `results`, in order of completion.

    Args:
        model: name of the checkpoint on the server.
        items: evaluation items with `key` and `max_answer_tokens`.
        at_once: maximum number of concurrent requests.

    Raises:
        ModelError: a request failed. Answers already received are kept.
    """
    from openai import AsyncOpenAI, OpenAIError

    done = passed = 0
    slots = asyncio.Semaphore(at_once)
    async with AsyncOpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout_s) as client:
        student = _ServedStudent(client, model)

        async def evaluate(item: Mapping[str, Any]) -> dict[str, Any]:
            async with slots:
                answer = await student.answer(item["prompt"], item["max_answer_tokens"])
            text = answer.text.rpartition(END_OF_THOUGHT)[2].strip()
            # Verifying may start a sandbox and must not delay the other answers.
            return await asyncio.to_thread(result_row, item, text, answer.tokens, answer.truncated, None)

        tasks = [asyncio.create_task(evaluate(item)) for item in items]
        try:
            for completed in asyncio.as_completed(tasks):
                row = await completed
                append_results(results, [row])
                done, passed = done + 1, passed + row["passed"]
                report(done, len(items), {"passed": passed})
        except OpenAIError as error:
            raise _request_failed(model, base_url, api_key, error) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
