"""Self-Instruct's rules for instructions and instances (arXiv 2212.10560, section 2.2 and its released code)."""

from __future__ import annotations

import re
import string

# What a text-only model cannot serve; as whole words, like the original.
UNSERVABLE = (
    "image images graph graphs picture pictures file files map maps draw plot video audio music flowchart diagram"
).split()
_UNSERVABLE = re.compile(rf"\b(?:{'|'.join(UNSERVABLE)}|go to)\b", re.IGNORECASE)


def instruction_problem(instruction: str, min_words: int, max_words: int) -> tuple[str, float, float] | None:
    """Why an instruction is dropped for its form: (rule, score, threshold), or None.

    The score is what the rule measured: words for the length rules, otherwise 1.
    """
    words = len(instruction.split())
    if words < min_words:
        return "too_short", float(words), float(min_words)
    if words > max_words:
        return "too_long", float(words), float(max_words)
    if _UNSERVABLE.search(instruction):
        return "unservable_keyword", 1.0, 1.0
    if instruction.startswith("Write a program"):
        return "starts_with_write_a_program", 1.0, 1.0
    if instruction[0] in string.punctuation:
        return "starts_with_punctuation", 1.0, 1.0
    if not instruction[0].isascii():
        return "starts_with_non_ascii", 1.0, 1.0
    return None


def instance_problem(text_input: str, output: str) -> str | None:
    """Why an instance (input and output) is dropped, or None."""
    if not output.strip():
        return "empty_output"
    if text_input.strip() and output.strip() == text_input.strip():
        return "output_equals_input"
    if output.rstrip().endswith(":"):
        return "output_ends_with_colon"
    return None
