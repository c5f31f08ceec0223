"""The verifier of code: finds the function in an answer and runs its tests in the sandbox."""

import re
from collections.abc import Mapping

from .text import Args, ErrorKind, Score, failed, passed, shown

_FENCE = re.compile(r"^[ \t]{0,8}(?:```|~~~)[^\n]*$", re.MULTILINE)
_CODE_START = re.compile(r"(?:async )?def |class |import |from \w+|@")
_CODE_LINE = re.compile(
    r"[\s#@)\]}\"']|(?:async |def |class |import |from |if |for |while |try|except|else|elif|finally|with |"
    r"return|assert |raise |print)|[A-Za-z_]\w*\s{0,3}[=(\[.:+*-]"
)


_ERRORS: Mapping[str, ErrorKind] = {"failed": "wrong result", "timeout": "too slow"}


def code_tests(args: Args, answer: str, prompt: str) -> Score:
    """A Python function which passes tests, as in HumanEval (arXiv 2107.03374).

    Takes the first fenced block which defines `function`, else the whole text without the prose around it.
    Score is the share of `tests` that pass in the sandbox within `timeout_s` (5). Passes when all do.

    Raises:
        SandboxUnavailable: the machine cannot hold untrusted code, which says nothing about the answer.
    """
    from ..sandbox import SandboxUnavailable, run_tests

    function, tests = args["function"], args["tests"]
    code = find_code(answer, function)
    if code is None:
        return failed(f"no code that defines {shown(function)}", "no code")
    result = run_tests(code, function, tests, timeout_s=float(args.get("timeout_s", 5.0)))
    if result.reason == "unavailable":
        raise SandboxUnavailable(result.detail)
    share = result.passed / len(tests)
    if share == 1.0:
        return passed(f"all {len(tests)} tests pass")
    reason = f"{result.passed} of {len(tests)} tests pass: {result.reason} {shown(result.detail, 120)}"
    return failed(reason, _ERRORS.get(result.reason, "code does not run"), score=share)


def find_code(answer: str, function: str) -> str | None:
    """The code in an answer which defines `function`, or None."""
    defines = re.compile(rf"^[ \t]{{0,8}}(?:async )?(?:def|class) {re.escape(function)}\b", re.MULTILINE)
    marks = list(_FENCE.finditer(answer))
    ends = [mark.start() for mark in marks[1:]] + [len(answer)]
    for mark, end in list(zip(marks, ends, strict=False))[::2]:
        block = answer[mark.end() : end].strip("\n")
        if defines.search(block):
            return block
    if marks or not defines.search(answer):
        return None
    return _without_prose(answer)


def _without_prose(text: str) -> str:
    """The text from its first line of code on, up to the first line which can be no code."""
    lines = text.strip("\n").split("\n")
    start = next(number for number, line in enumerate(lines) if _CODE_START.match(line.strip()))
    code = []
    for line in lines[start:]:
        if line and not _CODE_LINE.match(line):
            break
        code.append(line)
    return "\n".join(code)
