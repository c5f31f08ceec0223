"""Consecutive failures of calls of one purpose: the endpoint or a setting is at fault, not the calls."""

from collections import Counter

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.answers import ReadAnswer
from sedi_dagster.teacher.failures import EndpointNames, Failure

IN_A_ROW = 5
"""Consecutive calls of one purpose without usable text after which no more are sent."""

_LIMITS = {
    "instructions": "SEDI_GENERATION_MAX_INSTRUCTION_TOKENS",
    "answer": "SEDI_GENERATION_MAX_ANSWER_TOKENS",
    "answer_sample": "SEDI_GENERATION_MAX_ANSWER_TOKENS",
    "examples": "SEDI_GENERATION_MAX_EXAMPLE_TOKENS",
    "instances": "SEDI_GENERATION_MAX_EXAMPLE_TOKENS",
    "evolve": "SEDI_GENERATION_MAX_EXAMPLE_TOKENS",
}
_SAVED = "Nothing of this is final: run again and these calls are sent again."


class ConsecutiveFailures:
    """Counts consecutive calls without usable text, for each purpose."""

    def __init__(self, names: EndpointNames) -> None:
        self._names = names
        self._in_a_row: Counter[str] = Counter()
        self._succeeded: set[str] = set()

    def succeeded(self, purpose: str) -> None:
        """A call of this purpose gave usable text: its count starts anew."""
        self._in_a_row[purpose] = 0
        self._succeeded.add(purpose)

    def failed(self, purpose: str, came: Failure | ReadAnswer) -> None:
        """A call of this purpose gave no usable text.

        Raises:
            TeacherError: it is the last of `IN_A_ROW` such calls in a row.
        """
        if isinstance(came, Failure) and came.kind not in ("invalid", "too_long", "rejected", "parameters"):
            return
        if isinstance(came, Failure) and came.kind == "too_long" and purpose in self._succeeded:
            return  # some fit in and some do not
        self._in_a_row[purpose] += 1
        if self._in_a_row[purpose] >= IN_A_ROW:
            self._in_a_row[purpose] = 0
            raise self._error(purpose, came)

    def _error(self, purpose: str, came: Failure | ReadAnswer) -> TeacherError:
        at, limit = self._names.endpoint, _LIMITS.get(purpose)
        if isinstance(came, ReadAnswer):
            why = came.error.partition(": ")[2]
            problem = f"{at} answers, but {IN_A_ROW} calls in a row ({purpose}) brought no text: {why}."
            if came.ending == "cut":
                raised = f", or raise {limit}" if limit else ""
                return TeacherError(
                    problem,
                    "The model's reasoning uses up the token limit: set "
                    f"SEDI_TEACHER_REASONING_TOKENS (such as 4000){raised}. {_SAVED}",
                )
            if came.ending == "unknown":
                known = 'SEDI_TEACHER_FINISH_REASONS={"' + came.finish_reason + '": "whole"}'
                return TeacherError(problem, f"If such an answer is whole, set {known}. {_SAVED}")
            if came.ending == "whole" and why.startswith("reasoning without"):
                return TeacherError(
                    problem,
                    "The server takes the whole answer for a thought: turn its reasoning parser off, or thinking on or "
                    f"off in SEDI_TEACHER_EXTRA_BODY. {_SAVED}",
                )
            return TeacherError(problem, f"Look at one with `sedi calls list`. {_SAVED}")
        message = came.message.partition(": ")[2] or came.message
        if came.kind == "too_long":
            return TeacherError(
                f"{at} says that every call of {purpose} is too long: {message[:300]}",
                f"Serve the model with a larger context, or lower {limit or 'SEDI_TEACHER_REASONING_TOKENS'} or "
                f"SEDI_GENERATION_DEMONSTRATIONS. {_SAVED}",
            )
        if came.kind == "invalid":
            return TeacherError(
                f"{at} does not answer like the API. {message[:300]}",
                "Set SEDI_TEACHER_BASE_URL to the base URL of the API (usually ending in /v1), and "
                f"check that no login page or proxy is in between. {_SAVED}",
            )
        return TeacherError(
            f"{at} rejects every request: {message[:300]}",
            "Check SEDI_TEACHER_PROMPT_STYLE, _TOKEN_PARAMETER, _STRUCTURED_OUTPUT and _EXTRA_BODY; null in "
            f"SEDI_TEACHER_EXTRA_BODY removes a field. {_SAVED}",
        )
