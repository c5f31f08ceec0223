"""Tokens counted as an endpoint that serves a model of the bundled student's family would count them.

The tokenizer is the student's own. A message costs four tokens besides its content (its two marks, its role, a line
break), and the answer's opening three, as in ChatML. No system message is added. An answer that ended by itself
includes its end mark, as servers that report what was sampled count it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedi_dagster.models import bundled_gguf

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MESSAGE_TOKENS, OPENING_TOKENS, END_TOKENS = 4, 3, 1


class Tokens:
    """Counts and cuts texts.

    Args:
        file: the student's `tokenizer.json`; None: the bundled one, read from its GGUF, which takes some seconds.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._tokenizer = _from_gguf() if file is None else _from_file(file)

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def of_prompt(self, asked: Mapping[str, Any]) -> int:
        """Of a request's messages or prompt, and of the form that it wants enforced."""
        form = self.count(str(asked["response_format"])) if asked.get("response_format") else 0
        if "messages" not in asked:
            return self.count(asked["prompt"]) + form
        contents = (str(message["content"]) for message in asked["messages"])
        return sum(MESSAGE_TOKENS + self.count(content) for content in contents) + OPENING_TOKENS + form

    def cut(self, text: str, limit: int) -> tuple[str, int, bool]:
        """(text of at most so many tokens, its tokens, whether it was cut)."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        if len(encoded.ids) + END_TOKENS <= limit:
            return text, len(encoded.ids) + END_TOKENS, False
        return text[: encoded.offsets[limit - 1][1]], limit, True


def _from_file(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))


def _from_gguf() -> Tokenizer:
    from transformers import AutoTokenizer

    gguf = bundled_gguf()
    tokenizer: Tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).backend_tokenizer
    return tokenizer
