"""Dataset formats: the same rows under the column names that different trainers expect."""

from collections.abc import Callable, Mapping
from typing import Any

from sedi_dagster.records import task_prompt

Row = Mapping[str, Any]


def messages(row: Row) -> dict[str, Any]:
    """Chat messages: TRL, axolotl (`chat_template`), OpenAI's fine-tuning."""
    return {
        "messages": [
            {"role": "user", "content": task_prompt(row["instruction"], row["input"])},
            {"role": "assistant", "content": row["output"]},
        ]
    }


def prompt_completion(row: Row) -> dict[str, Any]:
    """Conversational prompt and completion: TRL, with the loss on the completion only."""
    user, assistant = messages(row)["messages"]
    return {"prompt": [user], "completion": [assistant]}


def alpaca(row: Row) -> dict[str, Any]:
    """Stanford Alpaca: LLaMA-Factory (`alpaca`), axolotl (`alpaca`)."""
    return {name: row[name] for name in ("instruction", "input", "output")}


def sharegpt(row: Row) -> dict[str, Any]:
    """ShareGPT conversations: LLaMA-Factory (`sharegpt`), older axolotl."""
    return {
        "conversations": [
            {"from": "human", "value": task_prompt(row["instruction"], row["input"])},
            {"from": "gpt", "value": row["output"]},
        ]
    }


FORMS: dict[str, Callable[[Row], dict[str, Any]]] = {
    "messages": messages,
    "prompt_completion": prompt_completion,
    "alpaca": alpaca,
    "sharegpt": sharegpt,
}
"""The formats by name of their dataset configuration; the first is the default."""

KEPT_COLUMNS = ("example_id", "round", "category")
"""Columns added to every format, for `sedi trace` and for selecting rows."""
