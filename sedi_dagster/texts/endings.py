"""What a finish reason says, in the words of all vendors.

Sources: the references of OpenAI, Anthropic (`stop_reason`), Gemini (`FinishReason`), Mistral, Cohere, DeepSeek, Zhipu,
llama.cpp, vLLM, SGLang and TGI; what gateways pass on from them in their own spelling.
"""

from __future__ import annotations

import re
from typing import Literal

Ending = Literal["whole", "cut", "refused", "failed", "unknown"]
"""whole: the model had finished. cut: a limit of length stopped it. refused: a filter did. failed: the endpoint broke
down, another attempt may work. unknown: a word that nobody here has seen."""

CANONICAL: dict[Ending, str] = {"whole": "stop", "cut": "length", "refused": "content_filter", "failed": "error"}

_WHOLE = frozenset(
    """stop stopped eos eos_token eos_found end end_turn end_of_turn end_of_text endoftext stop_sequence stop_token
    stop_str stop_word stop_words complete completed done finish finished success normal natural ok none null
    unspecified""".split()
)
_REFUSED = re.compile(
    r"filter|sensitive|safety|refus|policy|moderat|recitation|blocklist|blocked|prohibited|spii|guardrail|toxic|unsafe|"
    r"violat|harm|inspection|censor"
)
_CUT = re.compile(r"length|max|limit|trunc|window|incomplete|exceed|too_long|budget")
_FAILED = re.compile(
    r"error|network|fail|abort|cancel|timeout|timed_out|interrupt|insufficient_system|overload|unavailable|disconnect|"
    r"unexpected|malformed_response"
)
_NO_TEXT = frozenset(("tool_calls", "function_call", "tool_use", "tool_call", "malformed_function_call"))


def ending_of(finish_reason: str | None) -> Ending:
    """How an answer ended. A server that gives no reason is taken at its word: whole."""
    word = re.sub(r"[^a-z]+", "_", (finish_reason or "").casefold()).strip("_").removeprefix("finish_reason_")
    if not word or word in _WHOLE:
        return "whole"
    if word in _NO_TEXT:
        return "unknown"
    if _REFUSED.search(word):  # before the limits: content_filter_length is a filter's
        return "refused"
    if _CUT.search(word):  # before failures: ERROR_LIMIT is a limit's
        return "cut"
    return "failed" if _FAILED.search(word) else "unknown"
