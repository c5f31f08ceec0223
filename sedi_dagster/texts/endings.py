"""The meaning of finish reasons of all vendors.

Sources: the references of OpenAI, Anthropic (`stop_reason`), Gemini (`FinishReason`), Mistral, Cohere, DeepSeek, Zhipu,
llama.cpp, vLLM, SGLang and TGI; what gateways pass on from them in their own spelling.
"""

import re
from typing import Literal

Ending = Literal["whole", "cut", "refused", "failed", "unknown"]
"""whole: the model had finished. cut: a limit of length stopped it. refused: a filter did. failed: the endpoint broke
down, another attempt may work. unknown: a word that nobody here has seen."""

CANONICAL: dict[Ending, str] = {"whole": "stop", "cut": "length", "refused": "content_filter", "failed": "error"}

_WHOLE = frozenset(
    """stop stopped matched word eos eot eom end ended endoftext complete completed done finish finished success return
    normal normally natural ok none null unspecified s 完成 结束 正常 正常结束 停止""".split()
)
"""One of these, and nothing but `_BESIDE`, is the end of a whole answer."""
_BESIDE = frozenset(
    """of turn text sequence token str string word words found id im model matched match criteria reach reached by
    generation natural the sentence utterance message hit condition reason user
    before criteria met""".split()
)
_REFUSED = re.compile(
    r"filter|sensitive|safety|refus|policy|moderat|recitation|block|prohibited|spii|pii_|guardrail|toxic|unsafe|"
    r"violat|harm|inspection|censor|blacklist|risk|armor|jailbreak|^language$|copyright|abuse|nsfw|profan|csam|malicious|hate|"
    r"violen|sexual|illegal|敏感|违规|審查|审查|过滤|過濾|审核"
)
_OVERLOADED = re.compile(
    r"resource|memory|oom|rate_limit|overload|preempt|evict|closed|cancel|disconnect|timed?_?out|shutdown|killed|died|"
    r"dead|crash"
)
_CUT = re.compile(
    r"length|max|limit|trunc|window|incomplete|exceed|too_long|too_many|budget|_full|exhaust|overflow|out_of|"
    r"cut_?off|unfinished|not_finish|partial|repeti|截断|长度|長度"
)
_FAILED = re.compile(
    r"error|exception|network|fail|abort|interrupt|terminat|internal|unavailable|unexpected|malformed|^other$|^(?:un)?load$|错误|失败|"
    r"中断"
)
_NO_TEXT = frozenset(("tool_calls", "function_call", "tool_use", "tool_call"))
_PREFIX = re.compile(r"^(?:finish|stop|done|completion)_?reason_")


def ending_of(finish_reason: str | None) -> Ending:
    """How an answer ended. A server that gives no reason is taken at its word: whole."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", finish_reason or "")  # endTurn
    words = re.findall(r"[^\W_]*[^\W\d_][^\W_]*", spaced.casefold())
    word = _PREFIX.sub("", "_".join(words))
    if not (finish_reason or "").strip():
        return "whole"
    if not word or word in _NO_TEXT:
        return "unknown"
    parts = word.split("_")
    if any(part in _WHOLE for part in parts) and all(part in _WHOLE or part in _BESIDE for part in parts):
        return "whole"
    if _REFUSED.search(word):  # before the limits: content_filter_length is a filter's
        return "refused"
    if _OVERLOADED.search(word):
        return "failed"
    if _CUT.search(word):  # before failures: ERROR_LIMIT is a limit's
        return "cut"
    return "failed" if _FAILED.search(word) else "unknown"
