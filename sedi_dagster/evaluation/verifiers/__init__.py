"""Verifiers: programs that judge an answer, so that no judge model is needed.

Belongs here: pure functions from (arguments, answer, prompt) to a `Score`, and the validation of their arguments.
Does not: querying the student, running code (see the sandbox), statistics over items.

Every verifier rejects an empty answer and one of over 20,000 characters, never raises on an answer, and takes linear
time.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .arguments import check_args
from .coding import code_tests
from .formats import format_constraints
from .matching import choice, copy_limit, facts, label, match, token_f1, word_count
from .numeric import numeric
from .structured import json_fields, list_items
from .text import MAX_ANSWER_CHARS, Args, ErrorKind, Score, failed, harden, is_too_long, normalise, passed

__all__ = ["MAX_ANSWER_CHARS", "VERIFIERS", "ErrorKind", "Score", "check_args", "normalise", "verify"]

Verifier = Callable[[Args, str, str], Score]


def all_of(args: Args, answer: str, prompt: str) -> Score:
    """Several verifiers at once. Score is the mean of the parts. Passes when every part passes."""
    parts = [VERIFIERS[part["verifier"]](part["args"], answer, prompt) for part in args["of"]]
    mean = sum(part.score for part in parts) / len(parts)
    broken = [
        f"{one['verifier']}: {part.reason}" for one, part in zip(args["of"], parts, strict=True) if not part.passed
    ]
    errors = [error for part in parts for error in part.errors]
    return failed("; ".join(broken), *errors, score=mean) if broken else passed("every part passes", mean)


VERIFIERS: Mapping[str, Verifier] = {
    "match": match,
    "numeric": numeric,
    "choice": choice,
    "label": label,
    "token_f1": token_f1,
    "json_fields": json_fields,
    "facts": facts,
    "words": word_count,
    "copy_limit": copy_limit,
    "list_items": list_items,
    "format": format_constraints,
    "code_tests": code_tests,
    "all": all_of,
}


def verify(name: str, args: Mapping[str, Any], answer: str, prompt: str = "") -> Score:
    """Judges an answer with the verifier called `name`.

    An empty answer fails, and so does one of over `MAX_ANSWER_CHARS` characters, whatever it says.

    Raises:
        ValueError: the verifier is unknown or its arguments are wrong (`check_args` tells before a run).
        SandboxUnavailable: code is to be judged on a machine that cannot hold it; no answer is to blame.
    """
    if problems := check_args(name, args):
        raise ValueError("; ".join(problems))
    if not any(char.isprintable() and not char.isspace() for char in answer[: MAX_ANSWER_CHARS + 1]):
        return failed("the answer is empty", "empty")
    if is_too_long(answer):
        return failed(f"the answer is longer than {MAX_ANSWER_CHARS} characters", "too long")
    return VERIFIERS[name](args, harden(answer), prompt)
