"""Parsing of the teacher's text: any text becomes pieces, well-formed or with a problem, and nothing is lost.

No model output raises an exception, and time is linear in the length of the text. For every function here, the `raw` of
the pieces, in order, concatenates to the text (apart from blank pieces). If the token limit truncated the text, its
last piece is malformed, unless it is a JSON object with its closing brace.

| function | requested from the teacher | supported formats |
| --- | --- | --- |
| `parse_tasks` | tasks without answers | numbered series, JSON |
| `parse_examples` | tasks with answers | numbered series, JSON |
| `parse_instances` | instances of one task, input first | `Input: ... Output: ...`, with or without `Example 2` |
| `parse_answer` | an answer to one task | text; with the task, a label, tags, a fence or JSON around it |
| `parse_labelled_instances` | instances of a classification task, output first | `Class label: ...`, then the input |
"""

from sedi_dagster.generation.parsing.answer import parse_answer
from sedi_dagster.generation.parsing.instances import parse_instances, parse_labelled_instances
from sedi_dagster.generation.parsing.parsed_task import ParsedTask
from sedi_dagster.generation.parsing.series import parse_examples, parse_tasks

__all__ = ["ParsedTask", "parse_answer", "parse_examples", "parse_instances", "parse_labelled_instances", "parse_tasks"]
