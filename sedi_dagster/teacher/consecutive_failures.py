"""Detection of consecutive failures of one purpose, which mean that the endpoint or a setting is at fault."""

from collections import Counter

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.answers import ReadAnswer
from sedi_dagster.teacher.failures import EndpointNames, Failure

IN_A_ROW = 5
"""Number of consecutive calls of one purpose without usable text after which no more are sent."""

_LIMITS = {
    "instructions": "SEDI_GENERATION_MAX_INSTRUCTION_TOKENS",
    "answer": "SEDI_GENERATION_MAX_ANSWER_TOKENS",
    "answer_sample": "SEDI_GENERATION_MAX_ANSWER_TOKENS",
    "examples": "SEDI_GENERATION_MAX_EXAMPLE_TOKENS",
    "instances": "SEDI_GENERATION_MAX_EXAMPLE_TOKENS",
    "evolve": "SEDI_GENERATION_MAX_EXAMPLE_TOKENS",
}
_SAVED = "None of these calls is final: they are sent again in the next run."


class ConsecutiveFailures:
    """Counts consecutive calls without usable text, for each purpose."""

    def __init__(self, names: EndpointNames) -> None:
        self._names = names
        self._in_a_row: Counter[str] = Counter()
        self._succeeded: set[str] = set()

    def succeeded(self, purpose: str) -> None:
        """Reset the count of a purpose: one of its calls returned usable text."""
        self._in_a_row[purpose] = 0
        self._succeeded.add(purpose)

    def failed(self, purpose: str, outcome: Failure | ReadAnswer) -> None:
        """Count a call of a purpose that returned no usable text.

        Raises:
            TeacherError: it is the last of `IN_A_ROW` such calls in a row.
        """
        if isinstance(outcome, Failure) and outcome.kind not in ("invalid", "too_long", "rejected", "parameters"):
            return
        if isinstance(outcome, Failure) and outcome.kind == "too_long" and purpose in self._succeeded:
            return  # only some calls are too long
        self._in_a_row[purpose] += 1
        if self._in_a_row[purpose] >= IN_A_ROW:
            self._in_a_row[purpose] = 0
            raise self._error(purpose, outcome)

    def _error(self, purpose: str, outcome: Failure | ReadAnswer) -> TeacherError:
        endpoint, limit = self._names.endpoint, _LIMITS.get(purpose)
        if isinstance(outcome, ReadAnswer):
            why = outcome.error.partition(": ")[2]
            problem = f"{endpoint} answers, but {IN_A_ROW} calls in a row ({purpose}) returned no text: {why}."
            if outcome.ending == "cut":
                or_raise = f", or raise {limit}" if limit else ""
                return TeacherError(
                    problem,
                    "The model's reasoning uses up the token limit: set "
                    f"SEDI_TEACHER_REASONING_TOKENS (such as 4000){or_raise}. {_SAVED}",
                )
            if outcome.ending == "unknown":
                setting = 'SEDI_TEACHER_FINISH_REASONS={"' + outcome.finish_reason + '": "whole"}'
                return TeacherError(problem, f"If such an answer is whole, set {setting}. {_SAVED}")
            if outcome.ending == "whole" and why.startswith("reasoning without"):
                return TeacherError(
                    problem,
                    "The server treats the whole answer as reasoning: turn off its reasoning parser, or turn thinking "
                    f"on or off in SEDI_TEACHER_EXTRA_BODY. {_SAVED}",
                )
            return TeacherError(problem, f"Inspect one with `sedi calls list` and `sedi calls show`. {_SAVED}")
        message = outcome.message.partition(": ")[2] or outcome.message
        if outcome.kind == "too_long":
            return TeacherError(
                f"{endpoint} says that every call of {purpose} is too long: {message[:300]}",
                f"Serve the model with a larger context, or lower {limit or 'SEDI_TEACHER_REASONING_TOKENS'} or "
                f"SEDI_GENERATION_DEMONSTRATIONS. {_SAVED}",
            )
        if outcome.kind == "invalid":
            return TeacherError(
                f"{endpoint} does not respond like the API. {message[:300]}",
                "Set SEDI_TEACHER_BASE_URL to the base URL of the API (usually ending in /v1), and "
                f"check that no login page or proxy is in between. {_SAVED}",
            )
        return TeacherError(
            f"{endpoint} rejects every request: {message[:300]}",
            "Check SEDI_TEACHER_PROMPT_STYLE, _TOKEN_PARAMETER, _STRUCTURED_OUTPUT and _EXTRA_BODY; null in "
            f"SEDI_TEACHER_EXTRA_BODY removes a field. {_SAVED}",
        )
