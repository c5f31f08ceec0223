"""A student that is served elsewhere, behind an OpenAI-compatible endpoint: the same questions, the same verifiers.

Chat completions tell no loss of a given text, so the loss of the reference answer stays unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sedi_dagster.errors import ModelError
from sedi_dagster.evaluation.results import append_results, judged
from sedi_dagster.records import Progress
from sedi_dagster.texts.endings import ending_of


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

        async def one(item: Mapping[str, Any]) -> dict[str, Any]:
            async with room:
                answered = await client.chat.completions.create(
                    model=model,
                    messages=[{"role": "user", "content": item["prompt"]}],
                    max_tokens=item["max_answer_tokens"],
                    temperature=0,
                )
            choice = answered.choices[0]
            tokens = answered.usage.completion_tokens if answered.usage else None
            text = (choice.message.content or "").strip()
            # Verifying may start a sandbox; it must not hold up the other answers.
            return await asyncio.to_thread(judged, item, text, tokens, ending_of(choice.finish_reason) == "cut", None)

        asked = [asyncio.create_task(one(item)) for item in items]
        try:
            for answered in asyncio.as_completed(asked):
                row = await answered
                append_results(results, [row])
                done, passed = done + 1, passed + row["passed"]
                report(done, len(items), {"passed": passed})
        except (OpenAIError, IndexError) as error:
            told = str(error).replace(api_key, "***") if api_key else str(error)
            raise ModelError(
                f"The student {model!r} at {base_url} could not be asked: {told}",
                "Check SEDI_EVALUATION_BASE_URL, SEDI_EVALUATION_MODEL and SEDI_EVALUATION_API_KEY, then run again: "
                "answers that came are kept.",
            ) from None
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
